"""Scoring what an encoder made of the samples of a task: probes are fitted on all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.score import Scored
from forgetbench.metrics.linear_probe import probe_right
from forgetbench.schema.sample import Embedding


def score_probe(planned: PlannedTask, answers: Sequence[Answer]) -> list[Scored]:
    """Return for each sample whether its label can be read from all layers, and from the last.

    Args:
        planned: A probe task.
        answers: One for each of its samples.
    """
    found: dict[int, Embedding] = {
        position: answer.prediction.embedding
        for position, answer in enumerate(answers)
        if answer.prediction is not None and answer.prediction.embedding is not None
    }
    order = sorted(found, key=lambda position: planned.samples[position].id)
    labels = [planned.samples[position].reference for position in order]
    scored = [Scored(error=answer.error) for answer in answers]
    if not order:
        return scored
    layers = np.stack([found[position].layers() for position in order])
    everywhere = probe_right(layers.reshape(len(order), -1), labels)
    last = probe_right(layers[:, -1], labels)
    for position, right, right_last in zip(order, everywhere, last, strict=True):
        scored[position] = Scored(stats={"probe_acc": float(right), "probe_acc_last": float(right_last)})
    return scored

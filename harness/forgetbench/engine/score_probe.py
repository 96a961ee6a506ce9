"""Scoring what an encoder made of the samples of a task: probes are fitted on all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.score import Scored
from forgetbench.metrics.linear_probe import probe_right, stratified_folds, unseen_folds
from forgetbench.schema.sample import Embedding
from forgetbench.schema.task import Probe

UNEQUAL_FEATURES = "unequal_features"
"""Code of features that are not of one shape for all samples."""


def score_probe(planned: PlannedTask, answers: Sequence[Answer]) -> list[Scored]:
    """Return for each sample whether its label can be read from all layers, and from the last.

    Features whose shape differs from recording to recording, such as those that were not averaged over time,
    are none that a probe could be fitted on: every sample is an error.

    Args:
        planned: A probe task.
        answers: One for each of its samples.
    """
    task = planned.task
    assert isinstance(task, Probe)
    found: dict[int, Embedding] = {
        position: answer.prediction.embedding
        for position, answer in enumerate(answers)
        if answer.prediction is not None and answer.prediction.embedding is not None
    }
    # What is in which fold is settled before what is missing: an arm that lacks a sample keeps the folds.
    every = sorted(range(len(answers)), key=lambda position: planned.samples[position].id)
    samples = [planned.samples[position] for position in every]
    references = [sample.reference for sample in samples]
    if task.unseen is None:
        settled = stratified_folds(references, [sample.id for sample in samples])
    else:
        settled = unseen_folds(references, [str(sample.row[task.unseen]) for sample in samples])
    folds = settled[[position in found for position in every]]
    order = [position for position in every if position in found]
    labels = [planned.samples[position].reference for position in order]
    scored = [Scored(error=answer.error) for answer in answers]
    if not order:
        return scored
    if len({(embedding.n_layers, embedding.width) for embedding in found.values()}) > 1:
        return [Scored(error=answer.error or UNEQUAL_FEATURES) for answer in answers]
    layers = np.stack([found[position].layers() for position in order])
    everywhere = probe_right(layers.reshape(len(order), -1), labels, folds)
    last = probe_right(layers[:, -1], labels, folds)
    for position, right, right_last in zip(order, everywhere, last, strict=True):
        scored[position] = Scored(stats={"probe_acc": float(right), "probe_acc_last": float(right_last)})
    return scored

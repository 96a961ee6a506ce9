"""The samples whose score changed, and the answers of both arms to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forgetbench.forgetting.answers import parse, text_of
from forgetbench.forgetting.losses import ScoredPairs, sample_degradation, shown_answers
from forgetbench.forgetting.match import ReadyPair, match_tasks
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import RunDocument
from forgetbench.schema.sample import RawPrediction

if TYPE_CHECKING:
    import pandas as pd

SAME = 1e-9
"""Scores that are nearer than this are the same."""


@dataclass(frozen=True, kw_only=True)
class ChangedSample:
    """One sample on which the arms scored differently.

    Attributes:
        content: Hash of what the models were given.
        input: Prompt or audio file, to show.
        base: The base's answer, to show.
        checkpoint: The checkpoint's.
        degradation: In units of the task's primary metric; positive where the checkpoint is worse.
        predictions: Of base and checkpoint, as stored.
    """

    task: str
    sample_id: str
    condition: str
    content: str
    input: str
    reference: str
    base: str
    checkpoint: str
    degradation: float
    predictions: tuple[RawPrediction | None, RawPrediction | None]


def scored_tasks(
    comparison: Comparison,
    base: RunDocument,
    checkpoint: RunDocument,
    base_samples: Mapping[str, pd.DataFrame],
    checkpoint_samples: Mapping[str, pd.DataFrame],
) -> list[ScoredPairs]:
    """Return the joined samples of each task with its row; a change of distribution is no loss: left out."""
    rows = {row.name: row for row in (*comparison.rows, *comparison.details) if row.kind == "task"}
    pairs = match_tasks(base, checkpoint, base_samples, checkpoint_samples)
    return [
        ScoredPairs(rows[name], pair.metric.type, pair.joined.pairs)
        for name, pair in pairs.items()
        if isinstance(pair, ReadyPair) and name in rows and rows[name].role != "distribution"
    ]


def changed_samples(scored: ScoredPairs, *, most: int | None = None) -> list[ChangedSample]:
    """Return the samples that changed: lost ones first, worst first; then those that were won, best first.

    Args:
        scored: A task's row and its samples.
        most: Leave out what comes after this many.
    """
    degradation = sample_degradation(scored).to_numpy()
    order = np.argsort(-degradation, kind="stable")
    lost = [i for i in order if degradation[i] > SAME]
    won = [i for i in order[::-1] if degradation[i] < -SAME]
    chosen = scored.pairs.iloc[[*lost, *won][:most]]
    return list(_changed(scored, chosen, degradation[chosen.index.to_numpy()]))


def count_changed(scored: ScoredPairs) -> tuple[int, int]:
    """Return how many samples were lost and how many won."""
    degradation = sample_degradation(scored).to_numpy()
    return int((degradation > SAME).sum()), int((degradation < -SAME).sum())


def _changed(
    scored: ScoredPairs, chosen: pd.DataFrame, degradation: Iterable[float]
) -> Iterator[ChangedSample]:
    for sample, value in zip(chosen.to_dict("records"), degradation, strict=True):
        base, checkpoint = shown_answers(scored, sample)
        yield ChangedSample(
            task=scored.row.name,
            sample_id=sample["id"],
            condition=sample["condition"],
            content=sample["content"],
            input=text_of(sample["input_base"]),
            reference=text_of(sample["reference_base"]),
            base=base,
            checkpoint=checkpoint,
            degradation=float(value),
            predictions=(parse(sample["prediction_base"]), parse(sample["prediction_checkpoint"])),
        )

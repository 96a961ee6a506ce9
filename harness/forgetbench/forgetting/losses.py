"""The samples on which the checkpoint lost most."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from forgetbench.forgetting.answers import shown, text_of
from forgetbench.forgetting.degenerate import MISHEARD
from forgetbench.forgetting.verdict import GATING, margins_lost
from forgetbench.schema.comparison import Row, WorstLoss
from forgetbench.schema.run import MetricType
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5


@dataclass(frozen=True)
class ScoredPairs:
    """A row and the samples that both arms scored for it."""

    row: Row
    metric_type: MetricType
    pairs: pd.DataFrame


def worst_losses(scored: Sequence[ScoredPairs], *, count: int = SHOWN) -> tuple[WorstLoss, ...]:
    """Return the worst sample losses, taken from the rows in turn.

    Losses of one sample cannot be scaled across metrics (a flipped answer, a tripled WER), rows
    can: by their degradation in units of their margin. So the row that lost most gives its worst
    sample first, then the next row, then each its second worst. Roles general and safety come
    before the others; a change of distribution is no loss. Equal losses stand in the order of their
    sample ids.
    """
    scored = [s for s in scored if s.row.role != "distribution"]
    ordered = sorted(scored, key=lambda s: (s.row.role not in GATING, -margins_lost(s.row), s.row.name))
    losses: list[WorstLoss] = []
    for gating in (True, False):
        group = [_losses(s, count) for s in ordered if (s.row.role in GATING) is gating]
        losses += [loss for turn in zip_longest(*group) for loss in turn if loss is not None]
    return tuple(losses[:count])


def _losses(scored: ScoredPairs, count: int) -> Iterator[WorstLoss]:
    degradation = sample_degradation(scored).to_numpy()
    for position in np.argsort(-degradation, kind="stable")[:count]:
        value = degradation[position]
        if value <= 0:
            return
        sample = scored.pairs.iloc[int(position)].to_dict()
        base, checkpoint = shown_answers(scored, sample)
        yield WorstLoss(
            task=scored.row.name,
            sample_id=sample["id"],
            condition=sample["condition"],
            input=text_of(sample["input_base"]),
            reference=text_of(sample["reference_base"]),
            base=base,
            checkpoint=checkpoint,
            degradation=float(value),
        )


def shown_answers(scored: ScoredPairs, sample: Mapping[Hashable, Any]) -> tuple[str, str]:
    """Return the answers of base and checkpoint to one of the samples, as a reader sees them."""
    metric, choices = scored.row.metric, scored.metric_type == "binary"
    column = stat_columns(metric, scored.metric_type)[0]
    base, checkpoint = (
        shown(
            sample[f"prediction_{arm}"],
            choices=choices,
            score=f"{metric} {float(sample[f'{column}_{arm}']):+.3f}",
            misheard=sample.get(f"{MISHEARD}_{arm}") == 1.0,
        )
        for arm in ("base", "checkpoint")
    )
    return base, checkpoint


def sample_degradation(scored: ScoredPairs) -> pd.Series[float]:
    """Return the degradation of each sample in the metric's units; a ratio over nothing is taken over one."""
    row, pairs = scored.row, scored.pairs
    columns = stat_columns(row.metric, scored.metric_type)
    values = {}
    for arm in ("base", "checkpoint"):
        numerator = pairs[f"{columns[0]}_{arm}"].astype("float64")
        is_ratio = scored.metric_type == "ratio"
        values[arm] = numerator / pairs[f"{columns[1]}_{arm}"].clip(lower=1.0) if is_ratio else numerator
    delta = values["checkpoint"] - values["base"]
    return -delta if row.higher_is_better else delta

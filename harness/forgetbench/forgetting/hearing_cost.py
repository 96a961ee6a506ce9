"""What hearing costs an assistant: its answers to spoken requests beside those in writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from forgetbench.forgetting.degenerate import MISHEARD
from forgetbench.forgetting.estimate import clusters_of
from forgetbench.forgetting.match import ReadyPair
from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean
from forgetbench.schema.comparison import ArmHearing, HearingCost
from forgetbench.schema.run import Arm

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
AS_TEXT = "_as_text"
"""Ends the name of a metric that a spoken task has of the written requests."""


def hearing_costs(pairs: Iterable[ReadyPair]) -> Iterator[HearingCost]:
    """Yield the cost of hearing in both arms, and how it changed, of each spoken task that was read, too.

    In each arm it is the degradation from the written to the spoken request, paired by request (positive =
    worse). The change is that of the checkpoint minus that of the base: what the checkpoint lost when it is
    spoken to, beyond what it lost in writing. Requests that an arm misheard are left out: an answer to
    nothing complies with less, and that is no gain.
    """
    for pair in pairs:
        metric = pair.task.primary
        table = pair.joined.pairs
        columns = [f"{name}_{arm}" for name in (metric, metric + AS_TEXT) for arm in ("base", "checkpoint")]
        if not set(columns) <= set(table):
            continue
        unheard = [name for arm in ("base", "checkpoint") if (name := f"{MISHEARD}_{arm}") in table]
        read = table[table[columns].notna().all(axis=1) & ~(table[unheard] > 0).any(axis=1)]
        if read.empty:
            continue
        change = _change(read, pair)
        certain = bool(change.se)
        yield HearingCost(
            task=pair.task.name,
            title=pair.task.title,
            metric=metric,
            higher_is_better=pair.metric.higher_is_better,
            n=len(read),
            level=LEVEL,
            base=_arm(read, pair, "base"),
            checkpoint=_arm(read, pair, "checkpoint"),
            change=change.degradation,
            ci_low=change.ci_low if certain else None,
            ci_high=change.ci_high if certain else None,
        )


def _arm(table: pd.DataFrame, pair: ReadyPair, arm: Arm) -> ArmHearing:
    metric, higher = pair.task.primary, pair.metric.higher_is_better
    method = paired_binary if pair.metric.type == "binary" else paired_mean
    found = method(
        table[f"{metric}{AS_TEXT}_{arm}"].to_numpy(float),
        table[f"{metric}_{arm}"].to_numpy(float),
        clusters_of(table),
        higher_is_better=higher,
        level=LEVEL,
        units=list(table["id"]),
    )
    return ArmHearing(
        as_text=found.base,
        heard=found.checkpoint,
        cost=found.degradation,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
    )


def _change(table: pd.DataFrame, pair: ReadyPair) -> PairedEstimate:
    metric, sign = pair.task.primary, -1.0 if pair.metric.higher_is_better else 1.0
    before, after = (
        sign * (table[f"{metric}_{arm}"] - table[f"{metric}{AS_TEXT}_{arm}"]).to_numpy(float)
        for arm in ("base", "checkpoint")
    )
    return paired_mean(
        before, after, clusters_of(table), higher_is_better=False, level=LEVEL, units=list(table["id"])
    )

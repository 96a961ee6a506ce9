"""Tasks of one suite row that ask about the same samples, as both parts of TruthfulQA do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forgetbench.forgetting.match import ReadyPair, TaskPair
from forgetbench.forgetting.paired import FloatArray
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd


def shared_effect(members: Sequence[TaskPair]) -> float:
    """Return the variance of a row's mean over what it were if its tasks had samples of their own.

    What a sample adds to the row is summed over the tasks first: the row is a mean over samples, as of
    per-sample averages (Miller 2024, arXiv 2411.00640, with the sample as the cluster). Samples are the same
    where id and input are.

    Returns:
        At least 1; exactly 1 where no two tasks share a sample.
    """
    import pandas as pd

    parts = [_contributions(member) for member in members if isinstance(member, ReadyPair)]
    if len(parts) < 2:
        return 1.0
    together = pd.concat(parts)
    shared = together.groupby(level=[0, 1]).sum()
    if len(shared) == len(together):
        return 1.0
    alone = float((together**2).sum())
    return max(float((shared**2).sum()) / alone, 1.0) if alone else 1.0


def _contributions(pair: ReadyPair) -> pd.Series[float]:
    """Return what each sample adds to the degradation of a task, centred: it sums to zero."""
    table = pair.joined.pairs
    lost = _lost(table, pair) * (-1.0 if pair.metric.higher_is_better else 1.0)
    return table.assign(lost=lost).groupby(["id", "input_base"])["lost"].sum()


def _lost(table: pd.DataFrame, pair: ReadyPair) -> FloatArray:
    columns = stat_columns(pair.task.primary, pair.metric.type)
    base, checkpoint = (
        [table[f"{column}_{arm}"].to_numpy(float) for column in columns] for arm in ("base", "checkpoint")
    )
    if pair.metric.type != "ratio":
        difference = checkpoint[0] - base[0]
        return np.asarray((difference - difference.mean()) / len(difference))
    units = [float(arm[1].sum()) or 1.0 for arm in (base, checkpoint)]
    rates = [float(arm[0].sum()) / total for arm, total in zip((base, checkpoint), units, strict=True)]
    return np.asarray(
        (checkpoint[0] - rates[1] * checkpoint[1]) / units[1] - (base[0] - rates[0] * base[1]) / units[0]
    )

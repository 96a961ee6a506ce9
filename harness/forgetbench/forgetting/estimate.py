"""From the joined samples of one task to its paired estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean
from forgetbench.forgetting.paired_ratio import FEWEST_DRAWS, paired_ratio
from forgetbench.forgetting.word_errors import WORD_ERRORS, paired_word_errors
from forgetbench.schema.run import MetricType
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd


def estimate_table(
    table: pd.DataFrame,
    *,
    primary: str,
    metric_type: MetricType,
    higher_is_better: bool,
    level: float = 0.95,
    draws: int = FEWEST_DRAWS,
    seed: int = 0,
) -> PairedEstimate:
    """Return the paired estimate of a metric by the method of its type.

    Args:
        table: Joined samples of both arms (``Joined.pairs``).
        primary: Metric whose statistics are compared.
        metric_type: Type of the metric.
        higher_is_better: Direction of the metric.
        level: Confidence level of the interval.
        draws: Bootstrap draws of a ratio.
        seed: Seed of the draws.
    """
    columns = stat_columns(primary, metric_type)
    base, checkpoint = (
        [table[f"{column}_{arm}"].to_numpy(float) for column in columns] for arm in ("base", "checkpoint")
    )
    clusters = clusters_of(table)
    units = list(table["id"])
    if primary in WORD_ERRORS and metric_type == "ratio" and np.array_equal(base[1], checkpoint[1]):
        return paired_word_errors(
            *(base[0], checkpoint[0], base[1], clusters), level=level, draws=draws, seed=seed, units=units
        )
    if metric_type == "ratio":
        return paired_ratio(
            *(base[0], base[1], checkpoint[0], checkpoint[1], clusters),
            higher_is_better=higher_is_better,
            level=level,
            draws=draws,
            seed=seed,
            units=units,
        )
    method = paired_binary if metric_type == "binary" else paired_mean
    return method(
        base[0], checkpoint[0], clusters, higher_is_better=higher_is_better, level=level, units=units
    )


def clusters_of(table: pd.DataFrame) -> list[str]:
    """Return the cluster of each joined sample; empty where it has none."""
    return [value if isinstance(value, str) else "" for value in table["cluster_base"]]

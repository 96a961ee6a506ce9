"""From the statistics of the samples to the value of a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import MetricValue
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd


def aggregate(table: pd.DataFrame, spec: MetricSpec) -> MetricValue:
    """Return the value of a metric over the samples that could be scored.

    A ratio is pooled, Σ numerators / Σ denominators, and missing where the denominators sum to
    zero; it is never a mean of per-sample ratios (Bisani & Ney 2004).

    Args:
        table: Sample records, with the columns of :func:`forgetbench.schema.sample.stat_columns`
            and ``error``; rows with an error are left out.
        spec: The metric.
    """
    columns = list(stat_columns(spec.name, spec.type))
    scored = table.loc[table["error"].isna(), columns].astype("float64").dropna()
    value: float | None = None
    if spec.type == "ratio":
        numerator, denominator = (float(scored[column].sum()) for column in columns)
        value = numerator / denominator if denominator else None
    elif len(scored):
        value = float(scored[columns[0]].mean())
    return MetricValue(
        value=value,
        n=len(scored),
        type=spec.type,
        higher_is_better=spec.higher_is_better,
        worst=spec.worst,
    )

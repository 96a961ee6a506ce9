"""Several training seeds of one method: what can be said of the method, and not of one checkpoint alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from forgetbench.errors import UsageError
from forgetbench.forgetting.estimate import estimate_table
from forgetbench.forgetting.join import KEYS
from forgetbench.forgetting.mover import Part, mover, mover_p, scaled
from forgetbench.forgetting.paired import Interval, PairedEstimate, t_interval, tango_interval
from forgetbench.forgetting.paired_ratio import FEWEST_DRAWS
from forgetbench.schema.run import MetricType
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class MethodEstimate:
    """A method's degradation, from checkpoints that differ in their training seed alone.

    Attributes:
        subject: What the interval is about, as a sentence says it.
        by_seed: Each checkpoint by itself, on the samples that all of them have.
        seed_sd: Standard deviation of their degradations; None for a single seed.
        estimate: Mean over the seeds, and its interval; ``df`` are those of the seeds.
        n_dropped: Samples that not every seed has.
    """

    subject: str
    by_seed: tuple[PairedEstimate, ...]
    seed_sd: float | None
    estimate: PairedEstimate
    n_dropped: int


def subject(n_seeds: int) -> str:
    """Return what an interval over so many training seeds is about (METRICS §2).

    Example:
        >>> subject(1), subject(3)
        ('this checkpoint', 'this method, over 3 training seeds')
    """
    return "this checkpoint" if n_seeds == 1 else f"this method, over {n_seeds} training seeds"


def across_seeds(
    tables: Sequence[pd.DataFrame],
    *,
    primary: str,
    metric_type: MetricType,
    higher_is_better: bool,
    level: float = 0.95,
    draws: int = FEWEST_DRAWS,
    seed: int = 0,
) -> MethodEstimate:
    """Return the mean degradation over training seeds, with an interval about the method.

    :func:`over_seeds` says how. One seed gives the interval over samples, about this checkpoint.

    Args:
        tables: Joined samples of both arms (``Joined.pairs``), one table for each seed.
        primary: Metric whose statistics are compared.
        metric_type: Type of the metric.
        higher_is_better: Direction of the metric.
        level: Confidence level of the interval.
        draws: Bootstrap draws of a ratio.
        seed: Seed of the draws.

    Raises:
        UsageError: There is no table, or the seeds share no sample.
    """
    shared, n_dropped = _shared(tables)
    estimate = partial(
        estimate_table,
        primary=primary,
        higher_is_better=higher_is_better,
        level=level,
        draws=draws,
        seed=seed,
    )
    by_seed = tuple(estimate(table, metric_type=metric_type) for table in shared)
    if len(by_seed) == 1:
        return MethodEstimate(
            subject=subject(1), by_seed=by_seed, seed_sd=None, estimate=by_seed[0], n_dropped=n_dropped
        )
    averaged = _averaged(shared, stat_columns(primary, metric_type))
    over_samples = estimate(averaged, metric_type="mean" if metric_type == "binary" else metric_type)
    return MethodEstimate(
        subject=subject(len(by_seed)),
        by_seed=by_seed,
        seed_sd=_sd(by_seed),
        estimate=over_seeds(by_seed, over_samples),
        n_dropped=n_dropped,
    )


def _shared(tables: Sequence[pd.DataFrame]) -> tuple[list[pd.DataFrame], int]:
    """Return the samples that all tables have, in one order, and how many others there are."""
    if not tables:
        raise UsageError("the training seeds", "are none", "Give at least one checkpoint's result.")
    indexed = [table.set_index(KEYS) for table in tables]
    keys = reduce(lambda common, more: common.intersection(more), (table.index for table in indexed))
    if keys.empty:
        raise UsageError(
            "the training seeds", "share no sample", "Run them with the same tasks, limit and seed."
        )
    every = reduce(lambda known, more: known.union(more), (table.index for table in indexed))
    return [table.loc[keys.sort_values()].reset_index() for table in indexed], len(every) - len(keys)


def _averaged(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    both = [f"{column}_{arm}" for column in columns for arm in ("base", "checkpoint")]
    return tables[0].assign(**{name: sum(table[name] for table in tables) / len(tables) for name in both})


def over_seeds(by_seed: Sequence[PairedEstimate], over_samples: PairedEstimate) -> PairedEstimate:
    """Return the mean over at least two seeds with the interval of their method.

    Two levels vary: the seeds, and the samples, which all seeds share. Over S seeds the interval is
    that of t with S − 1 degrees of freedom: three seeds have ten distinct draws, and where seeds
    differ much a bootstrap over them covers some .85 at 95 %. Over samples it is that of the scores
    averaged over seeds: t for a mean, the paired bootstrap for a ratio, and for a binary score
    Tango's at the mean counts, so that it is never narrower than for one checkpoint. :func:`mover`
    puts both together. What depends on seed and sample at once counts in both levels, which errs on
    the wide side.

    Args:
        by_seed: Each checkpoint by itself, on the same samples.
        over_samples: Estimate from the scores averaged over the seeds.
    """
    method = f"t over seeds, {over_samples.method} over samples"
    seed_sd = _sd(by_seed)
    if seed_sd is None:
        return PairedEstimate(level=over_samples.level, method=method, n=over_samples.n)
    known = replace(over_samples, method=method, ci_low=None, ci_high=None, se=None, p=None, poi=None)
    if over_samples.se is None:
        return known
    degradations = [found.degradation or 0.0 for found in by_seed]
    degradation, seeds = fmean(degradations), spread_of_seeds(degradations)
    binary = [found for found in by_seed if found.transitions is not None]
    samples = _mean_counts(binary) if binary else scaled(over_samples, 1.0)
    interval = mover(degradation, [seeds, samples], known.level)
    return replace(
        known,
        degradation=degradation,
        ci_low=interval.low,
        ci_high=interval.high,
        se=math.hypot(seed_sd / math.sqrt(len(by_seed)), over_samples.se),
        df=len(by_seed) - 1,
        p=mover_p(degradation, [seeds, samples]),
    )


def spread_of_seeds(degradations: Sequence[float]) -> Part:
    """Return what the choice of at least two seeds adds to their mean: t with S − 1 degrees of freedom."""
    se, df = stdev(degradations) / math.sqrt(len(degradations)), len(degradations) - 1
    return Part(
        0.0,
        lambda level: t_interval(0.0, se, df, level=level)[0].low,
        lambda level: t_interval(0.0, se, df, level=level)[0].high,
    )


def _sd(by_seed: Sequence[PairedEstimate]) -> float | None:
    degradations = [found.degradation for found in by_seed if found.degradation is not None]
    return stdev(degradations) if len(degradations) == len(by_seed) else None


def _mean_counts(by_seed: Sequence[PairedEstimate]) -> Part:
    """Return what one checkpoint with the mean counts of these would have."""
    n, effect = by_seed[0].n, fmean(found.design_effect for found in by_seed)
    more = fmean(found.transitions.n10 for found in by_seed if found.transitions) / effect
    less = fmean(found.transitions.n01 for found in by_seed if found.transitions) / effect
    units = by_seed[0].units
    df = math.inf if units == n else units - 1

    def interval(level: float) -> Interval:
        return tango_interval(more, less, n / effect, level=level, df=df)

    return Part(
        (more - less) * effect / n, lambda level: interval(level).low, lambda level: interval(level).high
    )

"""One pair on one task: difference, interval and test (docs/concepts.md).

Everything is computed for ``delta = checkpoint − base`` and then turned so that a positive
degradation is worse. Swapping the arms mirrors every number exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forgetbench.errors import DataError
from forgetbench.forgetting.few_units import degrees_of_freedom, two_sided_p, two_sided_quantile
from forgetbench.schema.comparison import RunawayOutputs, Transitions

FEWEST_CLUSTERS = 10
"""With fewer speakers than this a speaker is no unit of resampling."""
FLIPS_ADDED = 4
"""Flips of whole clusters in a design effect, beside those seen: about z² at 95 % (Agresti & Coull 1998)."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairedEstimate:
    """What is known of the difference between two arms; None where nothing can be said.

    Attributes:
        base: Score of the base on the joined samples, in the metric's units.
        checkpoint: Score of the checkpoint on the same samples.
        delta: Checkpoint minus base.
        degradation: Positive where the checkpoint is worse.
        ci_low: Lower end of the interval of the degradation at ``level``.
        ci_high: Upper end.
        level: Confidence level of the interval, .95 for 95 %.
        se: Standard error of the degradation.
        df: Degrees of freedom that go with ``se``.
        p: Two-sided p-value of no difference.
        p_exact: The exact test beside a mid-p one.
        poi: Share of bootstrap draws in which the checkpoint is better (Bisani & Ney 2004).
        transitions: Counts of a binary score.
        design_effect: Variance of the difference over that of independent pairs, at least 1; a binary
            score is judged as if it had ``n`` / ``design_effect`` pairs.
        method: How interval and p were made.
        n: Pairs.
        n_clusters: Clusters that were the unit of sampling.
        n_units: Clusters or utterances that were drawn; None where each pair is its own.
        n_samples: Samples, each once however many conditions it was heard under; None where each pair is one.
        runaway: Few outputs that ran on (:func:`forgetbench.forgetting.word_errors.paired_word_errors`).
        notes: What limits the reading.
    """

    level: float
    method: str
    n: int
    base: float | None = None
    checkpoint: float | None = None
    delta: float | None = None
    degradation: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    se: float | None = None
    df: float | None = None
    p: float | None = None
    p_exact: float | None = None
    poi: float | None = None
    transitions: Transitions | None = None
    design_effect: float = 1.0
    n_clusters: int | None = None
    n_units: int | None = None
    n_samples: int | None = None
    runaway: RunawayOutputs | None = None
    notes: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """Independent units: utterances count once, however many conditions they were heard under."""
        return self.n if self.n_units is None else self.n_units

    @property
    def samples(self) -> int:
        """Samples that a minimum n counts: of speakers that are drawn as blocks, their utterances."""
        return self.n if self.n_samples is None else self.n_samples


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class SamplingUnits:
    """What moves together when samples are drawn anew.

    Attributes:
        codes: Unit of each sample, 0 to ``count`` − 1.
        count: Number of units.
        n_clusters: ``count`` where the units are clusters, else None.
        n_samples: Different samples.
        notes: What the choice means for the reader.
    """

    codes: NDArray[np.intp]
    count: int
    n_clusters: int | None
    n_samples: int
    notes: tuple[str, ...] = ()

    @property
    def df(self) -> int:
        """Degrees of freedom of what is estimated from the units; there must be two of them."""
        return degrees_of_freedom(np.bincount(self.codes, minlength=self.count))


def sampling_units(
    n: int, *, clusters: Sequence[str] | None = None, units: Sequence[str] | None = None
) -> SamplingUnits:
    """Return the unit of sampling: clusters where there are at least 10, else samples.

    Args:
        n: Samples.
        clusters: Speaker, passage or scene of each sample; empty strings mean that there are none.
        units: Id of each sample; rows that share one, such as an utterance heard under several
            conditions, move together. Without it every row is its own unit.
    """
    note: tuple[str, ...] = ()
    n_samples = n if units is None else len(set(units))
    if clusters is not None and any(clusters):
        names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        if len(names) >= FEWEST_CLUSTERS:
            return SamplingUnits(codes, len(names), len(names), n_samples)
        note = (f"only {len(names)} cluster{'s' if len(names) > 1 else ''}: holds for these clusters only",)
    if units is None:
        return SamplingUnits(np.arange(n), n, None, n_samples, note)
    ids, codes = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    return SamplingUnits(codes, len(ids), None, n_samples, note)


class McNemar(NamedTuple):
    """Two-sided p-values of McNemar's test."""

    mid_p: float
    exact_p: float


def mcnemar(n10: int, n01: int) -> McNemar:
    """Return the mid-p and the exact two-sided p of McNemar's test.

    Mid-p: Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91.

    Example:
        >>> tuple(round(p, 5) for p in mcnemar(5, 0))
        (0.03125, 0.0625)
    """
    from scipy.stats import binom

    tail = 2.0 * float(binom.cdf(min(n10, n01), n10 + n01, 0.5))
    observed = float(binom.pmf(min(n10, n01), n10 + n01, 0.5))
    return McNemar(mid_p=min(1.0, tail - observed), exact_p=min(1.0, tail))


def tango_interval(more: float, less: float, n: float, *, level: float, df: float = math.inf) -> Interval:
    """Return Tango's score interval of the paired difference (``more`` − ``less``)/n.

    The set of λ that the score test of T. Tango 1998 (Stat. Med. 17:891) does not reject,
    |more − less − nλ| ≤ z·√(n(2·q(λ) + λ(1−λ))), with q(λ) the restricted maximum-likelihood
    estimate of the share of ``less``. It does not collapse where nothing flips.

    Args:
        more: Pairs that differ in the direction counted as positive.
        less: Pairs that differ in the other direction.
        n: All pairs. Counts need not be whole: see :func:`paired_binary`.
        level: Confidence level.
        df: Degrees of freedom of the quantile; the normal one by default.

    Example:
        >>> interval = tango_interval(0, 0, 100, level=0.95)
        >>> round(interval.low, 4), round(interval.high, 4)
        (-0.037, 0.037)
    """
    z = two_sided_quantile(level, df)
    return Interval(-_tango_upper(less, more, n, z), _tango_upper(more, less, n, z))


def _tango_upper(more: float, less: float, n: float, z: float) -> float:
    from scipy.optimize import brentq

    def inside(difference: float) -> float:
        a, c = 2.0 * n, -less * difference * (1.0 - difference)
        b = -more - less + (2.0 * n - more + less) * difference
        q = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
        variance = n * (2.0 * q + difference * (1.0 - difference))
        return more - less - n * difference + z * math.sqrt(max(variance, 0.0))

    just_above = (more - less) / n + 1e-9
    if just_above >= 1.0 or inside(1.0) >= 0.0:
        return 1.0
    return float(brentq(inside, just_above, 1.0, xtol=1e-14, rtol=1e-14))


def paired_binary(
    base: ArrayLike,
    checkpoint: ArrayLike,
    clusters: Sequence[str] | None = None,
    *,
    higher_is_better: bool,
    level: float = 0.95,
    units: Sequence[str] | None = None,
) -> PairedEstimate:
    """Compare scores of 0 and 1: McNemar's mid-p and Tango's interval.

    Where lower is better, 0 is right. Answers that move together, such as those about one passage,
    count as n/D: the counts are divided by the design effect D of their difference (Rao & Scott
    1992, Biometrics 48:577; :func:`design_effect`), the quantile is that of t, and p is of the score test
    that the interval inverts.

    Args:
        base: Score of the base per sample.
        checkpoint: Score of the checkpoint on the same samples, in the same order.
        clusters: Samples that are not independent of each other share a name.
        higher_is_better: Direction of the score.
        level: Confidence level of the interval.
        units: See :func:`sampling_units`.

    Raises:
        DataError: A score is neither 0 nor 1.
    """
    b, c = np.asarray(base, dtype=np.float64), np.asarray(checkpoint, dtype=np.float64)
    n = len(b)
    if not (np.isin(b, (0, 1)).all() and np.isin(c, (0, 1)).all()):
        raise DataError("a binary score", "is neither 0 nor 1", "Give the metric the type mean.")
    if n == 0:
        return PairedEstimate(level=level, method="McNemar mid-p, Tango score interval", n=0)
    sampled = sampling_units(n, clusters=clusters, units=units)
    right_b, right_c = (b == 1, c == 1) if higher_is_better else (b == 0, c == 0)
    t = Transitions(
        n11=int((right_b & right_c).sum()),
        n10=int((right_b & ~right_c).sum()),
        n01=int((~right_b & right_c).sum()),
        n00=int((~right_b & ~right_c).sum()),
    )
    degradation = (t.n10 - t.n01) / n
    known = PairedEstimate(
        base=float(b.mean()),
        checkpoint=float(c.mean()),
        delta=-degradation if higher_is_better else degradation,
        degradation=degradation,
        level=level,
        transitions=t,
        method="McNemar mid-p, Tango score interval",
        n=n,
        n_clusters=sampled.n_clusters,
        n_units=sampled.count,
        n_samples=sampled.n_samples,
        notes=sampled.notes,
    )
    if sampled.count < n:
        return _clustered_binary(known, t, right_b.astype(float) - right_c, sampled)
    interval = tango_interval(t.n10, t.n01, n, level=level)
    test = mcnemar(t.n10, t.n01)
    return replace(
        known,
        ci_low=interval.low,
        ci_high=interval.high,
        se=math.sqrt(((t.n10 + t.n01) / n - degradation**2) / (n - 1)) if n > 1 else None,
        df=n - 1,
        p=test.mid_p,
        p_exact=test.exact_p,
    )


def _clustered_binary(
    known: PairedEstimate, t: Transitions, lost: FloatArray, sampled: SamplingUnits
) -> PairedEstimate:
    known = replace(known, method="Tango score interval, clustered")
    if sampled.count < 2:
        return known
    n, (effect, df) = known.n, design_effect(lost, sampled)
    more, less = t.n10 / effect, t.n01 / effect
    interval = tango_interval(more, less, n / effect, level=known.level, df=df)
    flips = math.sqrt(more + less)
    return replace(
        known,
        ci_low=interval.low,
        ci_high=interval.high,
        se=math.sqrt(float(lost.var(ddof=1)) * effect / n),
        df=df,
        p=two_sided_p((more - less) / flips, df) if flips else 1.0,
        design_effect=effect,
    )


class DesignEffect(NamedTuple):
    """How much less answers say that move together.

    Attributes:
        factor: Variance of their mean over that of as many independent answers, at least 1.
        df: Degrees of freedom of the factor, infinite where it is not estimated.
    """

    factor: float
    df: float


def design_effect(change: FloatArray, sampled: SamplingUnits) -> DesignEffect:
    """Return the design effect of a mean change, which few flips do not show.

    Where nothing flipped, each cluster counts as one answer. Otherwise answers are taken to flip together
    as long as little speaks against it: beside the flips seen stand four of whole clusters, 1 + (m − 1)ρ
    with ρ = 1 (Kish 1965, Survey Sampling) and m = Σm²/n, the mean size of the clusters weighted by size
    (Gabler, Häder & Lahiri 1999, Surv. Methodol. 25:105). Where none of f flips took a neighbour along,
    that leaves ρ = 4/(f + 4), about the largest in Wilson's 95 % interval; many flips leave the estimate.
    Only the estimated part of the variance is unsure: the degrees of freedom of the units are divided by the
    square of its share (Satterthwaite).

    Args:
        change: Change of each answer, 1, −1 or 0, shape (n,).
        sampled: Clusters of the answers, at least 2.
    """
    n = len(change)
    if not change.any():
        return DesignEffect(n / sampled.count, math.inf)
    whole = float((np.bincount(sampled.codes, minlength=sampled.count) ** 2).sum()) / n
    estimated, added = (n * _clustered_se(change, sampled)) ** 2, FLIPS_ADDED * whole
    alone = n * float(change.var(ddof=1)) + FLIPS_ADDED
    share = estimated / (estimated + added)
    return DesignEffect(
        factor=max(1.0, (estimated + added) / alone), df=sampled.df / share**2 if share else math.inf
    )


def paired_mean(
    base: ArrayLike,
    checkpoint: ArrayLike,
    clusters: Sequence[str] | None = None,
    *,
    higher_is_better: bool,
    level: float = 0.95,
    units: Sequence[str] | None = None,
) -> PairedEstimate:
    """Compare means of per-sample scores: t interval of the paired difference d.

    SE² = (1/n²)·Σ_c (Σ_{i∈c} d_i)²·C/(C−1) with d centred (Miller 2024, arXiv 2411.00640), which
    is Var(d)/n where every sample is its own cluster; t with C − 1 degrees of freedom, fewer where
    the clusters are of unequal size (:func:`degrees_of_freedom`).

    Args:
        base: Score of the base per sample.
        checkpoint: Score of the checkpoint on the same samples, in the same order.
        clusters: Samples that are not independent of each other share a name.
        higher_is_better: Direction of the score.
        level: Confidence level of the interval.
        units: See :func:`sampling_units`.
    """
    b, c = np.asarray(base, dtype=np.float64), np.asarray(checkpoint, dtype=np.float64)
    n = len(b)
    sampled = sampling_units(n, clusters=clusters, units=units)
    method = "paired t" + (", clustered" if sampled.n_clusters else "")
    known = PairedEstimate(
        level=level,
        method=method,
        n=n,
        n_clusters=sampled.n_clusters,
        n_units=sampled.count,
        n_samples=sampled.n_samples,
        notes=sampled.notes,
    )
    if n == 0:
        return known
    difference = c - b
    delta = float(difference.mean())
    degradation = worse(delta, higher_is_better)
    known = replace(
        known, base=float(b.mean()), checkpoint=float(c.mean()), delta=delta, degradation=degradation
    )
    if sampled.count < 2:
        return known
    se, df = _clustered_se(difference, sampled), sampled.df
    interval, p = t_interval(degradation, se, df, level=level)
    return replace(known, ci_low=interval.low, ci_high=interval.high, se=se, df=df, p=p)


def _clustered_se(difference: FloatArray, sampled: SamplingUnits) -> float:
    centred = difference - difference.mean()
    sums = np.bincount(sampled.codes, weights=centred, minlength=sampled.count)
    correction = sampled.count / (sampled.count - 1)
    return math.sqrt(float((sums**2).sum()) * correction) / len(difference)


def t_interval(estimate: float, se: float, df: float, *, level: float) -> tuple[Interval, float]:
    """Return the t interval around an estimate and the p-value of zero by the same statistic."""
    half = two_sided_quantile(level, df) * se
    interval = Interval(estimate - half, estimate + half)
    if se == 0:
        return interval, 1.0 if estimate == 0 else 0.0
    return interval, two_sided_p(estimate / se, df)


def worse(delta: float, higher_is_better: bool) -> float:
    """Return a difference turned so that positive is a loss."""
    return -delta if higher_is_better else delta

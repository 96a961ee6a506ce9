"""Tango's score interval for a weighted sum of paired differences over several tasks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from forgetbench.forgetting.few_units import two_sided_p, two_sided_quantile
from forgetbench.forgetting.paired import Interval

FloatArray = NDArray[np.float64]
NEWTON_STEPS = 60
TOLERANCE = 1e-9
SMALLEST_GAP = 1e-300
CONVERGED = 1e-14
FURTHER = np.array([[0.0], [1.0], [2.0]])


@dataclass(frozen=True)
class Strata:
    """Pairs of binary scores in several tasks, with one weight for all.

    Attributes:
        more: Pairs of each task that differ in the direction counted as positive.
        less: Pairs that differ in the other direction.
        n: All pairs of each task.
        weight: What each task's difference is multiplied by: 1/K for a mean over K.
        df: Degrees of freedom of each task's error; infinite where its answers are independent.
    """

    more: FloatArray
    less: FloatArray
    n: FloatArray
    weight: float
    df: FloatArray | float = math.inf

    @property
    def estimate(self) -> float:
        """Weighted sum of the observed differences."""
        return self.weight * float(((self.more - self.less) / self.n).sum())

    @property
    def mirrored(self) -> Strata:
        """The same with the arms swapped."""
        return Strata(self.less, self.more, self.n, self.weight, self.df)


@dataclass(frozen=True)
class _Fit:
    """Restricted maximum-likelihood fit: weighted sum of the differences, its variance there, its df."""

    total: float
    variance: float
    df: float


def score_interval(strata: Strata, *, level: float) -> Interval:
    """Return the score interval of the weighted sum θ = wΣδ_i of independent paired differences.

    The set of λ that the score test of θ = λ does not reject, |θ̂ − λ| ≤ t·√V(λ), with V the
    variance at the maximum-likelihood fit under wΣδ_i = λ, and t of Satterthwaite's degrees of
    freedom there, (ΣV_i)²/Σ(V_i²/df_i): z where all answers are independent. For one task it is the
    interval of T. Tango 1998 (Stat. Med. 17:891), which this carries over to strata as Miettinen & Nurminen
    1985 (Stat. Med. 4:213) do for independent proportions. A task in which nothing flipped widens
    it, as its true change need not be zero.

    Example:
        >>> still = Strata(np.zeros(4), np.zeros(4), np.full(4, 25.0), 1 / 4)
        >>> round(score_interval(still, level=0.95).high, 4)
        0.037
    """
    return Interval(-score_upper(strata.mirrored, level=level), score_upper(strata, level=level))


def score_upper(strata: Strata, *, level: float) -> float:
    """Return the largest λ that is not rejected; the smallest is minus that of the mirrored strata.

    λ grows with the Lagrange multiplier of its constraint, which is therefore what is searched.
    """
    estimate, most = strata.estimate, strata.weight * len(strata.n)
    if estimate >= most - TOLERANCE:
        return most

    fit_at = cache(partial(_fit, strata))

    def rejected(u: float) -> float:
        fit = fit_at(u)
        return fit.total - estimate - two_sided_quantile(level, fit.df) * math.sqrt(fit.variance)

    just_above = _root(lambda u: fit_at(u).total - estimate - TOLERANCE, first=0.0)
    if rejected(just_above) >= 0.0:
        return fit_at(just_above).total
    return min(most, fit_at(_root(rejected, first=just_above)).total)


def score_p(strata: Strata) -> float:
    """Return the two-sided p of the score test of wΣδ_i = 0, which the interval inverts."""
    estimate = strata.estimate
    if abs(estimate) < TOLERANCE:
        return 1.0
    gained = strata.mirrored if estimate > 0 else strata
    fit = _fit(gained, _root(lambda u: _fit(gained, u).total, first=0.0))
    return two_sided_p(estimate / math.sqrt(fit.variance), fit.df)


def _root(function: Callable[[float], float], *, first: float) -> float:
    """Return where an increasing function crosses zero between ``first`` and 1, or the nearer end."""
    from scipy.optimize import brentq

    last = 1.0 - 1e-12
    if function(first) >= 0.0:
        return first
    if function(last) <= 0.0:
        return last
    return float(brentq(function, first, last, xtol=1e-15, rtol=1e-13))


def _fit(strata: Strata, u: float) -> _Fit:
    """Return the fit for the multiplier η = u/(1 − u)·Σn, which pulls every difference upwards.

    The cells of a task are n_c/(g + η(1 − s_c)), s = +1 (more), −1 (less), 0 (no flip), with g ≥ 0 such
    that they sum to one; a cell of count zero takes what is left where g has come down to 0.
    """
    pull = u / (1.0 - u) * float(strata.n.sum())
    counts = np.stack([strata.more, strata.n - strata.more - strata.less, strata.less])
    further = pull * FURTHER
    gap = np.maximum((counts - further).max(axis=0), SMALLEST_GAP)
    for _ in range(NEWTON_STEPS):
        gaps = gap + further
        cells = counts / gaps
        excess = np.maximum(cells.sum(axis=0) - 1.0, 0.0)
        if float(excess.max()) <= CONVERGED:
            break
        gap = gap + excess / (cells / gaps).sum(axis=0)
    _, same, less = counts / (gap + further)
    more = 1.0 - less - same
    more = np.where((strata.more == 0) & (gap > SMALLEST_GAP), 0.0, np.maximum(more, 0.0))
    difference = more - less
    variance = np.maximum(more + less - difference**2, 0.0) / strata.n
    unsure = float((variance**2 / strata.df).sum())
    return _Fit(
        strata.weight * float(difference.sum()),
        strata.weight**2 * float(variance.sum()),
        float(variance.sum()) ** 2 / unsure if unsure else math.inf,
    )

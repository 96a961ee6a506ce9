"""Independent parts put together into one interval, each with the limits of its own method."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forgetbench.forgetting.paired import Interval, PairedEstimate

SMALLEST_P = 1e-12
"""Below it p is zero: the quantiles lose their digits."""
LARGEST_P = 0.999
"""Above it p is one."""
ROUNDING = 1e-12


@dataclass(frozen=True)
class Part:
    """An independent summand of a degradation.

    Attributes:
        estimate: Of the summand.
        low: Lower end of its interval at any level.
        high: Upper end.
        p: Two-sided p of zero by the test that the interval inverts, where it is known directly.
    """

    estimate: float
    low: Callable[[float], float]
    high: Callable[[float], float]
    p: Callable[[], float] | None = None


def scaled(estimate: PairedEstimate, weight: float) -> Part:
    """Return an estimate whose limits move away from it as quantiles of t do with the level."""
    from scipy.special import stdtrit

    value, df = estimate.degradation or 0.0, estimate.df or math.inf
    low, high = (value if end is None else end for end in (estimate.ci_low, estimate.ci_high))

    def quantile(level: float) -> float:
        return float(stdtrit(min(df, 1e9), (1.0 + level) / 2.0))

    def scale(level: float) -> float:
        return weight * quantile(level) / quantile(estimate.level)

    return Part(
        weight * value,
        lambda level: weight * value - scale(level) * max(value - low, 0.0),
        lambda level: weight * value + scale(level) * max(high - value, 0.0),
    )


def mover(estimate: float, parts: Sequence[Part], level: float) -> Interval:
    """Return L = θ̂ − √Σ(θ̂_i − l_i)² and its mirror image (Zou & Donner 2008, Stat. Med. 27:1693)."""
    return Interval(_low(estimate, parts, level), _high(estimate, parts, level))


def _low(estimate: float, parts: Sequence[Part], level: float) -> float:
    return estimate - math.hypot(*(part.estimate - part.low(level) for part in parts))


def _high(estimate: float, parts: Sequence[Part], level: float) -> float:
    return estimate + math.hypot(*(part.high(level) - part.estimate for part in parts))


def mover_p(estimate: float, parts: Sequence[Part]) -> float:
    """Return the smallest error rate at which the interval leaves zero out; 1 without a change."""
    from scipy.optimize import brentq

    if abs(estimate) < ROUNDING:
        return 1.0
    if len(parts) == 1 and parts[0].p is not None:
        return parts[0].p()

    def nearest_end(log_alpha: float) -> float:
        level = -math.expm1(log_alpha)
        return _low(estimate, parts, level) if estimate > 0 else -_high(estimate, parts, level)

    least, most = math.log(SMALLEST_P), math.log(LARGEST_P)
    if nearest_end(least) > 0.0:
        return 0.0
    if nearest_end(most) <= 0.0:
        return 1.0
    return math.exp(brentq(nearest_end, least, most, xtol=1e-7))

"""How many samples a loss needs to be seen, and how small a loss a given number shows.

Miller 2024, arXiv 2411.00640, §5: n = (z_{α/2} + z_β)²·σ²/δ² and its inverse.
"""

from __future__ import annotations

import math

from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.schema.number import LARGEST_COUNT

POWER = 0.8


def _z_sum(level: float, power: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1.0 + level) / 2.0) + ndtri(power))


def required_n(sd: float, loss: float, *, level: float = 0.95, power: float = POWER) -> int:
    """Return the number of pairs with which a loss of this size is seen with ``power``.

    Args:
        sd: Standard deviation of one paired difference: :func:`binary_sd`, :func:`mean_sd`, or
            SE·√n of a pilot (which carries its clusters along).
        loss: Degradation to detect, in the metric's units.
        level: Two-sided confidence level, 1 − α/k in a family of k.
        power: Probability of seeing it.

    Example:
        >>> required_n(mean_sd(omega2=1 / 9), 0.03)
        969
    """
    return math.ceil((_z_sum(level, power) * sd / loss) ** 2)


def smallest_detectable(sd: float, n: float, *, level: float = 0.95, power: float = POWER) -> float:
    """Return the smallest loss that ``n`` pairs show with ``power``; arguments as in :func:`required_n`."""
    return _z_sum(level, power) * sd / math.sqrt(n)


def binary_sd(flips: float, delta: float = 0.0) -> float:
    """Return the standard deviation of a paired difference of binary scores, √(flips − delta²).

    Args:
        flips: Share of samples whose correctness changes, (n10 + n01)/n.
        delta: Difference of the two accuracies.
    """
    return math.sqrt(max(flips - delta**2, 0.0))


def mean_sd(omega2: float, sigma2: float = 0.0, repeats: int = 1) -> float:
    """Return the standard deviation of a paired difference of means, √(ω² + 2σ²/K) (Miller 2024, eq. 9).

    Args:
        omega2: Variance over samples of the expected paired difference.
        sigma2: Mean variance of one arm's score on one sample, the same in both arms.
        repeats: Answers K drawn per sample in each arm.
    """
    return math.sqrt(omega2 + 2.0 * sigma2 / repeats)


def samples_needed(estimate: PairedEstimate, margin: float, *, min_n: int) -> int | None:
    """Return how many pairs an unsettled row needs; None where no number would settle it, or none below 2⁶³.

    That is the n which sees a loss of one margin with 80 % power. Where the row has more than
    that already, the true loss lies near a boundary of the verdict: then the n at which an
    interval around the same estimate would leave that boundary. Where clusters were drawn, the n is
    that of more clusters of the same size: more samples of the same ones may never settle it.
    """
    needed = _samples_needed(estimate, margin, min_n=min_n)
    return needed if needed is None or needed <= LARGEST_COUNT else None


def _samples_needed(estimate: PairedEstimate, margin: float, *, min_n: int) -> int | None:
    n, low, high, degradation = estimate.n, estimate.ci_low, estimate.ci_high, estimate.degradation
    if estimate.samples and n > estimate.samples:
        min_n = math.ceil(min_n * n / estimate.samples)
    if low is None or high is None or degradation is None or estimate.se is None:
        return min_n if n < min_n else None
    if estimate.se == 0.0 and margin < high < 1.0:
        return max(min_n, math.ceil(n * high / (1.0 - high) / margin))
    by_power = required_n(estimate.se * math.sqrt(n), margin, level=estimate.level)
    if by_power > n or n < min_n:
        return max(by_power, min_n)
    room = max(margin - degradation, degradation) if low <= 0 else abs(margin - degradation)
    return max(n + 1, math.ceil(n * ((high - low) / 2.0 / room) ** 2)) if room > 0 else None


def detectable(estimate: PairedEstimate) -> float | None:
    """Return the smallest loss that this row's pairs show with 80 % power.

    Never less than half the interval: where few binary scores flipped, or none, the plug-in
    error is too small and the score interval knows better.
    """
    if estimate.se is None or estimate.ci_low is None or estimate.ci_high is None:
        return None
    half = (estimate.ci_high - estimate.ci_low) / 2.0
    return max(smallest_detectable(estimate.se, 1, level=estimate.level), half) or None

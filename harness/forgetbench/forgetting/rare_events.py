"""The sum of few, rare and large contributions, which a bootstrap cannot give an interval for."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forgetbench.forgetting.mover import Part

FEWEST_EVENTS = 20
"""From so many events on a bootstrap draws enough of them."""
MOST_RARE = 0.2
"""Events in a larger share of the samples are not rare."""


def are_rare(events: int, n: int) -> bool:
    """Tell whether events in ``events`` of ``n`` samples are too few for a bootstrap, and rare."""
    return 0 < events < FEWEST_EVENTS and events <= MOST_RARE * n


def weighted_poisson_limit(
    weights: NDArray[np.float64], largest: float, *, level: float, upper: bool
) -> float:
    """Return one end of the mid-p gamma interval of a sum of weighted Poisson counts.

    Fay & Feuer 1997 (Stat. Med. 16:791) take the sum y, of variance v, for gamma distributed with these
    moments, and at the upper end with those of one event more of the largest weight. The mid-p interval
    (Fay & Kim 2017, Biom. J. 59:377) has its ends at the quantiles of an equal mixture of both; for equal
    weights that is the mid-p interval of a Poisson count.

    Args:
        weights: One for each event, positive; none where none was seen.
        largest: Largest weight that an event can have, > 0.
        level: Confidence level of the two-sided interval.
        upper: Which end.

    Example:
        >>> one = np.ones(1)
        >>> [round(weighted_poisson_limit(one, 1.0, level=0.95, upper=end), 2) for end in (False, True)]
        [0.05, 4.93]
    """
    from scipy.optimize import brentq
    from scipy.special import gammainc

    total, variance = float(weights.sum()), float((weights**2).sum())
    more, wider = total + largest, variance + largest**2
    wanted = (1.0 + level) / 2.0 if upper else (1.0 - level) / 2.0

    def below(value: float) -> float:
        seen = gammainc(total**2 / variance, total * value / variance) if total else 1.0
        return float(seen + gammainc(more**2 / wider, more * value / wider)) / 2.0 - wanted

    if below(0.0) >= 0.0:
        return 0.0
    top = more
    while below(top) < 0.0:
        top *= 2.0
    return float(brentq(below, 0.0, top, xtol=1e-12 * top))


def rare_parts(contributions: NDArray[np.float64]) -> list[Part]:
    """Return what the events add and what they take away, as independent summands.

    Either direction may have been met by an event of the largest size seen, also where it was met by none:
    so an interval of 4 events in one direction and none in the other holds zero, as McNemar's test has it.

    Args:
        contributions: Of each event to the degradation; at least one, none of them zero.
    """
    largest = float(np.abs(contributions).max())
    worse, better = contributions[contributions > 0], -contributions[contributions < 0]

    def end(weights: NDArray[np.float64], level: float, *, upper: bool) -> float:
        return weighted_poisson_limit(weights, largest, level=level, upper=upper)

    return [
        Part(
            float(worse.sum()),
            lambda level: end(worse, level, upper=False),
            lambda level: end(worse, level, upper=True),
        ),
        Part(
            -float(better.sum()),
            lambda level: -end(better, level, upper=True),
            lambda level: -end(better, level, upper=False),
        ),
    ]


def rare_se(contributions: NDArray[np.float64]) -> float:
    """Return the standard error of the sum of the contributions of Poisson events."""
    return math.sqrt(float((contributions**2).sum()))

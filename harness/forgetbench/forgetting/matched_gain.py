"""The learning–forgetting plane: what nothing dominates, and how methods compare at equal gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from forgetbench.forgetting.paired import FloatArray, Interval, t_interval


@dataclass(frozen=True, kw_only=True)
class PlanePoint:
    """One checkpoint: what it gained on the target and what it lost elsewhere, both positive for more."""

    gain: float
    forgetting: float


Run = Sequence[PlanePoint]
"""The checkpoints of one training run, in the order of training."""


def pareto_front(points: Sequence[PlanePoint]) -> tuple[int, ...]:
    """Return the indices of the points that no other one beats in gain and in forgetting, by rising gain.

    Of equal points the first is kept.
    """
    order = sorted(range(len(points)), key=lambda i: (-points[i].gain, points[i].forgetting))
    front: list[int] = []
    for i in order:
        if not front or points[i].forgetting < points[front[-1]].forgetting:
            front.append(i)
    return tuple(reversed(front))


def forgetting_at_gain(run: Run, gain: float) -> float | None:
    """Return a run's forgetting where training first reaches a gain, interpolated between checkpoints.

    None where the run never reaches it, or had passed it at its first checkpoint.
    """
    for before, after in pairwise(run):
        low, high = before.gain, after.gain
        if low <= gain <= high:
            share = (gain - low) / (high - low) if high > low else 0.0
            return before.forgetting + share * (after.forgetting - before.forgetting)
    return run[0].forgetting if run and run[0].gain == gain else None


def common_range(*methods: Sequence[Run]) -> tuple[float, float] | None:
    """Return the gains that every run of every method passes; None where there are none."""
    runs = [run for method in methods for run in method]
    if not all(methods) or not all(runs):
        return None
    low = max(run[0].gain for run in runs)
    high = min(max(point.gain for point in run) for run in runs)
    return (low, high) if low <= high else None


@dataclass(frozen=True, kw_only=True)
class MatchedGain:
    """Two methods at one gain.

    Attributes:
        gain: Of the target, in its metric's units.
        first: Mean forgetting of the first method's runs there; None outside the common range.
        second: Of the second's.
        difference: ``first − second``: positive where the first forgets more.
        low: Interval of the difference, over runs; None with fewer than two runs of either, and where
            neither method's runs differ.
        high: Its upper end.
    """

    gain: float
    first: float | None
    second: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None


def at_matched_gain(
    first: Sequence[Run], second: Sequence[Run], gain: float, *, level: float = 0.95
) -> MatchedGain:
    """Compare two methods where both have gained the same on the target.

    Args:
        first: Runs (seeds) of one method.
        second: Runs of the other.
        gain: Where to compare.
        level: Of the interval.

    Returns:
        Nulls where ``gain`` lies outside the common range.
    """
    shared = common_range(first, second)
    if shared is None or not shared[0] <= gain <= shared[1]:
        return MatchedGain(gain=gain, first=None, second=None, difference=None)
    values = [[forgetting_at_gain(run, gain) for run in method] for method in (first, second)]
    a, b = (np.array([v for v in column if v is not None]) for column in values)
    if len(a) < len(first) or len(b) < len(second):
        return MatchedGain(gain=gain, first=None, second=None, difference=None)
    interval = welch_interval(a, b, level=level)
    return MatchedGain(
        gain=gain,
        first=float(a.mean()),
        second=float(b.mean()),
        difference=float(a.mean() - b.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def welch_interval(first: FloatArray, second: FloatArray, *, level: float) -> Interval | None:
    """Return the t interval of a difference of means of two groups whose variances may differ.

    A bootstrap over two, three or five runs of each method covers .69, .79 or .85 at 95 %; this holds its
    level.
    Source: Welch 1947, Biometrika 34 (degrees of freedom by Welch and Satterthwaite).

    Args:
        first: Values of shape (runs,), of any unit.
        second: Those of the other group, in the same unit.
        level: Confidence level.

    Returns:
        None with fewer than two values of either, and where neither group's values differ: no spread was
        seen to make an interval of.
    """
    groups = (first, second)
    if min(map(len, groups)) < 2 or not any(np.ptp(group) for group in groups):
        return None
    squares = [float(np.var(group, ddof=1)) / len(group) for group in groups]
    shares = [square / sum(squares) for square in squares]
    df = 1.0 / sum(share**2 / (len(group) - 1) for share, group in zip(shares, groups, strict=True))
    difference = float(first.mean() - second.mean())
    return t_interval(difference, math.sqrt(sum(squares)), df, level=level)[0]

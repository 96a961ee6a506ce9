"""Forest plots: degradations with interval and margin on an axis that all rows of one unit share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forgetbench.report import numbers
from forgetbench.schema.comparison import Row

MOST_TICKS = 5
WIDEST = 4.0
"""An axis ends at this many times its largest point or margin; a longer interval ends in an arrow."""
SMALLEST, LARGEST = 1e-9, 1e9
"""What is beyond the largest, or no number, has no place on an axis."""
EDGE = 3.0
"""Room at either end of an axis, in % of the width."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where one row lies on its axis: all places in % of the width, from the left.

    Attributes:
        point: The degradation; None where it was not measured.
        low: Lower end of the interval.
        high: Upper end.
        low_is_cut: The interval goes on beyond the axis.
        high_is_cut: The same above.
        margin: Upper end of the margin band, which begins at zero.
    """

    point: float | None
    low: float | None
    high: float | None
    low_is_cut: bool
    high_is_cut: bool
    margin: float


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis of degradations: right is worse.

    Attributes:
        unit: What it counts in.
        low: Left end, in units.
        high: Right end.
        ticks: Values that are labelled, with their labels.
    """

    unit: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        """Return where a value lies, in % of the width; beyond an end, the end."""
        inner = 100 - 2 * EDGE
        within = min(max(value, self.low), self.high)
        return round(EDGE + inner * (within - self.low) / (self.high - self.low), 2)

    def mark(self, row: Row) -> Mark:
        """Return where a row lies."""
        scale = scale_of(row.metric)
        point, low, high = (_finite(value, scale) for value in (row.degradation, row.ci_low, row.ci_high))
        return Mark(
            point=None if point is None else self.place(point),
            low=None if low is None else self.place(low),
            high=None if high is None else self.place(high),
            low_is_cut=low is not None and low < self.low,
            high_is_cut=high is not None and high > self.high,
            margin=self.place(max(_finite(row.margin, scale) or 0.0, 0.0)),
        )


def unit_of(metric: str) -> str:
    """Return what degradations of a metric are counted in: all percentages are points."""
    if numbers.is_percent(metric):
        return "points"
    return "their metrics" if metric.startswith("mean of ") else metric


def scale_of(metric: str) -> float:
    """Return the factor from a metric's own units to those of its axis."""
    return 100.0 if numbers.is_percent(metric) else 1.0


def by_unit(rows: Sequence[Row]) -> Iterator[tuple[Axis, list[Row]]]:
    """Yield the rows of each unit with their axis, in the order of their first row."""
    for unit in dict.fromkeys(unit_of(row.metric) for row in rows):
        members = [row for row in rows if unit_of(row.metric) == unit]
        yield axis_of(unit, members), members


def axis_of(unit: str, rows: Sequence[Row]) -> Axis:
    """Return an axis with zero, every margin and every point, and the intervals as far as they are near."""
    known: list[float] = []
    ends: list[float] = []
    for row in rows:
        scale = scale_of(row.metric)
        known += _known(scale, row.margin, row.degradation)
        ends += _known(scale, row.ci_low, row.ci_high)
    largest = max(map(abs, known), default=0.0)
    reach = WIDEST * (largest if largest > SMALLEST else 1.0)
    near = [min(max(end, -reach), reach) for end in ends]
    low, high = min([0.0, *known, *near]), max([0.0, *known, *near])
    high = high if high > SMALLEST else max(reach, -low) / WIDEST
    low = min(low, -0.15 * (high - low))  # the zero line is never the frame
    return Axis(unit=unit, low=low, high=high, ticks=round_ticks(low, high))


def round_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return round values within an axis with their labels: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [i * step for i in range(first, last + 1)]
    return tuple((value, f"{value:+.{digits}f}" if value else "0") for value in values)


def _known(scale: float, *values: float | None) -> list[float]:
    return [found for value in values if (found := _finite(value, scale)) is not None]


def _finite(value: float | None, scale: float) -> float | None:
    return scale * value if value is not None and abs(value) < LARGEST else None

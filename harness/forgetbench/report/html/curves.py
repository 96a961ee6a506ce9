"""Curves of forgetting as SVG: each measure over training, with the bands of its intervals and of its law."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from forgetbench.report import numbers
from forgetbench.report.curves import EXPOSURE_WORDS, law_words
from forgetbench.report.escape import plain
from forgetbench.report.html.forest import round_ticks, scale_of, unit_of
from forgetbench.schema.curve import Curve, CurvePoint, LawLine, Loss, Measure

WIDTH, HEIGHT = 360.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 12.0, 36.0
MOST_MEASURES = 12
MOST_TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Line:
    """One training run, or one law.

    Attributes:
        series: Number of its method, which gives colour and marker; None for a law.
        points: In SVG units.
        band: Polygon of its interval in SVG units; empty where there is none.
    """

    label: str
    series: int | None
    points: tuple[tuple[float, float], ...]
    band: str = ""

    @property
    def path(self) -> str:
        """Points of a ``polyline``."""
        return _points(self.points)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One measure over training.

    Attributes:
        x_ticks: Places with their labels, in SVG units.
        y_ticks: The same upwards.
        zero: Height of no loss.
        table: Checkpoint, exposure, worse by and interval of each point.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    zero: float
    lines: tuple[Line, ...]
    table: tuple[tuple[str, str, str, str], ...]
    series: tuple[str, ...]


def panels(curve: Curve) -> Iterator[Panel]:
    """Yield a panel for each measure that has points."""
    for measure in curve.measures[:MOST_MEASURES]:
        if known := _known(curve, measure):
            yield _panel(curve, measure, known)


@dataclass(frozen=True)
class _Frame:
    """Logarithmic to the right, linear upwards."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        inner = WIDTH - LEFT - RIGHT
        span = math.log(self.x_high / self.x_low) or 1.0
        across = LEFT + inner * math.log(x / self.x_low) / span
        up = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - self.y_low) / (self.y_high - self.y_low)
        return round(across, 2), round(min(max(up, TOP), HEIGHT - BOTTOM), 2)


def _known(curve: Curve, measure: Measure) -> list[CurvePoint]:
    """Return the checkpoints that were measured, at an exposure that a logarithmic axis has."""
    return [point for point in curve.points if _loss(point, measure) is not None and _x(curve, point) > 0]


def _panel(curve: Curve, measure: Measure, known: Sequence[CurvePoint]) -> Panel:
    scale = scale_of(measure.metric)
    laws = [line for line in curve.lines if line.measure == measure.name and _is_drawn(line)]
    frame = _frame(curve, measure, known, laws, scale)
    groups = tuple(dict.fromkeys(point.group for point in curve.points))
    lines = [
        *(_law(frame, line, curve, scale) for line in laws),
        *_runs(frame, curve, measure, known, scale, groups),
    ]
    return Panel(
        title=plain(measure.title),
        x_label=f"{EXPOSURE_WORDS[curve.exposure]}, log scale",
        y_label=f"worse by, {_unit(measure.metric)}",
        x_ticks=tuple(_x_ticks(frame, sorted({_x(curve, point) for point in known}))),
        y_ticks=tuple(
            (frame.at(frame.x_low, y)[1], label) for y, label in round_ticks(frame.y_low, frame.y_high)
        ),
        zero=frame.at(frame.x_low, 0.0)[1],
        lines=tuple(lines),
        table=tuple(_table(curve, measure, known)),
        series=tuple(map(plain, groups)),
    )


def _unit(metric: str) -> str:
    if metric.startswith("mean of "):
        return f"{unit_of(metric)}, mean of its tasks"
    return f"points of {plain(metric)}" if scale_of(metric) == 100 else plain(metric)


def _is_drawn(line: LawLine) -> bool:
    numbers_of = (*line.x, *line.y, *(line.low or ()), *(line.high or ()))
    return bool(line.x) and min(line.x) > 0 and all(map(math.isfinite, numbers_of))


def _frame(
    curve: Curve, measure: Measure, known: Sequence[CurvePoint], laws: Sequence[LawLine], scale: float
) -> _Frame:
    xs = [_x(curve, point) for point in known] + [x for line in laws for x in line.x]
    ys = [0.0] + [scale * y for line in laws for y in line.y]
    for point in known:
        loss = _loss(point, measure)
        assert loss is not None
        ys += [
            scale * y
            for y in (loss.degradation, loss.ci_low, loss.ci_high)
            if y is not None and math.isfinite(y)
        ]
    pad = 0.06 * ((max(ys) - min(ys)) or 1.0)
    edge = (max(xs) / min(xs)) ** 0.03  # no marker lies on the frame
    return _Frame(min(xs) / edge, max(xs) * edge, min(ys) - pad, max(ys) + pad)


def _runs(
    frame: _Frame,
    curve: Curve,
    measure: Measure,
    known: Sequence[CurvePoint],
    scale: float,
    groups: Sequence[str],
) -> Iterator[Line]:
    for (group, run), members in groupby(known, key=lambda point: (point.group, point.run)):
        points, low, high = [], [], []
        for point in members:
            loss, x = _loss(point, measure), _x(curve, point)
            assert loss is not None and loss.degradation is not None
            points.append(frame.at(x, scale * loss.degradation))
            if loss.ci_low is not None and loss.ci_high is not None:
                low.append(frame.at(x, scale * loss.ci_low))
                high.append(frame.at(x, scale * loss.ci_high))
        band = _points([*high, *reversed(low)]) if len(low) == len(points) > 1 else ""
        yield Line(label=plain(run or group), series=groups.index(group), points=tuple(points), band=band)


def _law(frame: _Frame, line: LawLine, curve: Curve, scale: float) -> Line:
    points = tuple(frame.at(x, scale * y) for x, y in zip(line.x, line.y, strict=True))
    band = ""
    if line.low is not None and line.high is not None:
        low = [frame.at(x, scale * y) for x, y in zip(line.x, line.low, strict=True)]
        high = [frame.at(x, scale * y) for x, y in zip(line.x, line.high, strict=True)]
        band = _points([*high, *reversed(low)])
    label = f"{plain(line.method)}: {law_words(line.law, curve.exposure)}"
    return Line(label=label, series=None, points=points, band=band)


def _x_ticks(frame: _Frame, measured: Sequence[float]) -> Iterator[tuple[float, str]]:
    """Yield the exposures that were measured, where they are few and apart; else round numbers."""
    nearest = min((math.log(other / one) for one, other in pairwise(measured)), default=1.0)
    width = math.log(frame.x_high / frame.x_low)
    are_apart = len(measured) <= MOST_TICKS and nearest * 2 * MOST_TICKS >= width
    for value in measured if are_apart else _round_exposures(frame):
        if frame.x_low <= value <= frame.x_high:
            yield frame.at(value, 0.0)[0], numbers.count(value) if value >= 1 else f"{value:g}"


def _round_exposures(frame: _Frame) -> Iterator[float]:
    """Yield powers of ten about the frame, with 2 and 5 times them where few are."""
    first, last = math.floor(math.log10(frame.x_low)), math.ceil(math.log10(frame.x_high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    yield from (factor * 10.0**power for power in range(first, last + 1) for factor in factors)


def _table(
    curve: Curve, measure: Measure, known: Sequence[CurvePoint]
) -> Iterator[tuple[str, str, str, str]]:
    for point in known:
        loss = _loss(point, measure)
        assert loss is not None
        yield (
            plain(point.checkpoint, limit=60),
            f"{_x(curve, point):g}",
            numbers.difference(loss.degradation, metric=measure.metric),
            numbers.interval(loss.ci_low, loss.ci_high, metric=measure.metric) or numbers.MISSING,
        )


def _loss(point: CurvePoint, measure: Measure) -> Loss | None:
    return next(
        (each for each in point.losses if each.measure == measure.name and each.degradation is not None), None
    )


def _x(curve: Curve, point: CurvePoint) -> float:
    return float(getattr(point.training, curve.exposure) or 0.0)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)

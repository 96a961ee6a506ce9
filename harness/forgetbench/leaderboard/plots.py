"""Plots as numbers: where points, lines and ticks lie in an SVG that a template draws."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from forgetbench.forgetting.matched_gain import PlanePoint, pareto_front
from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.entries import Entry
from forgetbench.report import numbers

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 14, 52
SHAPES = ("circle", "square", "triangle", "diamond")
MOST_LINES = len(SHAPES) * 2


class Tick(NamedTuple):
    """A tick of an axis, in SVG units, and its label."""

    at: float
    label: str


class Mark(NamedTuple):
    """One entry in a plot."""

    x: float
    y: float
    label: str
    key: str
    shape: str
    on_front: bool


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plane with axes; all coordinates in SVG units, y downwards."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    margin_y: float | None
    """Where a loss of one margin lies."""
    marks: tuple[Mark, ...]
    lines: tuple[tuple[str, str], ...]
    """Label and points of each line."""
    shapes: tuple[str, ...] = SHAPES[:1]
    """Of the marks on each line, in turn: filled the first time round."""


class Axis:
    """A linear or logarithmic scale from values to SVG units."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool = False) -> None:
        self.log = log
        low, high = min(values), max(values)
        if log:
            low, high = math.log10(low), math.log10(high)
        pad = (high - low) * 0.06 or (0.5 if log else max(abs(high) * 0.1, 0.1))
        self.low, self.high = low - pad, high + pad
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        value = math.log10(value) if self.log else value
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, label: Callable[[float], str]) -> tuple[Tick, ...]:
        """Return about five ticks at round values."""
        if self.log:
            values = [
                m * 10**e for e in range(math.floor(self.low), math.ceil(self.high) + 1) for m in (1, 2, 5)
            ]
            inside = [v for v in values if self.low <= math.log10(v) <= self.high]
            step = max(1, math.ceil(len(inside) / 6))
            return tuple(Tick(self(v), label(v)) for v in inside[::step])
        raw = (self.high - self.low) / 5
        magnitude = 10 ** math.floor(math.log10(raw))
        step_size = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= raw)
        first = math.ceil(self.low / step_size)
        count = math.floor(self.high / step_size) - first + 1
        at = [round((first + i) * step_size, 10) for i in range(count)]
        return tuple(Tick(self(value), label(value)) for value in at)


def pareto(entries: Sequence[Entry], columns: Sequence[Column]) -> Plot | None:
    """Return gain on the first target column against the worst loss; without a target, trained parameters.

    None with fewer than two entries that have both.
    """
    target = next((i for i, column in enumerate(columns) if column.role == "target"), None)
    points = []
    for entry in entries:
        x: float | None = parameters_of(entry)
        if target is not None:
            cell = entry.cells[target]
            x = None if cell is None or cell.margins_lost is None else -cell.margins_lost
        if entry.worst is not None and x is not None and (target is not None or x > 0):
            points.append((entry, float(x), entry.worst))
    if len(points) < 2:
        return None
    gain_sign = 1 if target is not None else -1
    front = set(pareto_front([PlanePoint(gain=gain_sign * x, forgetting=y) for _, x, y in points]))
    x_axis = Axis([x for _, x, _ in points], LEFT, WIDTH - RIGHT, log=target is None)
    y_axis = _loss_axis([y for *_, y in points])
    marks = tuple(
        Mark(x_axis(x), y_axis(y), name_of(entry), entry.key, "circle", i in front)
        for i, (entry, x, y) in enumerate(points)
    )
    line = " ".join(f"{mark.x},{mark.y}" for mark in sorted(m for m in marks if m.on_front))
    label = f"gain in {columns[target].title}, in margins" if target is not None else "trained parameters"
    return Plot(
        title="Gained and lost",
        x_label=label,
        y_label="worst loss, in margins",
        x_ticks=x_axis.ticks(_short if target is not None else numbers.count),
        y_ticks=y_axis.ticks(_short),
        margin_y=y_axis(1.0),
        marks=marks,
        lines=(("no other entry gains more and loses less", line),),
    )


def curves(entries: Sequence[Entry]) -> Plot | None:
    """Return the worst loss over training steps, a line for each training run; None without any line.

    Where the run is not known, a base, a method and a number of trained parameters make a line.
    """
    groups: dict[tuple[str, str], list[tuple[int, float, Entry]]] = defaultdict(list)
    for entry in entries:
        steps = steps_of(entry)
        if steps and entry.worst is not None:
            run = (
                entry.training.run or f"{method_of(entry)}, {numbers.count(parameters_of(entry))} parameters"
            )
            groups[entry.comparison.base.fingerprint, run].append((steps, entry.worst, entry))
    lines = {k: v for k, v in groups.items() if len({steps for steps, *_ in v}) > 1}
    if not lines:
        return None
    chosen = sorted(lines.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_LINES]
    every = [point for _, points in chosen for point in points]
    bases = {base for (base, _), _ in chosen}
    x_axis = Axis([float(steps) for steps, *_ in every], LEFT, WIDTH - RIGHT, log=True)
    y_axis = _loss_axis([worst for _, worst, _ in every])
    marks, drawn = [], []
    for i, ((_, run), points) in enumerate(chosen):
        points.sort(key=lambda point: point[:2])
        at = [(x_axis(steps), y_axis(worst)) for steps, worst, _ in points]
        base = points[0][2].comparison.base.name
        label = run if len(bases) == 1 else f"{run} on {base}"
        drawn.append((label, " ".join(f"{x},{y}" for x, y in at)))
        marks += [
            Mark(x, y, name_of(entry), entry.key, SHAPES[i % len(SHAPES)], i < len(SHAPES))
            for (x, y), (*_, entry) in zip(at, points, strict=True)
        ]
    return Plot(
        title="Over training",
        x_label="training steps",
        y_label="worst loss, in margins",
        x_ticks=x_axis.ticks(lambda value: f"{value:g}"),
        y_ticks=y_axis.ticks(_short),
        margin_y=y_axis(1.0),
        shapes=SHAPES,
        marks=tuple(marks),
        lines=tuple(drawn),
    )


class Bar(NamedTuple):
    """One row of a forest plot: interval and estimate of the degradation, in SVG units."""

    low: float
    at: float
    high: float
    cut_low: bool
    """The lower end lies outside of the plot."""
    cut_high: bool


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Degradations of one entry on one scale, in units of their margins."""

    bars: tuple[Bar | None, ...]
    ticks: tuple[Tick, ...]
    zero: float
    margin: float


FOREST_WIDTH, FOREST_MOST = 300, 6.0


def forest(entry: Entry, columns: Sequence[Column]) -> Forest | None:
    """Return the forest plot of an entry; None where nothing has an interval."""
    scaled = []
    for cell, column in zip(entry.cells, columns, strict=True):
        row = cell.row if cell is not None else None
        ends = (row.ci_low, row.degradation, row.ci_high) if row is not None else (None, None, None)
        known = [value / column.margin for value in ends if value is not None]
        scaled.append(tuple(known) if len(known) == 3 else None)
    values = [min(max(v, -FOREST_MOST), FOREST_MOST) for three in scaled if three for v in three]
    if not values:
        return None
    axis = Axis([*values, 0.0, 1.0], 8, FOREST_WIDTH - 8)
    bars: list[Bar | None] = []
    for three in scaled:
        if three is None:
            bars.append(None)
            continue
        low, middle, high = (axis(min(max(value, -FOREST_MOST), FOREST_MOST)) for value in three)
        bars.append(Bar(low, middle, high, three[0] < -FOREST_MOST, three[2] > FOREST_MOST))
    return Forest(bars=tuple(bars), ticks=axis.ticks(_short), zero=axis(0.0), margin=axis(1.0))


def name_of(entry: Entry) -> str:
    """Return base → checkpoint, with method and steps where they are known."""
    steps = steps_of(entry)
    how = [method_of(entry), None if steps is None else f"{steps} steps"]
    pair = f"{entry.comparison.base.name} → {entry.comparison.checkpoint.name}"
    return ", ".join([pair, *filter(None, how)])


def method_of(entry: Entry) -> str | None:
    """Return how the checkpoint was made: as its own files say, else its submitter."""
    return entry.training.method or (entry.submission.method if entry.submission else None)


def steps_of(entry: Entry) -> int | None:
    """Return the training steps, by the same order of sources."""
    return entry.training.steps if entry.training.steps is not None else _said(entry, "steps")


def parameters_of(entry: Entry) -> int | None:
    """Return the number of trained parameters, by the same order of sources."""
    own = entry.training.trained_parameters
    return own if own is not None else _said(entry, "trained_parameters")


def _said(entry: Entry, field: str) -> int | None:
    return getattr(entry.submission, field) if entry.submission is not None else None


def _loss_axis(values: Sequence[float]) -> Axis:
    return Axis([*values, 0.0, 1.0], HEIGHT - BOTTOM, TOP)


def _short(value: float) -> str:
    return f"{value:g}"

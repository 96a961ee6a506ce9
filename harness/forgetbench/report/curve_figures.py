"""The figure of a curve: each measure over training with its law, and the learning–forgetting plane."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, get_args

from forgetbench.report import numbers
from forgetbench.report.curves import EXPOSURE_WORDS, law_words
from forgetbench.report.escape import plain
from forgetbench.schema.curve import Curve, CurvePoint, LawLine, Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d46")
"""Told apart by colour-blind readers (Okabe & Ito 2008; the last is a dark brown); markers repeat them."""
MARKERS = "osD^vPX*<>p"
"""More than there are colours: a colour that comes again has another."""
MOST_PANELS = 8
MOST_MARKS = 12
_NO_DATE: dict[Format, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def draw_curve(curve: Curve) -> dict[Format, bytes]:
    """Return the figure in each format, the same bytes each time."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "forgetbench", "svg.fonttype": "path", "pdf.fonttype": 42}):
        measures = curve.measures[:MOST_PANELS]
        plane = bool(measures) and any(point.on_front is not None for point in curve.points)
        n = max(len(measures) + plane, 1)
        figure = Figure(figsize=(6.4, 3.0 * n), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(n, 1, squeeze=False)[:, 0]
        for panel, measure in zip(panels, measures, strict=False):
            _draw_measure(panel, curve, measure)
        if plane:
            _draw_plane(panels[-1], curve, measures[0])
        return {suffix: _saved(figure, suffix) for suffix in FORMATS}


def _saved(figure: Figure, suffix: Format) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=suffix, dpi=150, metadata=_NO_DATE[suffix])
    return file.getvalue()


def _draw_measure(panel: Axes, curve: Curve, measure: Measure) -> None:
    scale = _scale(measure.metric)
    colours: dict[str, str] = {}
    for i, (group, run, members) in _runs(curve):
        losses = [next(loss for loss in p.losses if loss.measure == measure.name) for p in members]
        known = [
            (_x(curve, p), loss)
            for p, loss in zip(members, losses, strict=True)
            if loss.degradation is not None
        ]
        xs, ys = [x for x, _ in known], [scale * (loss.degradation or 0.0) for _, loss in known]
        colour = COLOURS[i % len(COLOURS)]
        colours[group] = colour
        panel.plot(
            xs,
            ys,
            MARKERS[i % len(MARKERS)] + "-",
            color=colour,
            markersize=4,
            linewidth=1,
            label=run and group,
        )
        if all(loss.ci_low is not None and loss.ci_high is not None for _, loss in known):
            low = [scale * (loss.ci_low or 0.0) for _, loss in known]
            high = [scale * (loss.ci_high or 0.0) for _, loss in known]
            panel.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
    for line in curve.lines:
        if line.measure == measure.name:
            _draw_law(panel, curve, line, scale, colour=colours.get(line.method, "0.3"))
    panel.axhline(0.0, color="0.6", linewidth=0.8)
    panel.set_xscale("log")
    _mark_amounts(panel, sorted({_x(curve, point) for point in curve.points}))
    panel.set_xlabel(f"{EXPOSURE_WORDS[curve.exposure]} (log scale)")
    panel.set_ylabel("worse by" + (", points" if scale == 100 else ""))
    title = f"{plain(measure.title, limit=50)} ({plain(measure.metric, limit=40)})"
    panel.set_title(title, parse_math=False, fontsize=10)
    _legend(panel)


def _mark_amounts(panel: Axes, amounts: Sequence[float]) -> None:
    """Put the marks of a logarithmic axis where checkpoints are, if they are few."""
    if len(amounts) <= MOST_MARKS:
        panel.set_xticks(amounts, [f"{amount:g}" for amount in amounts])
        panel.set_xticks([], minor=True)


def _draw_law(panel: Axes, curve: Curve, line: LawLine, scale: float, *, colour: str) -> None:
    label = f"{line.method}: {law_words(line.law, curve.exposure)}"
    panel.plot(line.x, [scale * y for y in line.y], "--", color=colour, linewidth=1, label=label)
    if line.low is not None and line.high is not None:
        low, high = ([scale * y for y in ends] for ends in (line.low, line.high))
        panel.fill_between(
            line.x, low, high, facecolor="none", edgecolor=colour, hatch="///", alpha=0.4, linewidth=0
        )


def _draw_plane(panel: Axes, curve: Curve, measure: Measure) -> None:
    metric = curve.target.metric if curve.target else ""
    across, up = _scale(metric), _scale(measure.metric)
    front = []
    for i, (group, _, members) in _runs(curve):
        known = [p for p in members if p.on_front is not None]
        at = [(across * (p.target_gain or 0.0), up * _degradation(p, measure)) for p in known]
        front += [place for p, place in zip(known, at, strict=True) if p.on_front]
        panel.plot(
            [x for x, _ in at], [y for _, y in at], MARKERS[i % len(MARKERS)] + "-", label=group,
            color=COLOURS[i % len(COLOURS)], markersize=4, linewidth=1,
        )  # fmt: skip
    front.sort()
    panel.plot([x for x, _ in front], [y for _, y in front], ":", color="0.3", label="Pareto front")
    gain = (
        f"gain on {plain(curve.target.title, limit=50)} ({metric})" if curve.target else "gain on the target"
    )
    panel.set_xlabel(gain, parse_math=False)
    panel.set_ylabel(fill(f"{plain(measure.title, limit=40)}: worse by", 26), parse_math=False)
    panel.set_title("Learning and forgetting", fontsize=10)
    _legend(panel)


def _legend(panel: Axes) -> None:
    handles, labels = panel.get_legend_handles_labels()
    first = dict(zip(reversed(labels), reversed(handles), strict=True))
    legend = panel.legend(
        [first[name] for name in dict.fromkeys(labels)],
        [plain(name) for name in dict.fromkeys(labels)],
        frameon=False,
        fontsize=7,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _runs(curve: Curve) -> Iterator[tuple[int, tuple[str, str, list[CurvePoint]]]]:
    """Yield the runs with the number of their group, which gives them their colour."""
    groups = list(dict.fromkeys(point.group for point in curve.points))
    for (group, run), members in groupby(curve.points, key=lambda p: (p.group, p.run)):
        yield groups.index(group), (group, run, list(members))


def _x(curve: Curve, point: CurvePoint) -> float:
    return float(getattr(point.training, curve.exposure))


def _degradation(point: CurvePoint, measure: Measure) -> float:
    return next(loss.degradation or 0.0 for loss in point.losses if loss.measure == measure.name)


def _scale(metric: str) -> float:
    return 100.0 if metric and numbers.is_percent(metric) else 1.0

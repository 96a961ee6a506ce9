"""The curve over a user's own audio: as a table, a CSV file and a drawing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.atomic import write_atomically
from forgetbench.forgetting.adaptability import AdaptabilityCurve, Point
from forgetbench.forgetting.verdict import margins_lost
from forgetbench.metrics.registry import find
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid
from forgetbench.report.markup import csv_text
from forgetbench.schema.comparison import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE_NAME = "adaptability"
_HEADER = "Own audio"
_COLUMNS = (
    "checkpoint", "task", "metric", "n", "base", "score", "degradation", "ci_low", "ci_high", "level",
    "worst_general_task", "worst_general_metric", "worst_general_degradation", "worst_general_margins",
)  # fmt: skip
_INK, _LOSS = "#0072b2", "#d55e00"  # told apart by colour-blind readers too


def adaptability_table(curves: Sequence[AdaptabilityCurve]) -> RenderableType:
    """Show each target's score, how much worse it is than the base's, and the worst general loss."""
    parts: list[RenderableType] = []
    for curve in curves:
        parts += [Text(), Text(f"{_HEADER} and {plain(curve.target.title)}", style="bold")]
        headers = (_HEADER, curve.target.metric, "Worse by", "Interval", "Worst general loss")
        grid = ruled_grid(*headers, right={_HEADER, curve.target.metric, "Worse by"})
        base = numbers.value(curve.target.base, metric=curve.target.metric)
        grid.add_row(Text("base", style="dim"), Text(base, style="dim"))
        for point in curve.points:
            grid.add_row(*_cells(point))
        parts.append(grid)
    return Group(*parts)


def _cells(point: Point) -> Iterator[Text]:
    row, metric = point.target, point.target.metric
    yield Text(f"{point.audio_s:.1f} s")
    yield Text(numbers.value(row.checkpoint, metric=metric))
    yield Text(numbers.difference(row.degradation, metric=metric), style="bold")
    yield Text(numbers.interval(row.ci_low, row.ci_high, metric=metric), style="dim")
    worst = point.worst_general
    if worst is None:
        yield Text("not measured", style="dim")
    else:
        loss = numbers.difference(worst.degradation, metric=worst.metric)
        yield Text(f"{loss} {plain(worst.title)} ({margins_lost(worst):.1f} margins)")


def write_csv(curves: Sequence[AdaptabilityCurve], path: Path) -> None:
    """Write one line per target and checkpoint; what is not known is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("audio_s", *_COLUMNS))
    for curve in curves:
        for point in curve.points:
            row, worst = point.target, point.worst_general
            general = (worst.name, worst.metric, worst.degradation, margins_lost(worst)) if worst else ()
            own = (row.name, row.metric, row.n, row.base, row.checkpoint, row.degradation)
            interval = (row.ci_low, row.ci_high, row.level)
            line = (point.audio_s, point.checkpoint, *own, *interval, *general)
            cells = [csv_text(cell) if isinstance(cell, str) else cell for cell in line]
            writer.writerow([*cells, *[""] * (1 + len(_COLUMNS) - len(line))])
    write_atomically(path, text.getvalue().encode())


def draw(curves: Sequence[AdaptabilityCurve], path: Path) -> None:
    """Draw the targets below each other, and the worst general loss last, as PNG with a logarithmic x."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    has_general = any(point.worst_general for point in curves[0].points)
    n_panels = len(curves) + has_general
    figure = Figure(figsize=(6.4, 2.8 * n_panels), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]
    for panel, curve in zip(panels, curves, strict=False):
        _draw_target(panel, curve)
    if has_general:
        _draw_general(panels[-1], curves[0])
    _draw_axis(panels[-1], curves[0])
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150, metadata={"Software": None})
    write_atomically(path, image.getvalue())


def _draw_target(panel: Axes, curve: AdaptabilityCurve) -> None:
    scale = 100 if numbers.is_percent(curve.target.metric) else 1
    xs = [point.audio_s for point in curve.points]
    scores = [scale * (point.target.checkpoint or 0.0) for point in curve.points]
    panel.plot(xs, scores, "o-", color=_INK, label="checkpoint, interval of its change")
    for point in curve.points:
        if (interval := score_interval(point.target)) is not None:
            ends = [scale * end for end in interval]
            panel.plot([point.audio_s, point.audio_s], ends, color=_INK, alpha=0.5, linewidth=2)
    if curve.target.base is not None:
        panel.axhline(scale * curve.target.base, color="0.4", linestyle="--", label="base")
    unit = " / %" if scale == 100 else ""
    panel.set_ylabel(f"{plain(curve.target.metric)}{unit}", parse_math=False)
    panel.set_title(plain(curve.target.title, limit=70), parse_math=False, fontsize=10)
    panel.legend(frameon=False, fontsize=8)


def score_interval(row: Row) -> tuple[float, float] | None:
    """Return the interval of the degradation, laid about the base's score and cut at the metric's bounds."""
    if row.base is None or row.ci_low is None or row.ci_high is None:
        return None
    sign = -1.0 if row.higher_is_better else 1.0
    ends = sorted((row.base + sign * row.ci_low, row.base + sign * row.ci_high))
    best, worst = (spec.best, spec.worst) if (spec := find(row.metric)) else (None, None)
    lowest, highest = (worst, best) if row.higher_is_better else (best, worst)
    return (
        ends[0] if lowest is None else max(ends[0], lowest),
        ends[1] if highest is None else min(ends[1], highest),
    )


def _draw_general(panel: Axes, curve: AdaptabilityCurve) -> None:
    known = [
        (point.audio_s, margins_lost(point.worst_general)) for point in curve.points if point.worst_general
    ]
    panel.plot([x for x, _ in known], [loss for _, loss in known], "s-", color=_LOSS)
    panel.axhline(1.0, color="0.4", linestyle=":")
    panel.set_ylabel("worst general loss / margins")


def _draw_axis(panel: Axes, curve: AdaptabilityCurve) -> None:
    from matplotlib.ticker import NullLocator

    xs = sorted({point.audio_s for point in curve.points})
    panel.set_xscale("log")
    panel.set_xticks(xs, [f"{x:.3g}" for x in xs], rotation=45)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("own audio / s (log scale)")

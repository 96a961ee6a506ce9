"""The learning–forgetting line: as a table with its conclusion, and as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.atomic import write_atomically
from forgetbench.forgetting.alpha_line import AlphaLine, AlphaPoint, gain, regresses_nowhere
from forgetbench.forgetting.verdict import margins_lost, worst_general
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid
from forgetbench.report.markup import csv_text

FILE_NAME = "alpha_line.csv"
_COLUMNS = (
    "alpha", "gain_margins", "worst_general_task", "worst_general_margins", "decision",
    "gain_margins_first_half", "regresses_first_half", "gain_margins_second_half", "regresses_second_half",
    "chosen", "confirmed", "gain_kept",
)  # fmt: skip


def alpha_table(line: AlphaLine) -> RenderableType:
    """Show each α's gain and worst loss, and which one keeps the gain."""
    headers = ("α", "Gain", "Worst general loss", "First half", "Second half")
    grid = ruled_grid(*headers, right={"α", "Gain"})
    for point in line.points:
        grid.add_row(*_cells(point))
    title = Text("Learning and forgetting by α", style="bold")
    return Group(Text(), title, grid, Text(conclusion(line), style="bold"))


def conclusion(line: AlphaLine) -> str:
    """Return in one sentence which α keeps the gain without a regression."""
    if line.chosen is None:
        if all(gain(point.whole) is None for point in line.points):
            return "No α is chosen: no task of the role target was measured. Add --target FILE."
        return "No α gains without a regression on the first half of the items."
    kept = (
        f" keeps {numbers.share(line.gain_kept)} of the gain" if line.gain_kept is not None else " is chosen"
    )
    held = "confirmed" if line.is_confirmed else "NOT confirmed"
    return f"α = {line.chosen.alpha:g}{kept} without a regression on the first half; {held} on the second."


def write_csv(line: AlphaLine, path: Path) -> None:
    """Write one line per α; what is not known is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for point in line.points:
        worst = worst_general(point.whole)
        halves = [
            value
            for half in (point.chosen_on, point.confirmed_on)
            for value in (gain(half), not regresses_nowhere(half))
        ]
        general = (csv_text(worst.name), margins_lost(worst)) if worst else (None, None)
        decision = point.whole.decision
        is_chosen = point is line.chosen
        found = (is_chosen, line.is_confirmed, line.gain_kept) if is_chosen else (is_chosen, None, None)
        writer.writerow((point.alpha, gain(point.whole), *general, decision, *halves, *found))
    write_atomically(path, text.getvalue().encode())


def line_json(line: AlphaLine) -> dict[str, Any]:
    """Return a line as values for JSON; gains in margins of the targets, None where unknown."""
    return {
        "chosen": line.chosen and line.chosen.alpha,
        "is_confirmed": line.is_confirmed,
        "gain_kept": line.gain_kept,
        "conclusion": conclusion(line),
        "points": [
            {
                "alpha": point.alpha,
                "decision": point.whole.decision,
                "gain_margins": gain(point.whole),
                "regresses_nowhere": regresses_nowhere(point.whole),
            }
            for point in line.points
        ],
    }


def _cells(point: AlphaPoint) -> Iterator[Text]:
    worst = worst_general(point.whole)
    yield Text(f"{point.alpha:g}")
    yield Text(_margins(gain(point.whole)))
    if worst is None:
        yield Text("not measured", style="dim")
    else:
        loss = numbers.difference(worst.degradation, metric=worst.metric)
        yield Text(f"{loss} {plain(worst.title)} ({margins_lost(worst):.1f} margins)")
    for half in (point.chosen_on, point.confirmed_on):
        yield Text(_margins(gain(half)) + ("" if regresses_nowhere(half) else ", regresses"))


def _margins(number: float | None) -> str:
    return numbers.MISSING if number is None else f"{number:+.1f} margins"

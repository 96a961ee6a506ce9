"""The plan of a sweep as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table

from forgetbench.report.escape import plain


class SweepLine(NamedTuple):
    """One training of a sweep."""

    name: str
    steps: int
    checkpoints: int
    measured: int
    seconds: float


def sweep_table(lines: Sequence[SweepLine]) -> Table:
    """Return a line for each training, and their sum."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    left = sum(line.seconds for line in lines)
    to_measure = sum(line.checkpoints for line in lines)
    table.add_column("training", footer=f"{len(lines)} trainings")
    table.add_column("steps", justify="right")
    table.add_column("to measure", justify="right", footer=str(to_measure))
    table.add_column("measured", justify="right", footer=str(sum(line.measured for line in lines)))
    table.add_column("time left, about", justify="right", footer=duration(left))
    for line in lines:
        done = line.measured >= line.checkpoints
        row = (line.name, str(line.steps), str(line.checkpoints), str(line.measured))
        table.add_row(*map(plain, row), "done" if done else duration(line.seconds))
    return table


def duration(seconds: float) -> str:
    """Return hours and minutes."""
    minutes = max(1, round(seconds / 60)) if seconds > 0 else 0
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"

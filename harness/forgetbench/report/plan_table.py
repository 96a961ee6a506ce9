"""The plan before a run: what it will do, and what it can see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid


@dataclass(frozen=True)
class PlanLine:
    """One task of the plan that is shown before a run."""

    task: str
    role: str
    n: int
    smallest_detectable: str
    """Degradation that this n detects with 80 % power, with its unit."""
    seconds: float | None
    """Estimated time for both arms; None where nothing was measured yet."""
    download: str
    note: str


def plan_table(lines: Iterable[PlanLine]) -> RenderableType:
    """Show what a run will do and what it can see, before it starts."""
    lines = list(lines)
    table = ruled_grid("Task", "Role", "n", "Detects", "Time", "Download", "", right={"n", "Detects", "Time"})
    for line in lines:
        table.add_row(
            Text(plain(line.task)),
            Text(line.role, style="dim"),
            Text(str(line.n)),
            Text(plain(line.smallest_detectable) or numbers.MISSING),
            Text(numbers.seconds(line.seconds)),
            Text(plain(line.download) or numbers.MISSING),
            Text(plain(line.note), style="dim"),
        )
    known = [line.seconds for line in lines if line.seconds is not None]
    total = f"{len(lines)} tasks, {sum(line.n for line in lines)} samples"
    if known:
        total += f", about {numbers.seconds(sum(known))}" + ("" if len(known) == len(lines) else " or more")
    legend = ". Detects: the smallest loss that this n shows with 80 % power."
    return Group(table, Text(), Text.assemble((total, "bold"), (legend, "dim")))

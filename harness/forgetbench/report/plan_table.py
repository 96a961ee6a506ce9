"""The plan before a run: what it will do, and what it can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import bullets, ruled_grid


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
    skipped: str
    """Why the task is not run; empty where it is."""


def plan_table(lines: Iterable[PlanLine]) -> RenderableType:
    """Show what a run will do and what it can see, before it starts; below, what it leaves out and why."""
    lines = list(lines)
    run = [line for line in lines if not line.skipped]
    total = f"{len(run)} task{'s' * (len(run) != 1)}, {sum(line.n for line in run)} samples"
    known = [line.seconds for line in run if line.seconds is not None]
    if known:
        total += f", about {numbers.seconds(sum(known))}" + ("" if len(known) == len(run) else " or more")
    legend = ". Detects: the smallest loss that this n shows with 80 % power."
    return Group(
        _table(run),
        *bullets("Not measured", list(_by_reason(lines)), "yellow"),
        Text(),
        Text.assemble((total, "bold"), (legend, "dim")),
    )


def _table(lines: Sequence[PlanLine]) -> Table:
    downloads = any(line.download for line in lines)
    last = ("Download",) if downloads else ()
    table = ruled_grid("Task", "Role", "n", "Detects", "Time", *last, right={"n", "Detects", "Time"})
    for line in lines:
        table.add_row(
            Text(plain(line.task)),
            Text(line.role, style="dim"),
            Text(str(line.n)),
            Text(plain(line.smallest_detectable) or numbers.MISSING),
            Text(numbers.seconds(line.seconds)),
            *((Text(plain(line.download) or numbers.MISSING),) if downloads else ()),
        )
    return table


def _by_reason(lines: Iterable[PlanLine]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for line in lines:
        if line.skipped:
            reasons.setdefault(line.skipped, []).append(line.task)
    for reason, tasks in reasons.items():
        yield f"{', '.join(tasks)}: {reason}"

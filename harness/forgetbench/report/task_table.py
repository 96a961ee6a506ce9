"""The tasks that can be measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid
from forgetbench.schema.task import DatasetTask, SuiteRow, Task

WIDE = 120
"""Columns in which every name and every other column fits."""


def task_table(
    tasks: Iterable[Task | SuiteRow], counts: Mapping[str, int | None], *, width: int = WIDE
) -> RenderableType:
    """Show the tasks that can be measured, suite by suite.

    Args:
        tasks: The definitions.
        counts: Number of samples by task name; None where only a download would tell.
        width: Columns to fill: where they are few, names are folded so that no other column is lost.
    """
    table = ruled_grid("Task", "Role", "Needs", "n", "Size", "Gated", "Licence", right={"n", "Size"})
    if width >= WIDE:
        table.columns[0].min_width = max((len(task.name) for task in tasks), default=0)
    suite: str | None = None
    for task in sorted(tasks, key=lambda task: (task.suites, task.name)):
        if (found := ", ".join(task.suites) or "no suite") != suite:
            suite = found
            table.add_row(Text(plain(suite), style="bold"))
        count = counts.get(task.name)
        table.add_row(
            Text(task.name, overflow="fold", no_wrap=width >= WIDE),
            Text(task.role, style="dim"),
            Text("its tasks" if isinstance(task, SuiteRow) else task.capability, style="dim"),
            Text(numbers.MISSING if count is None else str(count)),
            Text(plain(task.size) or _size(task), style="dim"),
            Text("yes" if task.gated else "no", style="dim"),
            Text(plain(task.licence), style="dim"),
        )
    untried = sum(not task.verified for task in tasks)
    note = f"{untried} tasks of the hub suites follow their data sets' cards and were not run by the project."
    return Group(table, Text(f"\n{note}" if untried else "", style="dim"))


def _size(task: Task | SuiteRow) -> str:
    """Return what stands for a download size that the definition does not state."""
    if isinstance(task, SuiteRow):
        return "its tasks"
    return "embedded" if isinstance(task, DatasetTask) and task.dataset.path is not None else "unknown"

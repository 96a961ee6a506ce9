"""A checkpoint without a base."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from forgetbench.metrics.word_classes import WORD_CLASSES
from forgetbench.report import numbers
from forgetbench.report.cost import cost_section
from forgetbench.report.escape import plain
from forgetbench.report.layout import bullets, fingerprint, ruled_grid
from forgetbench.report.signs import ROLE_TITLES, ROLES
from forgetbench.schema.cost import Cost
from forgetbench.schema.run import RunDocument, TaskResult


def single_table(run: RunDocument) -> RenderableType:
    """Show one arm alone: what a checkpoint without a base scored, and what that cannot say."""
    table = ruled_grid("Task", "Metric", "Score", "n", right={"Score", "n"})
    for role in ROLES:
        tasks = [task for task in run.tasks if task.role == role]
        if tasks:
            if table.row_count:
                table.add_row()
            table.add_row(Text(ROLE_TITLES[role], style="bold"))
        for task in tasks:
            _add_single(table, task)
    last = Text("No base: this is the checkpoint alone. ", style="bold yellow")
    last.append("What it forgot shows only against a base: add --base MODEL.", style="default not bold")
    name = Text.assemble(
        ("Checkpoint ", "dim"), (plain(run.checkpoint.name), "bold"), fingerprint(run.checkpoint)
    )
    cost = cost_section(run.checkpoint, measured=Cost.of(run.measured))
    return Group(name, Text(), table, *cost, *bullets("Warnings", run.warnings, "yellow"), Text(), last)


def _add_single(table: Table, task: TaskResult) -> None:
    title = Text(plain(task.title))
    if task.status != "done":
        reason = f" ({plain(task.reason)})" if task.reason else ""
        table.add_row(title, Text(f"{task.status}{reason}", style="yellow"), Text(numbers.MISSING), Text())
        return
    asked = [name for name in task.metrics if name == task.primary or not name.endswith(WORD_CLASSES)]
    names = sorted(asked, key=lambda name: (name != task.primary, name))
    for name in names:
        metric = task.metrics[name]
        first = name == names[0]
        count = Text(str(metric.n) if first else "")
        if first and task.coverage is not None and task.coverage < 1:
            count.append(f" ({numbers.share(task.coverage)})", style="yellow")
        score = Text(numbers.value(metric.value, metric=name))
        style = "bold" if name == task.primary else "dim"
        score.stylize(style)
        table.add_row(title if first else "", Text(plain(name), style="" if first else "dim"), score, count)

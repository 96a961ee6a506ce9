"""What the chat template alone decides, between two runs of one pair."""

from __future__ import annotations

from rich.text import Text

from forgetbench.report.escape import plain
from forgetbench.schema.comparison import Comparison


def templates_line(under_base: Comparison, under_checkpoint: Comparison) -> Text:
    """Name the rows whose verdict is another under the checkpoint's chat template than under the base's."""
    theirs = {row.name: row for row in under_checkpoint.rows}
    differing = [
        f"{row.title}: {row.verdict} under the base's, {theirs[row.name].verdict} under the checkpoint's"
        for row in under_base.rows
        if row.name in theirs and row.verdict != theirs[row.name].verdict
    ]
    if not differing:
        return Text("Chat template: every row has the same verdict under both.", style="bold cyan")
    return Text(
        f"Chat template: the verdict turns on it. {plain('; '.join(differing))}.", style="bold yellow"
    )

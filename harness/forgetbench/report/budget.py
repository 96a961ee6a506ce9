"""How a budget was shared out over the rows of a plan."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.engine.budget import Share
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid


def budget_table(shares: Sequence[Share], budget_s: float) -> RenderableType:
    """Show the samples of each row, how long they take, and the smallest loss they show in margins."""
    table = ruled_grid("Row", "n", "of", "Time", "Detects", right={"n", "of", "Time", "Detects"})
    for share in shares:
        detects = numbers.MISSING if share.margins is None else f"{share.margins:.1f} margins"
        table.add_row(
            Text(plain(share.name)),
            Text(str(share.n), style="bold" if share.n < share.available else ""),
            Text(str(share.available)),
            Text(numbers.seconds(share.seconds)),
            Text(detects),
        )
    title = Text(f"Budget {numbers.seconds(budget_s)}, without loading the models", style="bold")
    why = Text(
        "The time goes where the smallest detectable loss is largest in margins, until it is equal in all "
        "rows that have more samples to give.",
        style="dim",
    )
    return Group(title, table, Text(), why)

"""The table of a power analysis."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.engine.forecast import ASSUMED_FLIPS, ASSUMED_WORD_SD
from forgetbench.engine.power import PowerLine
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid


def power_table(lines: Sequence[PowerLine], *, alpha: float, power: float) -> RenderableType:
    """Show the samples that each row has and needs, and the smallest loss that it shows."""
    headers = ("Row", "Role", "Loss", "Needs", "Has", "Detects", "")
    table = ruled_grid(*headers, right={"Loss", "Needs", "Has", "Detects"})
    for line in lines:
        table.add_row(
            Text(plain(line.name)),
            Text(line.role, style="dim"),
            Text(_loss(line.effect_size, line.metric)),
            Text(numbers.MISSING if line.n_needed is None else str(line.n_needed), style="bold"),
            Text(str(line.n)),
            Text(_loss(line.smallest_detectable, line.metric)),
            _enough(line),
        )
    said = (
        f"Needs: samples that show the loss with {100 * power:g} % power at an error rate of {alpha:g} "
        f"over the family of its role. Assumed: {100 * ASSUMED_FLIPS:g} % of the answers flip; the errors on "
        f"a word change with a standard deviation of {ASSUMED_WORD_SD:g}. Other metrics show their spread "
        "only in a run."
    )
    return Group(table, Text(), Text(said, style="dim"))


def _loss(loss: float | None, metric: str) -> str:
    return numbers.difference(loss, metric=metric).removeprefix("+")


def _enough(line: PowerLine) -> Text:
    if line.is_enough is None:
        return Text("unknown before a run", style="dim")
    return Text("enough", style="cyan") if line.is_enough else Text("too few", style="yellow")

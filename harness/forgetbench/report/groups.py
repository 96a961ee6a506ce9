"""The section on groups of speakers, accents and conditions."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import Face
from forgetbench.report.signs import SIGNS
from forgetbench.schema.comparison import Comparison, GroupFamily, GroupRow

LONGEST_GROUP = 40


def group_section(comparison: Comparison, face: Face) -> Iterator[RenderableType]:
    """Show of each grouping the group that lost most and the one that is served worst."""
    if comparison.groups:
        yield Text()
        yield Text("By group: each a family of its own, which decides nothing", style="bold")
    for family in comparison.groups:
        yield Padding(_group_line(family, face), (0, 0, 0, 2), expand=False)


def _group_line(family: GroupFamily, face: Face) -> Text:
    rows = {row.value: row for row in family.rows}
    line = Text(f"{plain(family.title)}, by {plain(family.by)}: ")
    if family.lost_most is None:
        line.append("no group lost")
    else:
        row, metric = rows[family.lost_most], family.metric
        sign = SIGNS[row.verdict]
        line.append(f"lost most: {_group_name(row)} ")
        line.append(numbers.difference(row.degradation, metric=metric), "bold")
        line.append(f" {numbers.interval(row.ci_low, row.ci_high, metric=metric)}", "dim")
        line.append(f" {face.sign(sign)} {row.verdict}", sign.style).append(f" (n {row.n})")
    if family.worst_served is not None:
        row = rows[family.worst_served]
        line.append(f"; worst served: {_group_name(row)} ")
        line.append(numbers.value(row.checkpoint, metric=family.metric), "bold").append(f" (n {row.n})")
    line.append(f"; smallest of {len(rows)} groups: n {family.smallest_n}", "dim")
    if family.groups_left_out:
        line.append(f"; {family.groups_left_out} smaller groups left out", "yellow")
    if family.n_ungrouped:
        line.append(f"; in no group: {family.n_ungrouped}", "dim")
    return line


def _group_name(row: GroupRow) -> str:
    return plain(row.value, limit=LONGEST_GROUP)

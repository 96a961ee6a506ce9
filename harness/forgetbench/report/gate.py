"""What a gate says: rows by the policy's margins, findings, and the decision as the last line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from forgetbench.forgetting.gate import Gate
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid
from forgetbench.report.signs import DECISIONS, ROLE_TITLES, SIGNS


def gate_table(gate: Gate) -> RenderableType:
    """Return each row with the policy's margin."""
    table = ruled_grid("Task", "Role", "Worse by", "Margin", "Verdict", right={"Worse by", "Margin"})
    for row in gate.comparison.rows:
        table.add_row(
            Text(plain(row.title)),
            Text(ROLE_TITLES[row.role].lower(), style="dim"),
            Text(numbers.difference(row.degradation, metric=row.metric)),
            Text(numbers.difference(row.margin, metric=row.metric).removeprefix("+"), style="dim"),
            Text(row.verdict, style=SIGNS[row.verdict].style),
        )
    return table


def findings(gate: Gate) -> RenderableType:
    """Return what keeps a policy from being met, and the decision as the last line."""
    return _Findings(gate)


@dataclass(frozen=True)
class _Findings:
    gate: Gate

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the encoding of the console."""
        yield Text()
        yield from self._lines()
        comparison = self.gate.comparison
        sign = DECISIONS[comparison.decision]
        face = sign.ascii if options.ascii_only else sign.unicode
        yield Text(f"{face} {plain(comparison.summary)}", style=sign.style)

    def _lines(self) -> Iterator[RenderableType]:
        for finding in self.gate.findings:
            yield Text(f"  {finding.outcome}: {plain(finding.reason)}")

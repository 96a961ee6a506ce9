"""The verdict table, which a person reads first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetbench.forgetting.verdict import needed, there_are
from forgetbench.report import numbers
from forgetbench.report.beside import beside_section, lost_words_section, output_health_section
from forgetbench.report.cost import cost_section
from forgetbench.report.escape import plain
from forgetbench.report.flips import flips_section
from forgetbench.report.groups import group_section
from forgetbench.report.hearing_cost import hearing_section
from forgetbench.report.layout import RULED, RULED_ASCII, Face, bullets, fingerprint, ruled_grid
from forgetbench.report.refusal_rates import refusal_section
from forgetbench.report.representations import drift_section
from forgetbench.report.selftest import selftest_lines
from forgetbench.report.signs import DECISIONS, ROLE_TITLES, ROLES, SIGNS
from forgetbench.report.worst_losses import losses_section
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.cost import Cost
from forgetbench.schema.run import SuiteRowInfo

_SELFTEST_SIGNS = DECISIONS["SHIP"], DECISIONS["NEED MORE"], DECISIONS["DO NOT SHIP"]


def verdict_table(
    comparison: Comparison,
    suite_rows: Sequence[SuiteRowInfo] = (),
    *,
    measured: Cost | None = None,
    base_measured: Cost | None = None,
) -> RenderableType:
    """Show a comparison: rows by role, cost, worst losses, warnings, and the decision as the last line.

    Args:
        comparison: The document.
        suite_rows: Which tasks each suite row is made of (``RunDocument.suite_rows``); without it, details
            are listed under the only suite row of their role, or at its end.
        measured: Times and memory of the checkpoint, if ``--cost`` measured them.
        base_measured: Of the base.

    Returns:
        Something to ``console.print``, which adapts to the width and the encoding of the console.
    """
    return _VerdictTable(comparison, suite_rows, measured, base_measured)


@dataclass(frozen=True)
class _VerdictTable:
    comparison: Comparison
    suite_rows: Sequence[SuiteRowInfo]
    measured: Cost | None
    base_measured: Cost | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width and the encoding of the console."""
        face = Face.of(options)
        comparison = self.comparison
        yield _pair_line(comparison)
        yield Text()
        yield _rows_table(comparison, self.suite_rows, face)
        yield Text()
        yield _footnote(comparison)
        yield from group_section(comparison, face)
        yield from lost_words_section(comparison, face)
        yield from refusal_section(comparison.refusal_rates)
        yield from hearing_section(comparison.hearing_costs)
        yield from drift_section(comparison.representation_drift)
        yield from beside_section(comparison)
        yield from flips_section(comparison)
        yield from cost_section(
            comparison.checkpoint,
            comparison.base,
            measured=self.measured,
            base_measured=self.base_measured,
        )
        yield from output_health_section(comparison)
        yield from losses_section(comparison, face)
        yield from bullets("Warnings", comparison.warnings, "yellow")
        yield from bullets("Not measured", comparison.not_measured, "yellow")
        yield Text()
        if comparison.base.fingerprint == comparison.checkpoint.fingerprint:
            good, doubtful, bad = (face.sign(sign) for sign in _SELFTEST_SIGNS)
            yield selftest_lines(comparison, good=good, doubtful=doubtful, bad=bad)
            return
        sign = DECISIONS[comparison.decision]
        yield Text(f"{face.sign(sign)} {plain(comparison.summary)}", style=sign.style)


def _pair_line(comparison: Comparison) -> Text:
    base, checkpoint = comparison.base, comparison.checkpoint
    return Text.assemble(
        ("Base        ", "dim"),
        (plain(base.name), "bold"),
        fingerprint(base),
        ("\nCheckpoint  ", "dim"),
        (plain(checkpoint.name), "bold"),
        fingerprint(checkpoint),
    )


def _rows_table(comparison: Comparison, suite_rows: Sequence[SuiteRowInfo], face: Face) -> Table:
    headers = ["Task", "Base", "Checkpoint" if face.wide else "Ckpt", "Worse by", "p", "Verdict", "n"]
    if face.wide:
        headers[4:4] = ["Interval", "Margin"]
    right = set(headers) - {"Task", "Verdict", "Interval"}
    table = ruled_grid(*headers, box=RULED_ASCII if face.ascii else RULED, right=right)
    for column in table.columns[1:]:
        column.no_wrap = True
    for role in ROLES:
        rows = [row for row in comparison.rows if row.role == role]
        details = [row for row in comparison.details if row.role == role]
        if not rows and not details:
            continue
        if table.row_count:
            table.add_row()
        table.add_row(Text(ROLE_TITLES[role], style="bold"))
        for row, indent in _with_details(rows, details, suite_rows):
            table.add_row(*_cells(row, face, indent=indent))
    return table


def _with_details(
    rows: Sequence[Row], details: Sequence[Row], suite_rows: Sequence[SuiteRowInfo]
) -> Iterator[tuple[Row, bool]]:
    """Yield the rows of a role, each suite row followed by its details; True marks a detail."""
    members = {info.name: set(info.tasks) for info in suite_rows}
    suites = [row.name for row in rows if row.kind == "suite_row"]
    if len(suites) == 1 and suites[0] not in members:
        members[suites[0]] = {detail.name for detail in details}
    left = list(details)
    for row in rows:
        yield row, False
        for detail in details:
            if row.kind == "suite_row" and detail.name in members.get(row.name, ()) and detail in left:
                left.remove(detail)
                yield detail, True
    for detail in left:
        yield detail, True


def _cells(row: Row, face: Face, *, indent: bool) -> list[RenderableType]:
    metric = row.metric
    worse_by = Text(numbers.difference(row.degradation, metric=metric), style="" if indent else "bold")
    between = Text(numbers.interval(row.ci_low, row.ci_high, metric=metric), style="dim")
    p = row.p if row.p_adjusted is None else row.p_adjusted
    cells = [
        _title(row, face, indent=indent),
        Text(numbers.value(row.base, metric=metric)),
        Text(numbers.value(row.checkpoint, metric=metric)),
        worse_by,
        Text(numbers.p_value(p)),
        _verdict(row, face, indent=indent),
        _count(row, face),
    ]
    if face.wide:
        cells[4:4] = [between, Text("" if indent else _margin(row), style="dim")]
    elif between.plain:
        worse_by.append("\n").append_text(between)
    if not indent:
        return list(cells)
    for cell in cells:
        cell.stylize("dim")
    return [Padding(cells[0], (0, 0, 0, 2), expand=False), *cells[1:]]


def _title(row: Row, face: Face, *, indent: bool) -> Text:
    """Return the task's title and metric; in a narrow table the metric is below, where the interval is."""
    title = Text(plain(row.title))
    if indent:
        return title
    metric = "mean of its tasks" if row.metric.startswith("mean of ") else plain(row.metric)
    return title.append(f"{'  ' if face.wide else chr(10)}{metric}", style="dim")


def _margin(row: Row) -> str:
    return numbers.difference(row.margin, metric=row.metric).removeprefix("+")


def _verdict(row: Row, face: Face, *, indent: bool) -> Text:
    if indent:
        return Text("error" if row.verdict == "error" else "")
    sign = SIGNS[row.verdict]
    verdict = Text.assemble((f"{face.sign(sign)} {row.verdict}", sign.style))
    return verdict if face.wide else verdict.append(f"\n  margin {_margin(row)}", style="dim")


def _count(row: Row, face: Face) -> Text:
    count = Text(str(row.n) if row.n else numbers.MISSING)
    if row.coverage is not None and row.coverage < 1:
        count.append(f"{' ' if face.wide else chr(10)}({numbers.share(row.coverage)})", style="yellow")
    return count


def _footnote(comparison: Comparison) -> Text:
    """Say what the columns mean and each row's reason; what several rows share is said once."""
    k = comparison.family_size
    family = f", over the {k} general and safety rows together" if k > 1 else ""
    note = Text("Worse by: positive is a loss; of percentages, in points. ", style="dim")
    note.append(f"Intervals: {100 * (1 - comparison.alpha):g}%{family}.")
    said_by: dict[str, list[Row]] = {}
    for row in comparison.rows:
        for text in said(row):
            said_by.setdefault(text, []).append(row)
    for row in comparison.rows:
        alone = [text for text in said(row) if len(said_by[text]) == 1]
        if alone:
            note.append(f"\n{plain(row.title)}: ", style="not dim").append(plain("; ".join(alone)))
    for text, rows in said_by.items():
        if len(rows) > 1:
            titles = ", ".join(plain(row.title) for row in rows)
            note.append(f"\n{titles}: ", style="not dim").append(plain(text))
    return note


def said(row: Row) -> tuple[str, ...]:
    """Return what must be known about a row beside its numbers."""
    texts = [text for text in (row.reason, *row.notes) if text]
    if row.verdict in ("worse", "inconclusive") and row.required_n and not row.reason:
        texts.append(f"needs {needed(row, row.required_n)}{there_are(row)}")
    return tuple(dict.fromkeys(texts))

"""The verdict table, which a person reads first; the plan before a run; a checkpoint without a base."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from rich.box import Box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetbench.forgetting.verdict import needed
from forgetbench.metrics.word_classes import WORD_CLASSES
from forgetbench.report import numbers
from forgetbench.report.cost import cost_section
from forgetbench.report.escape import plain
from forgetbench.report.flips import flips_section
from forgetbench.report.hearing_cost import hearing_section
from forgetbench.report.refusal_rates import refusal_section
from forgetbench.report.representations import drift_section
from forgetbench.report.selftest import selftest_lines
from forgetbench.schema.comparison import (
    Comparison,
    Decision,
    GroupFamily,
    GroupRow,
    OutputHealth,
    Row,
    Verdict,
    WorstLoss,
)
from forgetbench.schema.cost import Cost
from forgetbench.schema.run import CheckpointInfo, RunDocument, SuiteRowInfo, TaskResult
from forgetbench.schema.task import DatasetTask, Role, SuiteRow, Task

ROLES: tuple[Role, ...] = ("target", "general", "safety", "distribution", "cost")
ROLE_TITLES: dict[Role, str] = {
    "target": "Target",
    "general": "General",
    "safety": "Safety",
    "distribution": "Distribution, no gate",
    "cost": "Cost",
}
RULED = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
RULED_ASCII = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
WIDE = 100
"""From this many columns on, a row of the table is one line."""
LONGEST_QUOTE = 160
MOST_LOSSES = 5
LONGEST_GROUP = 40
FEWEST_WORDS = 20
"""Of a class of words: the rate over fewer says nothing."""


@dataclass(frozen=True)
class Sign:
    """How a verdict or a decision is shown: told apart by its sign alone, and by red against cyan."""

    unicode: str
    ascii: str
    style: str


SIGNS: dict[Verdict, Sign] = {
    "error": Sign("!", "!", "bold red"),
    "regressed": Sign("✗", "X", "bold red"),
    "worse": Sign("▼", "v", "yellow"),
    "inconclusive": Sign("?", "?", "yellow"),
    "minor": Sign("~", "~", "cyan"),
    "retained": Sign("✓", "o", "cyan"),
    "improved": Sign("▲", "^", "bold cyan"),
    "identical": Sign("=", "=", "dim"),
}
DECISIONS: dict[Decision, Sign] = {
    "SHIP": Sign("✓", "o", "bold cyan"),
    "DO NOT SHIP": Sign("✗", "X", "bold red"),
    "NEED MORE": Sign("?", "?", "bold yellow"),
}
_SELFTEST_SIGNS = DECISIONS["SHIP"], DECISIONS["NEED MORE"], DECISIONS["DO NOT SHIP"]


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
        face = _Face.of(options)
        comparison = self.comparison
        yield _pair_line(comparison)
        yield Text()
        yield _rows_table(comparison, self.suite_rows, face)
        yield Text()
        yield _footnote(comparison)
        yield from _groups(comparison, face)
        yield from _lost_words(comparison, face)
        yield from refusal_section(comparison.refusal_rates)
        yield from hearing_section(comparison.hearing_costs)
        yield from drift_section(comparison.representation_drift)
        yield from _beside(comparison)
        yield from flips_section(comparison)
        yield from cost_section(
            comparison.checkpoint,
            comparison.base,
            measured=self.measured,
            base_measured=self.base_measured,
        )
        yield from _output_health(comparison)
        yield from _losses(comparison, face)
        yield from _bullets("Warnings", comparison.warnings, "yellow")
        yield from _bullets("Not measured", comparison.not_measured, "yellow")
        yield Text()
        if comparison.base.fingerprint == comparison.checkpoint.fingerprint:
            good, doubtful, bad = (face.sign(sign) for sign in _SELFTEST_SIGNS)
            yield selftest_lines(comparison, good=good, doubtful=doubtful, bad=bad)
            return
        sign = DECISIONS[comparison.decision]
        yield Text(f"{face.sign(sign)} {plain(comparison.summary)}", style=sign.style)


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
        ("Checkpoint ", "dim"), (plain(run.checkpoint.name), "bold"), _fingerprint(run.checkpoint)
    )
    cost = cost_section(run.checkpoint, measured=Cost.of(run.measured))
    return Group(name, Text(), table, *cost, *_bullets("Warnings", run.warnings, "yellow"), Text(), last)


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


def task_table(tasks: Iterable[Task | SuiteRow], counts: Mapping[str, int | None]) -> RenderableType:
    """Show the tasks that can be measured, suite by suite.

    Args:
        tasks: The definitions.
        counts: Number of samples by task name; None where only a download would tell.
    """
    table = ruled_grid("Task", "Role", "Needs", "n", "Size", "Gated", "Licence", right={"n", "Size"})
    table.columns[0].min_width = max((len(task.name) for task in tasks), default=0)
    suite: str | None = None
    for task in sorted(tasks, key=lambda task: (task.suites, task.name)):
        if (found := ", ".join(task.suites) or "no suite") != suite:
            suite = found
            table.add_row(Text(plain(suite), style="bold"))
        count = counts.get(task.name)
        table.add_row(
            Text(task.name, no_wrap=True),
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


@dataclass(frozen=True)
class _Face:
    """What the console can show."""

    wide: bool
    ascii: bool

    @classmethod
    def of(cls, options: ConsoleOptions) -> _Face:
        return cls(wide=options.max_width >= WIDE, ascii=options.ascii_only)

    def sign(self, sign: Sign) -> str:
        return sign.ascii if self.ascii else sign.unicode


def _pair_line(comparison: Comparison) -> Text:
    base, checkpoint = comparison.base, comparison.checkpoint
    return Text.assemble(
        ("Base        ", "dim"),
        (plain(base.name), "bold"),
        _fingerprint(base),
        ("\nCheckpoint  ", "dim"),
        (plain(checkpoint.name), "bold"),
        _fingerprint(checkpoint),
    )


def _fingerprint(info: CheckpointInfo) -> tuple[str, str]:
    return f" {plain(info.fingerprint)[:12]}", "dim"


def ruled_grid(*headers: str, right: set[str], box: Box = RULED) -> Table:
    """Return an empty table with a rule under its headers; the columns named in ``right`` are numbers."""
    table = Table(
        box=box, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", border_style="dim"
    )
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    return table


def _rows_table(comparison: Comparison, suite_rows: Sequence[SuiteRowInfo], face: _Face) -> Table:
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


def _cells(row: Row, face: _Face, *, indent: bool) -> list[RenderableType]:
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


def _title(row: Row, face: _Face, *, indent: bool) -> Text:
    """Return the task's title and metric; in a narrow table the metric is below, where the interval is."""
    title = Text(plain(row.title))
    if indent:
        return title
    metric = "mean of its tasks" if row.metric.startswith("mean of ") else plain(row.metric)
    return title.append(f"{'  ' if face.wide else chr(10)}{metric}", style="dim")


def _margin(row: Row) -> str:
    return numbers.difference(row.margin, metric=row.metric).removeprefix("+")


def _verdict(row: Row, face: _Face, *, indent: bool) -> Text:
    if indent:
        return Text("error" if row.verdict == "error" else "")
    sign = SIGNS[row.verdict]
    verdict = Text.assemble((f"{face.sign(sign)} {row.verdict}", sign.style))
    return verdict if face.wide else verdict.append(f"\n  margin {_margin(row)}", style="dim")


def _count(row: Row, face: _Face) -> Text:
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
    if row.verdict == "inconclusive" and row.required_n and not row.reason:
        texts.append(f"needs {needed(row, row.required_n)}")
    return tuple(dict.fromkeys(texts))


def _groups(comparison: Comparison, face: _Face) -> Iterator[RenderableType]:
    """Show of each grouping the group that lost most and the one that is served worst."""
    if comparison.groups:
        yield Text()
        yield Text("By group: each a family of its own, which decides nothing", style="bold")
    for family in comparison.groups:
        yield Padding(_group_line(family, face), (0, 0, 0, 2), expand=False)


def _group_line(family: GroupFamily, face: _Face) -> Text:
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


def _lost_words(comparison: Comparison, face: _Face) -> Iterator[RenderableType]:
    """Show the error rate of each class of words, base → checkpoint, where there are enough of them."""
    shown = [loss for loss in comparison.lost_words if loss.n_words >= FEWEST_WORDS]
    if not shown:
        return
    yield Text()
    yield Text("What was lost, in words: word errors, base -> checkpoint", style="bold")
    headers, right = (
        ("Task", "Class", "Base", "Ckpt", "Worse by", "Words"),
        {"Base", "Ckpt", "Worse by", "Words"},
    )
    table = ruled_grid(*headers, box=RULED_ASCII if face.ascii else RULED, right=right)
    for before, loss in zip([None, *shown], shown, strict=False):
        rates = [numbers.value(rate, metric="wer") for rate in (loss.base, loss.checkpoint)]
        worse = numbers.difference(loss.checkpoint - loss.base, metric="wer")
        table.add_row(
            Text(plain(loss.title) if before is None or before.task != loss.task else ""),
            Text(loss.word_class.replace("_", " ")),
            *(Text(rate) for rate in rates),
            Text(worse, style="bold"),
            Text(str(loss.n_words), style="dim"),
        )
    yield Padding(table, (0, 0, 0, 2), expand=False)


def _beside(comparison: Comparison) -> Iterator[RenderableType]:
    """Show the further metrics of each task, base → checkpoint; loops are among the broken outputs."""
    shown = [metric for metric in comparison.beside if metric.metric != "looping"]
    if shown:
        yield Text()
        yield Text("Beside the verdict, base -> checkpoint", style="bold")
    for title, metrics in groupby(shown, key=lambda metric: metric.title):
        said = ", ".join(
            f"{metric.metric} {numbers.value(metric.base, metric=metric.metric)} -> "
            f"{numbers.value(metric.checkpoint, metric=metric.metric)}"
            f"{f' ({plain(metric.reason)})' if metric.reason else ''}"
            for metric in metrics
        )
        yield Padding(Text(f"{plain(title)}: {said}"), (0, 0, 0, 2), expand=False)


def _output_health(comparison: Comparison) -> Iterator[RenderableType]:
    """Show the rates of broken outputs, base → checkpoint, of the tasks that have any."""
    lines = [line for health in comparison.output_health if (line := _health_line(health))]
    if lines:
        yield Text()
        yield Text("Broken outputs, base -> checkpoint", style="bold")
        yield from (Padding(line, (0, 0, 0, 2), expand=False) for line in lines)


def _health_line(health: OutputHealth) -> Text | None:
    rates = [
        f"{kind} {numbers.rate(before)} -> {numbers.rate(after)}"
        for kind in ("empty", "looping", "truncated")
        for before, after in [(getattr(health.base, kind), getattr(health.checkpoint, kind))]
        if before or after
    ]
    return Text(f"{plain(health.title)}: {', '.join(rates)}") if rates else None


def _losses(comparison: Comparison, face: _Face) -> Iterator[RenderableType]:
    if not comparison.worst_losses:
        return
    known = {row.name: row for row in (*comparison.rows, *comparison.details)}
    yield Text()
    yield Text("Worst losses", style="bold")
    for loss in comparison.worst_losses[:MOST_LOSSES]:
        row = known.get(loss.task)
        yield _loss_head(loss, row, face)
        quotes = Table.grid(padding=(0, 1))
        quotes.add_column(style="dim", no_wrap=True)
        quotes.add_column(overflow="fold")
        base, checkpoint = _quote(loss.base), _quote(loss.checkpoint)
        reference = _quote(loss.reference)
        if loss.reference and reference.plain != base.plain:
            quotes.add_row("reference", reference)
        quotes.add_row("base" if reference.plain != base.plain else "base (right)", base)
        quotes.add_row("checkpoint", _mark_changes(base.plain, checkpoint))
        yield Padding(quotes, (0, 0, 0, 4), expand=False)


def _loss_head(loss: WorstLoss, row: Row | None, face: _Face) -> Text:
    bullet = "-" if face.ascii else "•"
    title = plain(row.title if row else loss.task)
    worse = numbers.difference(loss.degradation, metric=row.metric if row else "", unit=True)
    where = ", ".join(part for part in (plain(loss.condition), plain(loss.sample_id)) if part)
    return Text.assemble(f"  {bullet} {title} ", (worse, "bold"), (f"  {where}", "dim"))


def _quote(text: str) -> Text:
    shown = plain(text, limit=LONGEST_QUOTE)
    return Text(shown) if shown else Text("(nothing)", style="dim italic")


def _mark_changes(base: str, checkpoint: Text) -> Text:
    """Set the checkpoint's words that differ from the base's in bold and underlined."""
    words = checkpoint.plain.split(" ")
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    for tag, _, _, first, last in SequenceMatcher(None, base.split(" "), words, autojunk=False).get_opcodes():
        if tag != "equal" and last > first:
            checkpoint.stylize("bold underline", starts[first], starts[last] - 1)
    return checkpoint


def _bullets(title: str, lines: Sequence[str], style: str) -> Iterator[RenderableType]:
    if not lines:
        return
    yield Text()
    yield Text(title, style=f"bold {style}")
    for line in lines:
        yield Padding(Text(plain(line)), (0, 0, 0, 2), expand=False)


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

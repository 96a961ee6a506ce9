"""Results as HTML for a notebook: the verdict table and its last line; all that is shown is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.signs import DECISIONS, ROLE_TITLES, ROLES, SIGNS
from forgetbench.schema.comparison import Row

if TYPE_CHECKING:
    from forgetbench.api.pair_result import PairResult, Results

LONGEST_SHOWN = 400
_NUMBER = ' style="text-align:right;font-variant-numeric:tabular-nums"'


def result_html(result: PairResult) -> str:
    """Return the verdict table of a pair, or the scores of a checkpoint alone."""
    name = f"<b>{_text(result.checkpoint.checkpoint.name)}</b>"
    if result.comparison is None:
        scores = [
            [
                _text(task.title),
                _text(task.primary),
                numbers.value(value, metric=task.primary),
                f"{task.n_scored}",
            ]
            for task in result.checkpoint.tasks
            for value in [task.metrics[task.primary].value if task.primary in task.metrics else None]
        ]
        table = _table(["Task", "Metric", "Score", "n"], scores, n_texts=2)
        return f"<div>{name}{table}No base: add <code>base=</code> to see what it forgot.</div>"
    against = f" against {_text(result.comparison.base.name)}"
    lines: list[list[str] | str] = []
    for role in ROLES:
        rows = [row for row in result.comparison.rows if row.role == role]
        lines += [ROLE_TITLES[role], *map(_cells, rows)] if rows else []
    head = ["Task", "Metric", "Verdict", "Base", "Checkpoint", "Worse by", "Interval", "Margin", "n"]
    sign = DECISIONS[result.comparison.decision].unicode
    last = f"<b>{sign} {_text(result.comparison.summary)}</b>"
    return f"<div>{name}{against}{_table(head, lines, n_texts=3)}{last}</div>"


def results_html(results: Results) -> str:
    """Return one line per result: what it is, and what was decided."""
    lines = [
        [
            _text(result.checkpoint.checkpoint.name),
            _text(result.base.checkpoint.name) if result.base else numbers.MISSING,
            _text(result.summary) or "no base",
            f"{len(result.checkpoint.tasks)}",
        ]
        for result in results
    ]
    return f"<div>{_table(['Checkpoint', 'Base', 'Decision', 'Tasks'], lines, n_texts=3)}</div>"


def _cells(row: Row) -> list[str]:
    return [
        _text(row.title),
        _text(row.metric),
        f"{SIGNS[row.verdict].unicode} {row.verdict}",
        numbers.value(row.base, metric=row.metric),
        numbers.value(row.checkpoint, metric=row.metric),
        numbers.difference(row.degradation, metric=row.metric),
        numbers.interval(row.ci_low, row.ci_high, metric=row.metric),
        numbers.difference(row.margin, metric=row.metric).lstrip("+"),
        str(row.n),
    ]


def _table(head: Sequence[str], lines: Iterable[Sequence[str] | str], *, n_texts: int) -> str:
    """Return a table; a line that is one text is the title of those below it."""
    body = []
    for line in lines:
        if isinstance(line, str):
            body.append(f'<tr><th colspan="{len(head)}" style="text-align:left">{line}</th></tr>')
            continue
        cells = [f"<td{_NUMBER if i >= n_texts else ''}>{cell}</td>" for i, cell in enumerate(line)]
        body.append(f"<tr>{''.join(cells)}</tr>")
    titles = "".join(f"<th>{title}</th>" for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _text(text: str) -> str:
    return escape(plain(text, limit=LONGEST_SHOWN))

"""A table for a paper in Markdown, LaTeX or CSV, by the name of the format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Literal

from forgetbench.report.markup import csv_text, latex, markdown, markdown_row
from forgetbench.report.paper_table import HEADERS, NUMBERS, PaperTable, cells, role_title
from forgetbench.schema.comparison import Comparison, Row

Format = Literal["latex", "markdown", "csv"]

_SIGNED = re.compile(r"[+-][\d.]+|\[[-+\d., ]+\]")
FIGURES = (
    "base", "checkpoint", "degradation", "relative_forgetting", "ci_low", "ci_high", "level", "p",
    "p_adjusted", "margin", "n", "coverage",
)  # fmt: skip


def to_markdown(table: PaperTable) -> str:
    """Return a Markdown table, its caption above and the decision below."""
    rule = ["---:" if header in NUMBERS else "---" for header in HEADERS]
    lines = [markdown(table.caption), "", markdown_row(HEADERS), markdown_row(rule)]
    for role, rows in table.by_role():
        lines.append(markdown_row([f"**{role_title(role)}**", *[""] * (len(HEADERS) - 1)]))
        lines += [markdown_row([markdown(cell) for cell in cells(row)]) for row in rows]
    return "\n".join([*lines, "", f"**{markdown(table.summary)}**", ""])


def to_latex(table: PaperTable) -> str:
    """Return a LaTeX table for the package booktabs."""
    columns = "".join("r" if header in NUMBERS else "l" for header in HEADERS)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(table.caption)}}}",
        r"\label{tab:forgetting}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row([latex(header) for header in HEADERS]),
    ]
    for role, rows in table.by_role():
        heading = rf"\multicolumn{{{len(HEADERS)}}}{{l}}{{\textit{{{role_title(role)}}}}} \\"
        lines += [r"\midrule", heading, *(_row([_math(cell) for cell in cells(row)]) for row in rows)]
    end = [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join([*lines, *end, f"% {latex(table.summary)}", ""])


def to_csv(table: PaperTable) -> str:
    """Return tidy CSV: one line for each row of each checkpoint, figures in full, missing ones empty."""
    out = io.StringIO()
    names = ("checkpoint_name", "checkpoint_fingerprint", "base_name", "base_fingerprint")
    keys = ("task", "title", "kind", "role", "metric", "higher_is_better", "verdict")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, *keys, *FIGURES, "decision"])
    for comparison in table.comparisons:
        arms = (comparison.checkpoint, comparison.base)
        head = [text for arm in arms for text in (csv_text(arm.name), arm.fingerprint)]
        for row, kind in _tidy(comparison):
            own = [csv_text(row.name), csv_text(row.title), kind, row.role, csv_text(row.metric)]
            own += [str(row.higher_is_better).lower(), row.verdict]
            figures = ["" if (value := getattr(row, name)) is None else value for name in FIGURES]
            writer.writerow([*head, *own, *figures, comparison.decision])
    return out.getvalue()


FORMATS: Mapping[Format, Callable[[PaperTable], str]] = {
    "latex": to_latex,
    "markdown": to_markdown,
    "csv": to_csv,
}


def _tidy(comparison: Comparison) -> list[tuple[Row, str]]:
    rows = [(row, row.kind) for row in comparison.rows]
    return [*rows, *((row, "detail") for row in comparison.details)]


def _row(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _math(cell: str) -> str:
    """Return an escaped cell; signed numbers and intervals are set as mathematics, with a true minus."""
    return f"${cell}$" if _SIGNED.fullmatch(cell) else latex(cell)

"""The list of recipes as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from forgetbench.report.escape import plain


def recipe_table(recipes: Sequence[tuple[str, str, Mapping[str, Any], str]]) -> Table:
    """Return a table of (name, family, fields, what it is for)."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recipe", "family", "method", "trains", "steps"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what it does")
    for name, family, fields, about in recipes:
        row = (name, family, fields["method"], fields["weights"], fields["steps"], about)
        table.add_row(*(plain(str(value)) for value in row))
    return table

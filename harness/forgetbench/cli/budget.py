"""``--budget``: a time instead of a number of samples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from forgetbench.errors import UsageError

if TYPE_CHECKING:
    from forgetbench.engine.run import Request

_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)


def read_budget(text: str | None) -> float | None:
    """Return a time in seconds.

    Raises:
        UsageError: It is none, such as ``30`` without a unit, or zero.

    Example:
        >>> read_budget("1h30m")
        5400.0
    """
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip().replace(" ", ""))
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise UsageError(f"--budget {text}", "is no time", "Write it like 90s, 30m or 1h30m.")
    return total


def keep_budget(request: Request, budget_s: float, *, dry_run: bool, as_json: bool) -> Request:
    """Return the request with as many samples of each task as the budget allows, and say how many and why.

    Raises:
        UsageError: The fewest samples that a verdict needs take longer.
    """
    from forgetbench.cli.console import console
    from forgetbench.engine.budget import within_budget
    from forgetbench.report.budget import budget_table
    from forgetbench.report.progress import Bars

    with Bars() as bars:
        found = within_budget(request, budget_s, progress=bars, measure=not dry_run)
    out = console(as_json=as_json)
    out.print(budget_table(found.shares, budget_s))
    out.print()
    return found.request

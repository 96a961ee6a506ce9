"""A result against the same pair, run again by somebody else: the one thing that rules a forgery out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forgetbench.engine.results import COMPARISON_FILE
from forgetbench.errors import UsageError
from forgetbench.leaderboard.present_board import SILENT_CHANGE
from forgetbench.leaderboard.strict_json import read_json
from forgetbench.schema.board import Problem
from forgetbench.schema.comparison import Comparison


def rerun_problems(comparison: Comparison, rerun: Path) -> Iterator[Problem]:
    """Yield the rows in which a re-run found other numbers.

    Args:
        comparison: As submitted.
        rerun: Result directory of the re-run.

    Raises:
        UsageError: It is no result, or one of other checkpoints or settings.
    """
    if not (rerun / COMPARISON_FILE).is_file():
        raise UsageError(str(rerun), "holds no comparison.json", "Give the directory that `run` printed.")
    again = read_json(Comparison, rerun / COMPARISON_FILE)
    for key, one, other in (
        ("checkpoint", comparison.checkpoint.fingerprint, again.checkpoint.fingerprint),
        ("base", comparison.base.fingerprint, again.base.fingerprint),
        ("run key", comparison.run_key, again.run_key),
    ):
        if one != other:
            raise UsageError(
                str(rerun),
                f"has another {key}: {other[:12]}, not {one[:12]}",
                "Run the same command as the submission, shown on its page.",
            )
    found = {row.name: row for row in again.rows}
    for row in comparison.rows:
        other_row = found.get(row.name)
        pairs = [(getattr(row, k), getattr(other_row, k, None)) for k in ("base", "checkpoint", "delta")]
        if any(
            (a is None) != (b is None) or (a is not None and abs(a - b) > SILENT_CHANGE) for a, b in pairs
        ):
            said = "; ".join(f"{a} and {b}" for a, b in pairs)
            yield Problem(file=COMPARISON_FILE, reason=f"{row.name}: the re-run found other numbers ({said})")

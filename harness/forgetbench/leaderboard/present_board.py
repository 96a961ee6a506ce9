"""A submission against what the board has already: duplicates, vanished cells, silent changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forgetbench.engine.results import COMPARISON_FILE, RUN_FILE
from forgetbench.leaderboard.entries import SUBMISSION_FILE, Entry
from forgetbench.schema.board import Problem
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import RunDocument

SILENT_CHANGE = 0.001
"""In the metric's own units: what two machines may differ by without a word."""


def present_problems(
    comparison: Comparison, run: RunDocument, present: Sequence[Entry], *, reason: str
) -> Iterator[Problem]:
    """Yield why a submission cannot stand beside, or in the place of, the present entries.

    Args:
        comparison: Of the submission.
        run: Of its checkpoint.
        present: Entries of the board, without the submission itself.
        reason: Why numbers change, as the submission says; it allows changes, never vanished cells.
    """
    pair = (comparison.base.fingerprint, comparison.checkpoint.fingerprint)
    for entry in present:
        old = entry.comparison
        if (old.base.fingerprint, old.checkpoint.fingerprint) == pair:
            yield from _replaced(comparison, entry, reason)
        elif (ours := _answers(run)) and ours == _answers(entry.run):
            cause = f"all answers are those of {entry.comparison.checkpoint.name[:80]} ({entry.key})"
            yield Problem(file=RUN_FILE["checkpoint"], reason=f"{cause}: another checkpoint")


def _answers(run: RunDocument) -> frozenset[str]:
    return frozenset(task.samples.sha256 for task in run.tasks if task.samples is not None)


def _replaced(comparison: Comparison, entry: Entry, reason: str) -> Iterator[Problem]:
    before = {row.name: row for row in entry.comparison.rows if row.delta is not None}
    after = {row.name: row for row in comparison.rows if row.delta is not None}
    for name in before:
        if name not in after:
            yield Problem(file=COMPARISON_FILE, reason=f"{name} vanished: the entry {entry.key} has it")
    if comparison == entry.comparison:
        yield Problem(file=COMPARISON_FILE, reason=f"is on the board already ({entry.key})")
    if reason:
        return
    for name in before.keys() & after.keys():
        old, new = before[name].delta, after[name].delta
        if old is not None and new is not None and abs(old - new) > SILENT_CHANGE:
            change = f"{name} changes from {old:+.4f} to {new:+.4f} against the entry {entry.key}"
            yield Problem(file=SUBMISSION_FILE, reason=f"{change} and no reason is given")

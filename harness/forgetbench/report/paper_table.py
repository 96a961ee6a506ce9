"""What a table for a paper holds, whatever it is written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forgetbench.errors import UsageError
from forgetbench.forgetting.one_method import why_no_method
from forgetbench.forgetting.seed_rows import rows_over_seeds
from forgetbench.forgetting.verdict import GATING, conclude
from forgetbench.report import numbers
from forgetbench.report.signs import ROLE_TITLES, ROLES
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.curve import Training
from forgetbench.schema.task import Role

HEADERS = ("Task", "Metric", "Base", "After", "Worse by", "Interval", "Margin", "Verdict", "n")
NUMBERS = frozenset({"Base", "After", "Worse by", "Margin", "n"})


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One comparison, several seeds of one method, or several checkpoints that are no such seeds.

    Attributes:
        subject: ``this checkpoint``, ``this method`` or ``these checkpoints``: what the figures are about.
        comparisons: One for each checkpoint.
        details: Tasks inside a suite row; none over seeds.
        caption: What the columns mean and what the intervals cover.
        summary: The decision in one line.
    """

    subject: str
    comparisons: tuple[Comparison, ...]
    rows: tuple[Row, ...]
    details: tuple[Row, ...] = ()
    caption: str
    summary: str

    def by_role(self) -> Iterator[tuple[Role, list[Row]]]:
        """Yield the rows of each role that has any, in the order of the verdict table."""
        for role in ROLES:
            if rows := [row for row in self.rows if row.role == role]:
                yield role, rows


def paper_table(comparisons: Sequence[Comparison], trainings: Sequence[Training] = ()) -> PaperTable:
    """Return the table of one checkpoint, of a method over several training seeds, or of checkpoints.

    Args:
        comparisons: One for each checkpoint, of one base and the same tasks.
        trainings: How each was trained. Only where these are seeds of one method
            (:func:`~forgetbench.forgetting.one_method.why_no_method`) is the table about the method.

    Raises:
        UsageError: Several comparisons are not of one base, of the same tasks and of different checkpoints.
    """
    first = comparisons[0]
    if len(comparisons) == 1:
        return PaperTable(
            subject="this checkpoint",
            comparisons=(first,),
            rows=first.rows,
            details=first.details,
            caption=_caption(
                f"What {first.checkpoint.name} lost against {first.base.name}",
                first,
                "They cover the test items, for this checkpoint; other training seeds were not tried.",
            ),
            summary=first.summary,
        )
    _check_seeds(comparisons)
    rows = rows_over_seeds(comparisons)
    n = len(comparisons)
    reason = why_no_method(trainings) if trainings else "how they were trained is not known"
    subject, each = ("these checkpoints", "checkpoints") if reason else ("this method", "training seeds")
    scope = f"They cover the {n} {each}{'' if reason else ' of this method'} and the test items."
    if reason:
        scope += f" They speak of no method: {reason}."
    return PaperTable(
        subject=subject,
        comparisons=tuple(comparisons),
        rows=rows,
        caption=_caption(
            f"What {subject} lost against {first.base.name}, mean over {n} {each}", first, scope
        ),
        summary=_summary(rows, f"{n} {each}"),
    )


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's cells in the order of ``HEADERS``, not yet escaped."""
    metric = row.metric
    return (
        row.title,
        "mean of its tasks" if metric.startswith("mean of ") else metric,
        numbers.value(row.base, metric=metric),
        numbers.value(row.checkpoint, metric=metric),
        numbers.difference(row.degradation, metric=metric),
        numbers.interval(row.ci_low, row.ci_high, metric=metric) or numbers.MISSING,
        numbers.difference(row.margin, metric=metric).removeprefix("+"),
        row.verdict,
        str(row.n) if row.n else numbers.MISSING,
    )


def role_title(role: Role) -> str:
    """Return the heading of a role's rows."""
    return ROLE_TITLES[role]


def _summary(rows: Sequence[Row], several: str) -> str:
    """Return the decision over seeds: what is unsettled needs more of them, unless it has too few samples."""
    unsettled = [row for row in rows if row.role in GATING and row.verdict in ("worse", "inconclusive")]
    found = conclude(rows)
    if found.decision != "NEED MORE" or not unsettled:
        return found.summary
    first = unsettled[0]
    return (
        f"NEED MORE: {first.name} {f'has {first.reason}' if first.reason else f'needs more than {several}'}."
    )


def _caption(what: str, comparison: Comparison, scope: str) -> str:
    k = comparison.family_size
    family = f", simultaneous over the {k} general and safety rows" if k > 1 else ""
    level = f"{100 * (1 - comparison.alpha):g}%"
    return f"{what}. Positive is worse; of percentages, in points. Intervals: {level}{family}. {scope}"


def _check_seeds(comparisons: Sequence[Comparison]) -> None:
    if len({comparison.base.fingerprint for comparison in comparisons}) > 1:
        raise UsageError("these results", "have different bases", "Seeds of one method share their base.")
    if len({comparison.checkpoint.fingerprint for comparison in comparisons}) < len(comparisons):
        raise UsageError("these results", "hold one checkpoint twice", "Give one result for each seed.")
    if len({tuple(sorted(row.name for row in c.rows)) for c in comparisons}) > 1:
        raise UsageError("these results", "have different tasks", "Run every seed with the same --tasks.")

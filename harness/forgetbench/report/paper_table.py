"""What a table for a paper holds, whatever it is written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forgetbench.errors import UsageError
from forgetbench.forgetting.seed_rows import rows_over_seeds
from forgetbench.forgetting.verdict import GATING, conclude
from forgetbench.report import numbers
from forgetbench.report.table import ROLE_TITLES, ROLES
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.task import Role

HEADERS = ("Task", "Metric", "Base", "After", "Worse by", "Interval", "Margin", "Verdict", "n")
NUMBERS = frozenset({"Base", "After", "Worse by", "Margin", "n"})


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One comparison, or several seeds of one method.

    Attributes:
        subject: ``this checkpoint``, or ``this method``: what the figures are about.
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


def paper_table(comparisons: Sequence[Comparison]) -> PaperTable:
    """Return the table of one checkpoint, or of a method over several training seeds.

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
    return PaperTable(
        subject="this method",
        comparisons=tuple(comparisons),
        rows=rows,
        caption=_caption(
            f"What this method lost against {first.base.name}, mean over {n} training seeds",
            first,
            f"They cover the {n} training seeds of this method and the test items.",
        ),
        summary=_summary(rows, n),
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


def _summary(rows: Sequence[Row], n_seeds: int) -> str:
    """Return the decision over seeds: what is unsettled needs more of them, not more samples."""
    unsettled = [row for row in rows if row.role in GATING and row.verdict in ("worse", "inconclusive")]
    found = conclude(rows)
    if found.decision != "NEED MORE" or not unsettled:
        return found.summary
    return f"NEED MORE: {unsettled[0].name} needs more training seeds, has {n_seeds}."


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

"""What a row means, and whether the checkpoint may ship (docs/concepts.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.schema.comparison import Comparison, Decision, Row, Verdict
from forgetbench.schema.task import Role

MIN_N = 20
"""Fewer samples than this give no verdict; one that is heard under several conditions counts once."""
TOLERATED_FAILURES = 0.01
"""Share of the pairs on which the checkpoint's arm alone may fail."""
_FROM_GOOD_TO_BAD: tuple[Verdict, ...] = (
    "identical", "improved", "retained", "minor", "inconclusive", "worse", "regressed", "error",
)  # fmt: skip
GATING: frozenset[Role] = frozenset({"general", "safety"})


def verdict(low: float, high: float, *, margin: float, noise_floor: float = 0.0) -> Verdict:
    """Return the first line of the table that holds for a simultaneous interval.

    Args:
        low: Lower end of the interval of the degradation (positive = worse).
        high: Upper end.
        margin: Largest acceptable degradation, > 0, in the same units.
        noise_floor: Degradation of the same checkpoint against itself: a loss must exceed it, and so must a
            gain.

    Example:
        >>> verdict(0.002, 0.008, margin=0.01)
        'minor'
    """
    floor = max(0.0, noise_floor)
    lost = low > floor
    if high < -floor:
        return "improved"
    if lost and low > margin:
        return "regressed"
    if lost:
        return "minor" if high <= margin else "worse"
    return "retained" if high <= margin else "inconclusive"


@dataclass(frozen=True)
class Judged:
    """A verdict and, where it is not the interval's, why."""

    verdict: Verdict
    reason: str = ""


def judge(estimate: PairedEstimate, *, margin: float, min_n: int = MIN_N, noise_floor: float = 0.0) -> Judged:
    """Return the verdict on an estimate: ``error`` without one, ``inconclusive`` with too few samples.

    Speakers or passages that are drawn as blocks widen the interval; the minimum counts their samples.
    """
    if estimate.degradation is None:
        return Judged("error", "nothing could be measured")
    if estimate.samples < min_n:
        return Judged("inconclusive", f"{_count(estimate)}: a verdict needs at least {min_n}")
    if estimate.ci_low is None or estimate.ci_high is None:
        return Judged("inconclusive", "too few independent samples for an interval")
    return Judged(verdict(estimate.ci_low, estimate.ci_high, margin=margin, noise_floor=noise_floor))


def _count(estimate: PairedEstimate) -> str:
    if estimate.samples == estimate.n:
        return f"{estimate.n} samples"
    return f"{estimate.samples} independent samples ({estimate.n} rows)"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that says most against the checkpoint.

    Example:
        >>> worst(["improved", "minor"])
        'minor'
    """
    return max(verdicts, key=_FROM_GOOD_TO_BAD.index)


def too_many_failures(failures: int, pairs: int) -> bool:
    """Tell whether the checkpoint's arm alone failed on more than 1 % of the pairs."""
    return failures > TOLERATED_FAILURES * pairs


@dataclass(frozen=True)
class Conclusion:
    """The last line of a comparison."""

    decision: Decision
    summary: str


def conclude(rows: Sequence[Row], *, missing_suites: Sequence[str] = ()) -> Conclusion:
    """Return the decision over the rows of the roles general and safety.

    ``DO NOT SHIP`` where one regressed or could not be measured, else ``NEED MORE`` where one is
    unsettled (or there is none), else ``SHIP``.

    Args:
        rows: Rows of every role; the others do not gate.
        missing_suites: Names of what was not measured, for the end of the line.
    """
    gating = [row for row in rows if row.role in GATING]
    decision, cause = _decide(gating)
    missing = "".join(f"; {name} was NOT measured" for name in missing_suites)
    return Conclusion(decision, f"{decision}: {cause}{missing}.")


def _decide(rows: Sequence[Row]) -> tuple[Decision, str]:
    regressed = [row for row in rows if row.verdict == "regressed"]
    if regressed:
        return "DO NOT SHIP", describe_worst(regressed)
    failed = [row for row in rows if row.verdict == "error"]
    if failed:
        return "DO NOT SHIP", f"{failed[0].name} could not be measured ({failed[0].reason})"
    unsettled = [row for row in rows if row.verdict in ("worse", "inconclusive")]
    if unsettled:
        return "NEED MORE", describe_need(unsettled)
    if not rows:
        return "NEED MORE", "no general or safety task was measured"
    return "SHIP", f"no loss beyond its margin in {len(rows)} row{'s' if len(rows) > 1 else ''}"


def margins_lost(row: Row) -> float:
    """Return the degradation in units of the row's margin, or the growth of its degenerate answers.

    Missing counts as none.
    """
    own = (row.degradation or 0.0) / row.margin
    share = row.degenerate
    return max(own, (share.degradation or 0.0) / share.margin) if share else own


def worst_general(comparison: Comparison) -> Row | None:
    """Return the row of the roles general and safety that lost most in units of its margin."""
    rows = [row for row in comparison.rows if row.role in GATING and row.degradation is not None]
    return max(rows, key=margins_lost, default=None)


def describe_worst(regressed: Sequence[Row]) -> str:
    """Name the row that lost most in units of its margin, and how many regressed."""
    row = max(regressed, key=margins_lost)
    because = f", {row.reason}" if row.degenerate and row.reason else ""
    others = f" ({len(regressed)} rows regressed)" if len(regressed) > 1 else ""
    return f"{row.name} is worse by {margins_lost(row):.1f} times its margin{because}{others}"


def describe_need(unsettled: Sequence[Row]) -> str:
    """Name the unsettled row that needs most samples, or speakers, and how many.

    Where there are not so many, say so, and what to do instead.
    """
    row = max(unsettled, key=lambda row: (row.required_n or 0, margins_lost(row)))
    others = f" ({len(unsettled)} rows unsettled)" if len(unsettled) > 1 else ""
    if row.required_n is None:
        return f"{row.name} lies at a boundary that more samples will not settle{others}"
    needs = f"{row.name} needs {needed(row, row.required_n)}"
    if row.n_available is None:
        return f"{needs}, has {row.n_clusters or row.n}{others}"
    more = f"the suite {row.larger_suite}" if row.larger_suite else "a larger task"
    return f"{needs}{there_are(row)}{others}: measure {more}, or accept a wider margin"


def there_are(row: Row) -> str:
    """Say that a row needs more samples than its tasks have, to follow :func:`needed`; empty where not."""
    if row.n_available is None:
        return ""
    if row.n_clusters:
        return f", and all of its {row.n_available} samples have fewer"
    return f", and there are {row.n_available}"


def needed(row: Row, required_n: int) -> str:
    """Say what would settle a row: samples, or clusters where more samples of the same ones would not.

    Example:
        >>> row = Row(name="a", title="a", kind="task", role="general", metric="wer", margin=0.02,
        ...           higher_is_better=False, verdict="worse", n=1600, n_clusters=16)
        >>> needed(row, 4000), needed(row.model_copy(update={"n_clusters": None}), 4000)
        ('about 40 speakers or other clusters', 'about 4000 samples')
    """
    if not row.n_clusters or not row.n:
        return f"about {required_n} samples"
    clusters = max(math.ceil(required_n * row.n_clusters / row.n), row.n_clusters + 1)
    return f"about {clusters} speakers or other clusters"

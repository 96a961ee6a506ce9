"""From matched tasks to the rows of the verdict table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from forgetbench.forgetting.answers import agreement
from forgetbench.forgetting.degenerate import Speech, degenerate_estimate, mean_misheard, misheard_shares
from forgetbench.forgetting.estimate import estimate_table
from forgetbench.forgetting.family import bonferroni, simultaneous_level
from forgetbench.forgetting.match import ReadyPair, TaskPair
from forgetbench.forgetting.noise_floor import ROUNDING
from forgetbench.forgetting.output_health import runaway_note
from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.forgetting.paired_ratio import draws_needed
from forgetbench.forgetting.power import detectable, samples_needed
from forgetbench.forgetting.samplewise import mean_samplewise, samplewise_of_task, summed_transitions
from forgetbench.forgetting.scope import HEARING_METRICS, larger_suite
from forgetbench.forgetting.shared_samples import shared_effect
from forgetbench.forgetting.suite_row import mean_of_members
from forgetbench.forgetting.verdict import MIN_N, Judged, judge, too_many_failures
from forgetbench.schema.comparison import Row
from forgetbench.schema.run import SuiteRowInfo, TaskResult
from forgetbench.schema.sample import stat_columns

SMALLEST_BASE = 1e-9
"""A base nearer to zero than this has no relative forgetting."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How the rows of one family are judged.

    Attributes:
        run_key: Seeds the bootstrap.
        family_size: Rows that are judged together.
        alpha: Error rate of the family.
        min_n: Samples below which there is no verdict.
        noise_floors: Degradation of the same checkpoint against itself, by task and suite row.
    """

    run_key: str
    family_size: int = 1
    alpha: float = 0.05
    min_n: int = MIN_N
    noise_floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def level(self) -> float:
        """Confidence level of each interval."""
        return simultaneous_level(self.alpha, self.family_size)

    def noise_floor(self, row: str) -> float:
        """Return the degradation that a loss of this row must exceed."""
        return self.noise_floors.get(row, 0.0)

    def seed(self, task: str) -> int:
        """Return the seed of a task's draws: the same in every comparison of the same runs."""
        return int.from_bytes(hashlib.sha256(f"{self.run_key}/{task}".encode()).digest()[:8], "big")


@dataclass(frozen=True)
class BuiltRow:
    """A row, what it was computed from, and the rows inside it."""

    row: Row
    estimate: PairedEstimate
    inside: tuple[BuiltRow, ...] = ()
    pair: TaskPair | None = None
    speech: Speech | None = None


def relative_forgetting(degradation: float | None, base: float | None) -> float | None:
    """Return degradation / |base|; None, never 0 or infinite, where the base is near zero (docs/concepts.md).

    Example:
        >>> relative_forgetting(0.02, 0.08)
        0.25
    """
    if degradation is None or base is None or abs(base) <= SMALLEST_BASE:
        return None
    return degradation / abs(base)


def estimate_pair(pair: ReadyPair, judging: Judging) -> PairedEstimate:
    """Return the paired estimate of a task's primary metric."""
    return estimate_table(
        pair.joined.pairs,
        primary=pair.task.primary,
        metric_type=pair.metric.type,
        higher_is_better=pair.metric.higher_is_better,
        level=judging.level,
        draws=draws_needed(judging.family_size, judging.alpha),
        seed=judging.seed(pair.task.name),
    )


def task_row(pair: TaskPair, judging: Judging) -> BuiltRow:
    """Return the row of one task: measured, identical, or an error with its reason."""
    if not isinstance(pair, ReadyPair):
        return _unmeasured_row(pair, judging)
    task, joined = pair.task, pair.joined
    estimate = estimate_pair(pair, judging)
    judged = judge(
        estimate,
        margin=task.margin,
        min_n=judging.min_n,
        noise_floor=judging.noise_floor(task.name),
    )
    speech = Speech.of(
        degenerate_estimate(pair, level=judging.level),
        margin=task.margin / (pair.metric.worst or 1.0),
        min_n=judging.min_n,
        misheard=misheard_shares(pair),
    )
    if too_many_failures(joined.n_checkpoint_failures, joined.n_joined):
        judged = Judged("error", _failure_reason(pair, estimate))
    predictions = (joined.pairs["prediction_base"], joined.pairs["prediction_checkpoint"])
    row = Row(
        **_identity(pair),
        higher_is_better=pair.metric.higher_is_better,
        coverage=estimate.n / pair.n_planned,
        unpaired=joined.unpaired,
        transitions=estimate.transitions,
        samplewise=samplewise_of_task(estimate.transitions, task.chance),
        agreement=agreement(*predictions, choices=pair.metric.type == "binary"),
        n_clusters=estimate.n_clusters,
        noise_floor=judging.noise_floor(task.name),
        notes=_notes(estimate, judging, task.name, margin=task.margin),
        **_judged_fields(estimate, judged, task.margin, judging, speech, tasks=(task,)),
    )
    return BuiltRow(row, estimate, pair=pair, speech=speech)


def _identity(pair: TaskPair) -> dict[str, Any]:
    task = pair.task
    return {
        "name": task.name,
        "title": task.title,
        "kind": "task",
        "role": task.role,
        "metric": task.primary,
        "margin": task.margin,
    }


def _unmeasured_row(pair: TaskPair, judging: Judging) -> BuiltRow:
    metric = pair.task.metrics.get(pair.task.primary)
    higher = metric.higher_is_better if metric else True
    nothing = PairedEstimate(level=judging.level, method="", n=0)
    if pair.state != "identical":
        reason = f"skipped, {pair.reason}" if pair.state == "skipped" else pair.reason
        row = Row(**_identity(pair), higher_is_better=higher, verdict="error", reason=reason)
        return BuiltRow(row, nothing, pair=pair)
    value = metric.value if metric else None
    same = replace(nothing, base=value, checkpoint=value, delta=0.0, degradation=0.0, se=0.0)
    row = Row(
        **_identity(pair),
        higher_is_better=higher,
        verdict="identical",
        reason="both arms have the same component",
        base=value,
        checkpoint=value,
        delta=0.0,
        degradation=0.0,
        relative_forgetting=relative_forgetting(0.0, value),
    )
    return BuiltRow(row, same, pair=pair)


def _judged_fields(
    estimate: PairedEstimate,
    own: Judged,
    margin: float,
    judging: Judging,
    speech: Speech | None,
    *,
    tasks: Sequence[TaskResult],
) -> dict[str, Any]:
    """Return the fields of a row that say how much was lost, how surely, and what follows."""
    judged, deciding = own, estimate
    if speech and (judged := speech.judged(own)) != own:
        deciding, margin = speech.estimate, speech.share.margin
    unsettled = judged.verdict in ("inconclusive", "worse")
    required_n = samples_needed(deciding, margin, min_n=judging.min_n) if unsettled else None
    return {
        "verdict": judged.verdict,
        "reason": judged.reason,
        "base": estimate.base,
        "checkpoint": estimate.checkpoint,
        "delta": estimate.delta,
        "degradation": estimate.degradation,
        "relative_forgetting": relative_forgetting(estimate.degradation, estimate.base),
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "level": estimate.level,
        "p": estimate.p,
        "p_adjusted": bonferroni(estimate.p, judging.family_size),
        "p_exact": estimate.p_exact,
        "poi": estimate.poi,
        "method": estimate.method,
        "n": estimate.n,
        "smallest_detectable": detectable(estimate),
        "runaway": estimate.runaway,
        "degenerate": speech.share if speech else None,
        "required_n": required_n,
        **_out_of_reach(required_n, tasks),
    }


def _out_of_reach(required_n: int | None, tasks: Sequence[TaskResult]) -> dict[str, Any]:
    """Return how many samples there are, and which suite has more, where a row needs more than there are."""
    sizes = [task.n_available for task in tasks if task.n_available is not None]
    if required_n is None or len(sizes) < len(tasks) or required_n <= sum(sizes):
        return {}
    return {"n_available": sum(sizes), "larger_suite": larger_suite(tasks)}


def _notes(estimate: PairedEstimate, judging: Judging, name: str, *, margin: float) -> tuple[str, ...]:
    floor = judging.noise_floor(name)
    ran_on = (runaway_note(estimate.runaway),) if estimate.runaway else ()
    told = (f"noise floor {floor:.4g}",) if floor >= ROUNDING * margin else ()
    return (*estimate.notes, *ran_on, *told)


def _failure_reason(pair: ReadyPair, estimate: PairedEstimate) -> str:
    failures = pair.joined.checkpoint_failures
    codes = sorted({str(code) for code in failures["error_checkpoint"].dropna()})
    named = f" ({', '.join(codes)})" if codes else ""
    n, asked = pair.joined.n_checkpoint_failures, pair.joined.n_joined
    reason = f"the checkpoint's arm alone failed on {n} of {asked} samples{named}"
    worst = _worst_case(pair, estimate) if n == len(failures) else None
    return reason if worst is None else f"{reason}; worse by {worst:.4g} if each of them is lost"


def _worst_case(pair: ReadyPair, estimate: PairedEstimate) -> float | None:
    """Return the degradation if each sample that only the checkpoint failed on were wholly wrong.

    None for metrics without a worst score.
    """
    failures, metric = pair.joined.checkpoint_failures, pair.metric
    columns = stat_columns(pair.task.primary, metric.type)
    if metric.type != "ratio":
        worst = metric.worst
        if worst is None and metric.type == "binary":
            worst = 0.0 if metric.higher_is_better else 1.0
        if worst is None:
            return None
        lost = float((failures[f"{columns[0]}_base"] - worst).abs().sum())
        return ((estimate.degradation or 0.0) * estimate.n + lost) / (estimate.n + len(failures))
    if pair.task.primary not in HEARING_METRICS:
        return None
    scored = pair.joined.pairs
    errors, words = (f"{column}_base" for column in columns)
    all_words = float(scored[words].sum() + failures[words].sum())
    base_errors = float(scored[errors].sum() + failures[errors].sum())
    checkpoint_errors = float(scored[f"{columns[0]}_checkpoint"].sum() + failures[words].sum())
    return (checkpoint_errors - base_errors) / all_words if all_words else None


def suite_row(
    info: SuiteRowInfo, members: Sequence[TaskPair], absent: Sequence[str], judging: Judging
) -> BuiltRow:
    """Return the one row that several tasks share, with the rows of its tasks inside.

    The tasks inside form a family of their own, and do not gate.
    """
    tested = sum(isinstance(member, ReadyPair) for member in members)
    own_family = replace(judging, family_size=max(tested, 1))
    inside = tuple(task_row(member, own_family) for member in members)
    failed = [f"{built.row.name}: {built.row.reason}" for built in inside if built.row.verdict == "error"]
    failed += [f"{name}: not run" for name in absent]
    estimate = mean_of_members(
        [built.estimate for built in inside], level=judging.level, shared_effect=shared_effect(members)
    )
    if failed:
        estimate = PairedEstimate(level=judging.level, method=estimate.method, n=estimate.n)
        judged = Judged("error", failed[0])
    elif all(built.row.verdict == "identical" for built in inside):
        estimate = replace(estimate, ci_low=None, ci_high=None, p=None, se=None)
        judged = Judged("identical", "both arms have the same component")
    else:
        floor = judging.noise_floor(info.name)
        judged = judge(estimate, margin=info.margin, min_n=judging.min_n, noise_floor=floor)
    spoken = [built.speech for built in inside if built.speech]
    speech = Speech.of(
        mean_of_members([each.estimate for each in spoken], level=judging.level) if spoken else None,
        margin=info.margin,
        min_n=judging.min_n,
        misheard=mean_misheard([each.share for each in spoken]),
    )
    metrics = sorted({built.row.metric for built in inside})
    directions = {built.row.higher_is_better for built in inside}
    comparable = all(built.row.transitions is not None for built in inside) and len(directions) == 1
    if len(metrics) > 1 and not comparable:
        estimate = replace(estimate, base=None, checkpoint=None, delta=None)
    row = Row(
        name=info.name,
        title=info.title,
        kind="suite_row",
        role=info.role,
        metric=metrics[0] if len(metrics) == 1 else f"mean of {', '.join(metrics)}",
        higher_is_better=directions == {True},
        margin=info.margin,
        coverage=_coverage(members),
        unpaired=sum(built.row.unpaired for built in inside),
        transitions=summed_transitions([built.row.transitions for built in inside]),
        samplewise=mean_samplewise([built.row.samplewise for built in inside]),
        agreement=_mean_agreement(inside),
        n_clusters=estimate.n_clusters,
        noise_floor=judging.noise_floor(info.name),
        notes=_notes(estimate, judging, info.name, margin=info.margin),
        **_judged_fields(
            estimate, judged, info.margin, judging, speech, tasks=[member.task for member in members]
        ),
    )
    return BuiltRow(row, estimate, inside=inside, speech=speech)


def _coverage(members: Sequence[TaskPair]) -> float | None:
    ready = [member for member in members if isinstance(member, ReadyPair)]
    planned = sum(member.n_planned for member in ready)
    return sum(len(member.joined.pairs) for member in ready) / planned if planned else None


def _mean_agreement(inside: Sequence[BuiltRow]) -> float | None:
    known = [built.row.agreement for built in inside if built.row.agreement is not None]
    return fmean(known) if inside and len(known) == len(inside) else None

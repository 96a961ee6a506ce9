"""From the comparisons of several checkpoints to the curve document: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from forgetbench.forgetting.curve_laws import lines_of, results_of
from forgetbench.forgetting.matched_gain import (
    PlanePoint,
    at_matched_gain,
    common_range,
    pareto_front,
)
from forgetbench.forgetting.matrices import final_relative_drop, luo_fg
from forgetbench.forgetting.one_method import why_no_method
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.curve import (
    Curve,
    CurvePoint,
    Exposure,
    Loss,
    MatchedGainResult,
    Measure,
    RunFigures,
    Training,
)
from forgetbench.schema.task import Role

EXPOSURES: tuple[Exposure, ...] = ("steps", "tokens", "audio_s")
_NOT_FORGETTING: frozenset[Role] = frozenset({"target", "cost"})
GAINS = (0.5, 1.0)
"""Shares of the common range of gains at which methods are compared."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One checkpoint: what it lost, and how it was trained."""

    comparison: Comparison
    training: Training


def exposure_of(trainings: Sequence[Training]) -> Exposure | None:
    """Return what is known of every checkpoint and differs between some; steps before tokens before audio."""
    for name in EXPOSURES:
        values = [getattr(training, name) for training in trainings]
        if None not in values and len(set(values)) > 1 and min(values) > 0:
            return name
    return None


def make_curve(checkpoints: Sequence[Trained], *, exposure: Exposure, seed: int = 0) -> Curve:
    """Return the curve of several checkpoints of one base.

    Args:
        checkpoints: At least two, of one base and measured alike.
        exposure: As :func:`exposure_of` finds it.
        seed: Of fits and resampling.
    """
    first = checkpoints[0].comparison
    measures = _measures([c.comparison for c in checkpoints])
    target = _target(checkpoints)
    points = sorted(
        (_point(c, measures, target, several_ranks=_several_ranks(checkpoints)) for c in checkpoints),
        key=lambda p: (*_order(p), getattr(p.training, exposure)),
    )
    points = _with_front(points, measures)
    laws = results_of(points, measures, exposure, seed=seed)
    return Curve(
        base=first.base.name,
        base_fingerprint=first.base.fingerprint,
        run_key=first.run_key,
        exposure=exposure,
        target=target,
        measures=measures,
        points=tuple(points),
        laws=tuple(found for found, _ in laws),
        lines=tuple(lines_of(laws, points, exposure, seed=seed)),
        runs=tuple(_figures(points, measures)),
        matched_gain=tuple(_matched(points, measures)),
        scope=tuple(_scope(points)),
    )


def _order(point: CurvePoint) -> tuple[str, int, str, str]:
    """Sort by method, rank and run, so that what belongs together stands together."""
    return (point.training.method or "", point.training.lora_rank or 0, point.group, point.run)


def loss_of(point: CurvePoint, measure: str) -> Loss:
    """Return a point's loss in a measure."""
    return next(loss for loss in point.losses if loss.measure == measure)


def _measures(comparisons: Sequence[Comparison]) -> tuple[Measure, ...]:
    """Return the rows that all comparisons have; those without labels to learn from come first."""
    shared = [
        row
        for row in comparisons[0].rows
        if row.role not in _NOT_FORGETTING and all(_row(c, row.name) is not None for c in comparisons)
    ]
    gating: tuple[Role, ...] = ("general", "safety")
    return tuple(_measure(row) for row in sorted(shared, key=lambda row: row.role in gating))


def _measure(row: Row) -> Measure:
    return Measure(
        name=row.name,
        title=row.title,
        metric=row.metric,
        role=row.role,
        higher_is_better=row.higher_is_better,
        base=row.base,
    )


def _row(comparison: Comparison, name: str) -> Row | None:
    return next((row for row in comparison.rows if row.name == name), None)


def _target(checkpoints: Sequence[Trained]) -> Measure | None:
    rows = [row for row in checkpoints[0].comparison.rows if row.role == "target"]
    return next(
        (_measure(row) for row in rows if all(_row(c.comparison, row.name) is not None for c in checkpoints)),
        None,
    )


def _several_ranks(checkpoints: Sequence[Trained]) -> bool:
    return len({c.training.lora_rank for c in checkpoints} - {None}) > 1


def _point(
    trained: Trained, measures: Sequence[Measure], target: Measure | None, *, several_ranks: bool
) -> CurvePoint:
    comparison, training = trained.comparison, trained.training
    row = _row(comparison, target.name) if target else None
    measured = -row.degradation if row is not None and row.degradation is not None else None
    method = training.method or "checkpoint"
    ranked = several_ranks and training.lora_rank is not None
    group = f"{method} r{training.lora_rank}" if ranked else method
    unknown = group if training.seed is None else f"{group}, seed {training.seed}"
    return CurvePoint(
        checkpoint=comparison.checkpoint.name,
        fingerprint=comparison.checkpoint.fingerprint,
        group=group,
        run=training.run or unknown,
        training=training,
        target_score=row.checkpoint if row else None,
        target_gain=measured if row else training.target_gain,
        losses=tuple(_loss(row, measure) for measure in measures if (row := _row(comparison, measure.name))),
    )


def _loss(row: Row, measure: Measure) -> Loss:
    return Loss(
        measure=measure.name,
        score=row.checkpoint,
        degradation=row.degradation,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
    )


def _with_front(points: Sequence[CurvePoint], measures: Sequence[Measure]) -> list[CurvePoint]:
    known = [i for i, p in enumerate(points) if measures and _plane(p, measures[0]) is not None]
    plane = [found for i in known if (found := _plane(points[i], measures[0])) is not None]
    front = {known[i] for i in pareto_front(plane)}
    return [
        point.model_copy(update={"on_front": i in front if i in known else None})
        for i, point in enumerate(points)
    ]


def _plane(point: CurvePoint, measure: Measure) -> PlanePoint | None:
    lost = loss_of(point, measure.name).degradation
    if point.target_gain is None or lost is None:
        return None
    return PlanePoint(gain=point.target_gain, forgetting=lost)


def _by_run(points: Sequence[CurvePoint]) -> Iterator[tuple[str, str, list[CurvePoint]]]:
    """Yield group, run and the run's points in the order of training."""
    for (group, run), members in groupby(points, key=lambda p: (p.group, p.run)):
        yield group, run, list(members)


def _figures(points: Sequence[CurvePoint], measures: Sequence[Measure]) -> Iterator[RunFigures]:
    chosen = [m for m in measures if m.role == "general" and m.higher_is_better]
    if not chosen:
        return
    for group, run, members in _by_run(points):
        matrix = [[m.base for m in chosen], *([loss_of(p, m.name).score for m in chosen] for p in members)]
        yield RunFigures(
            run=run,
            group=group,
            n_checkpoints=len(members),
            measures=tuple(m.name for m in chosen),
            luo_fg=luo_fg(matrix),
            final_relative_drop=final_relative_drop(matrix),
        )


def _matched(points: Sequence[CurvePoint], measures: Sequence[Measure]) -> Iterator[MatchedGainResult]:
    """Compare each two groups with the base, which gained and lost nothing, as the start of every run."""
    start = PlanePoint(gain=0.0, forgetting=0.0)
    for measure in measures:
        groups: dict[str, list[list[PlanePoint]]] = {}
        for group, _, members in _by_run(points):
            plane = [_plane(point, measure) for point in members]
            known = [point for point in plane if point is not None]
            if len(known) == len(plane):
                groups.setdefault(group, []).append([start, *known])
        for one, other in combinations(groups, 2):
            shared = common_range(groups[one], groups[other])
            for share in GAINS if shared and shared[1] > 0 else ():
                gain = share * shared[1] if shared else 0.0
                found = at_matched_gain(groups[one], groups[other], gain)
                yield MatchedGainResult(
                    measure=measure.name,
                    first=one,
                    second=other,
                    gain=gain,
                    n_runs=(len(groups[one]), len(groups[other])),
                    forgetting_first=found.first,
                    forgetting_second=found.second,
                    difference=found.difference,
                    ci_low=found.low,
                    ci_high=found.high,
                )


def _scope(points: Sequence[CurvePoint]) -> Iterator[str]:
    for group, members in groupby(points, key=lambda p: p.group):
        listed = list(members)
        last = {p.run: p.training for p in listed}
        reason = why_no_method(list(last.values()))
        if len(last) > 1 and not reason:
            yield f"{group}: this method, over {len(last)} seeds"
        elif len(last) > 1:
            yield f"{group}: these {len(listed)} checkpoints of {len(last)} runs, of no method: {reason}"
        elif len(listed) > 1:
            yield f"{group}: these {len(listed)} checkpoints; of the method only several seeds speak"
        else:
            yield f"{group}: this checkpoint; of the method only several seeds speak"

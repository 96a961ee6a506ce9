"""Base against checkpoint: a pure function of two run documents and their sample tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from forgetbench.forgetting.beside import beside_metrics
from forgetbench.forgetting.corpus_translation import corpus_translation
from forgetbench.forgetting.family import holm
from forgetbench.forgetting.groups import group_families
from forgetbench.forgetting.hearing_cost import hearing_costs
from forgetbench.forgetting.losses import ScoredPairs, worst_losses
from forgetbench.forgetting.lost_words import lost_words
from forgetbench.forgetting.match import ReadyPair, TaskPair, match_tasks
from forgetbench.forgetting.noise_floor import noise_floors
from forgetbench.forgetting.output_health import health_warnings, output_health, runaway_warnings
from forgetbench.forgetting.refusal_rates import refusal_rates
from forgetbench.forgetting.representations import representation_drift
from forgetbench.forgetting.rows import BuiltRow, Judging, suite_row, task_row
from forgetbench.forgetting.scope import missing_scope
from forgetbench.forgetting.verdict import GATING, MIN_N, conclude
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import RunDocument, SuiteRowInfo, TaskResult
from forgetbench.schema.task import Role

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PlannedRow:
    """A row before its statistics: one task, or the tasks that share a suite row."""

    info: SuiteRowInfo | None
    members: tuple[TaskPair, ...]
    absent: tuple[str, ...] = ()

    @property
    def role(self) -> Role:
        """Role of the row."""
        return self.info.role if self.info else self.members[0].task.role

    @property
    def is_skipped(self) -> bool:
        """Nothing of it was run: it is no row, only named as not measured."""
        return all(member.state == "skipped" for member in self.members)

    @property
    def is_tested(self) -> bool:
        """It has a test, and so counts in its family: neither identical nor in error."""
        states = {member.state for member in self.members}
        return "ready" in states and states <= {"ready", "identical"} and not self.absent


def family_of(role: Role) -> str:
    """Return the family that a row of this role is judged in; general and safety share one."""
    return "general and safety" if role in GATING else role


def compare(
    base: RunDocument,
    checkpoint: RunDocument,
    base_samples: Mapping[str, pd.DataFrame],
    checkpoint_samples: Mapping[str, pd.DataFrame],
    *,
    alpha: float = 0.05,
    min_n: int = MIN_N,
) -> Comparison:
    """Compare two runs; equal inputs give the same bytes.

    Args:
        base: Run of the base.
        checkpoint: Run of the checkpoint.
        base_samples: Sample table of each task of the base, by task name.
        checkpoint_samples: The same of the checkpoint.
        alpha: Error rate of a family of rows.
        min_n: Samples below which a row has no verdict.
    """
    pairs = match_tasks(base, checkpoint, base_samples, checkpoint_samples)
    planned = [row for row in _plan(base, checkpoint, pairs) if not row.is_skipped]
    sizes = Counter(family_of(row.role) for row in planned if row.is_tested)
    floors = noise_floors(base, checkpoint)
    judging = Judging(run_key=checkpoint.run_key, alpha=alpha, min_n=min_n, noise_floors=floors)
    built = [_build(row, replace(judging, family_size=max(sizes[family_of(row.role)], 1))) for row in planned]
    rows = _with_holm([b.row for b in built])
    inside = [inner for b in built for inner in b.inside]
    details = [b.row for b in inside]
    measured = {name for name, pair in pairs.items() if pair.state in ("ready", "identical")}
    ready = [pair for pair in pairs.values() if isinstance(pair, ReadyPair)]
    comparable = (_only(base, measured), _only(checkpoint, measured))
    scope = missing_scope(base, checkpoint, measured=measured)
    conclusion = conclude(rows, missing_suites=scope.suites)
    return Comparison(
        run_key=checkpoint.run_key,
        reproduce=checkpoint.reproduce if base.reproduce == checkpoint.reproduce else "",
        base=base.checkpoint,
        checkpoint=checkpoint.checkpoint,
        alpha=alpha,
        family_size=sizes["general and safety"],
        rows=tuple(rows),
        details=tuple(details),
        worst_losses=worst_losses(list(_scored([*built, *inside]))),
        groups=group_families(ready, judging),
        lost_words=lost_words(ready),
        beside=(*beside_metrics(*comparable), *corpus_translation(ready)),
        refusal_rates=tuple(refusal_rates(*comparable, [*rows, *details])),
        hearing_costs=tuple(hearing_costs(ready)),
        representation_drift=tuple(representation_drift(ready)),
        output_health=output_health(base, checkpoint),
        not_measured=scope.lines,
        warnings=tuple(dict.fromkeys(_warnings(base, checkpoint, rows, details))),
        decision=conclusion.decision,
        summary=conclusion.summary,
    )


def _only(document: RunDocument, names: Container[str]) -> RunDocument:
    """Return a run with these tasks alone: what cannot be compared has no figure beside the verdict."""
    tasks = tuple(task for task in document.tasks if task.name in names)
    return document.model_copy(update={"tasks": tasks})


def _plan(base: RunDocument, checkpoint: RunDocument, pairs: Mapping[str, TaskPair]) -> Iterator[PlannedRow]:
    infos = {info.name: info for info in (*base.suite_rows, *checkpoint.suite_rows)}
    shared = {name for info in infos.values() for name in info.tasks}
    for name, pair in pairs.items():
        if name not in shared:
            yield PlannedRow(None, (pair,))
    for info in infos.values():
        members = tuple(pairs[name] for name in info.tasks if name in pairs)
        absent = tuple(name for name in info.tasks if name not in pairs)
        if members:
            yield PlannedRow(info, members, absent)


def _build(planned: PlannedRow, judging: Judging) -> BuiltRow:
    if planned.info is None:
        return task_row(planned.members[0], judging)
    return suite_row(planned.info, planned.members, planned.absent, judging)


def _with_holm(rows: Sequence[Row]) -> list[Row]:
    adjusted: dict[str, float | None] = {}
    for family in {family_of(row.role) for row in rows}:
        members = [row for row in rows if family_of(row.role) == family]
        p_values = holm([row.p for row in members])
        adjusted |= {row.name: p for row, p in zip(members, p_values, strict=True)}
    return [row.model_copy(update={"p_holm": adjusted[row.name]}) for row in rows]


def _scored(built: Sequence[BuiltRow]) -> Iterator[ScoredPairs]:
    for b in built:
        if isinstance(b.pair, ReadyPair):
            yield ScoredPairs(b.row, b.pair.metric.type, b.pair.joined.pairs)


def _warnings(
    base: RunDocument, checkpoint: RunDocument, rows: Sequence[Row], details: Sequence[Row]
) -> Iterator[str]:
    yield from base.warnings
    yield from checkpoint.warnings
    if base.settings.load != checkpoint.settings.load:
        yield "the arms were loaded differently (dtype, device, quantisation): that alone can look like loss"
    in_base = {task.name: task for task in base.tasks}
    for task in checkpoint.tasks:
        if task.name in in_base:
            yield from _task_warnings(in_base[task.name], task)
    for health in output_health(base, checkpoint):
        yield from health_warnings(health)
    yield from runaway_warnings([*rows, *details])
    for row in rows:
        if row.unpaired:
            yield f"{row.name}: {row.unpaired} samples were scored in one arm only and left out"


def _task_warnings(base: TaskResult, checkpoint: TaskResult) -> Iterator[str]:
    if base.first_token_ids != checkpoint.first_token_ids and base.first_token_ids:
        yield f"{checkpoint.name}: the prompt starts differently in the two arms (tokenizer or chat template)"
    if base.judge != checkpoint.judge:
        yield f"{checkpoint.name}: the arms were judged by different judges, or versions of one"
    if base.dataset_revision != checkpoint.dataset_revision:
        yield f"{checkpoint.name}: the arms read different revisions of the data"

"""The components of a system swapped between base and checkpoint, on the same samples and the same cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from forgetbench.engine.arm_run import ArmRun
from forgetbench.engine.curve_results import TRAINING
from forgetbench.engine.plan import Plan, PlannedTask
from forgetbench.engine.results import MIXED, RUN_FILE, Result, read_samples, write_document
from forgetbench.errors import UsageError
from forgetbench.forgetting.attribution import Decomposition, Swapped, decompose, n_intervals, systems
from forgetbench.forgetting.degenerate import METRIC as DEGENERATE
from forgetbench.forgetting.degenerate import what_grew
from forgetbench.forgetting.family import simultaneous_level
from forgetbench.forgetting.join import KEYS, with_keys
from forgetbench.forgetting.verdict import too_many_failures
from forgetbench.models.component import ROLES, Checkpoint, Component, Role
from forgetbench.models.pairing import Pair
from forgetbench.schema.attribution import Attribution, ComponentEffect, Interaction, TaskAttribution
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import RunDocument, TaskResult

if TYPE_CHECKING:
    import pandas as pd


Parts = Mapping[Role, Component]


def check_attributable(pair: Pair, plan: Plan) -> None:
    """Refuse what cannot be attributed, before a model is loaded.

    Raises:
        UsageError: There is no base, no spoken task, or a mixed system could not answer speech.
    """
    before, after = _parts(pair.base), _parts(pair.checkpoint)
    if not before or not after or not _spoken(plan):
        raise UsageError(
            "--attribute", "no spoken task is run on two systems", "Give --base, and --tasks spoken-mini."
        )
    _mixed_systems(before, after)


def attribute(
    pair: Pair, result: Result, run: ArmRun, document: Callable[[ArmRun], RunDocument]
) -> Attribution:
    """Run every mixed system of a pair on its spoken tasks, and split their losses over the components.

    Args:
        pair: Base and checkpoint, systems that answer speech.
        result: Of the pair.
        run: Of either arm, for everything but the system.
        document: Runs an arm.

    Raises:
        UsageError: As :func:`check_attributable`.
    """
    check_attributable(pair, run.plan)
    assert result.base is not None and result.comparison is not None
    before, after = _parts(pair.base), _parts(pair.checkpoint)
    tasks, changed, mixed = _spoken(run.plan), _changed(before, after), _mixed_systems(before, after)
    reproduce = f"{result.checkpoint.reproduce} --attribute"
    documents: dict[Swapped, RunDocument] = {}
    samples: dict[Swapped, Mapping[str, pd.DataFrame]] = {}
    for arm, swapped in ((result.base, frozenset[str]()), (result.checkpoint, frozenset[str](changed))):
        documents[swapped], samples[swapped] = arm, read_samples(result.directory, arm)
    for swapped, checkpoint in mixed.items():
        folder = result.directory / MIXED / "+".join(role for role in ROLES if role in swapped)
        own = replace(
            run,
            arm="checkpoint",
            checkpoint=checkpoint,
            plan=replace(run.plan, tasks=tuple(tasks), suite_rows=()),
            identical=frozenset(),
            directory=folder,
            reference=None,
        )
        # How the checkpoint was trained is said of no mixed system.
        made = document(own)
        measured = {key: value for key, value in made.measured.items() if key != TRAINING}
        documents[swapped] = made.model_copy(update={"reproduce": reproduce, "measured": measured})
        write_document(folder / RUN_FILE["checkpoint"], documents[swapped])
        samples[swapped] = read_samples(folder, documents[swapped])
    found: list[TaskAttribution] = []
    reasons: list[str] = []
    for planned in tasks:
        name = planned.task.name
        of_task = {swapped: _task(document, name) for swapped, document in documents.items()}
        reason = _why_not(of_task, result.comparison, name)
        if reason:
            reasons.append(f"{planned.task.title or name}: {reason}")
            continue
        grown = _grown(result.comparison, name)
        for metric in (of_task[frozenset()].primary, *grown):
            scores = _joined({swapped: tables[name] for swapped, tables in samples.items()}, metric)
            if reason := _why_too_few(scores, list(of_task)):
                reasons.append(f"{planned.task.title or name}: {reason}")
                break
            found.append(
                _attributed(
                    of_task,
                    metric,
                    scores,
                    changed,
                    before,
                    after,
                    of=grown.get(metric, ""),
                    alpha=result.comparison.alpha,
                )
            )
    return Attribution(
        run_key=result.checkpoint.run_key,
        reproduce=reproduce,
        base=result.base.checkpoint.fingerprint,
        checkpoint=result.checkpoint.checkpoint.fingerprint,
        identical=tuple(role for role in ROLES if role in before and role not in changed),
        n_systems=len(mixed),
        tasks=tuple(found),
        not_attributed=tuple(reasons),
    )


def _parts(checkpoint: Checkpoint | None) -> Parts:
    """Return the components that answer speech, by role."""
    assistant = checkpoint.assistant if checkpoint else None
    return {part.role: part for part in assistant.parts or (assistant,)} if assistant else {}


def _spoken(plan: Plan) -> list[PlannedTask]:
    return [t for t in plan.tasks if t.task.capability == "answer_audio" and t.skipped is None]


def _changed(before: Parts, after: Parts) -> list[Role]:
    return [role for role in ROLES if _print(before, role) != _print(after, role)]


def _print(parts: Parts, role: Role) -> str | None:
    return parts[role].fingerprint if role in parts else None


def _mixed_systems(before: Parts, after: Parts) -> dict[Swapped, Checkpoint]:
    return {s: _mixed(before, after, s) for s in systems(_changed(before, after))[1:-1]}


def _mixed(before: Parts, after: Parts, swapped: Swapped) -> Checkpoint:
    """Return the base's system with some components of the checkpoint's."""
    sources = {role: after if role in swapped else before for role in ROLES}
    components = {role: parts[role] for role, parts in sources.items() if role in parts}
    name = ",".join(f"{role}={component.source}" for role, component in components.items())
    mixed = Checkpoint(name=name, components=components)
    if mixed.assistant is None:
        raise UsageError(
            "--attribute",
            f"the mixed system {name} could not answer speech",
            "Give --model and --base in the same form: both asr=…,lm=…, or both one model that hears; "
            "or leave --attribute out.",
        )
    return mixed


def _grown(comparison: Comparison, name: str) -> dict[str, str]:
    """Return ``degenerate`` and what it is, where a row has lost by it, whatever became of its own metric."""
    rows = (row for row in (*comparison.rows, *comparison.details) if row.name == name)
    shares = [row.degenerate for row in rows if row.degenerate is not None]
    lost = [s for s in shares if (s.degradation or 0.0) > 0 and s.verdict in ("regressed", "worse")]
    return {DEGENERATE: what_grew(lost[0])} if lost else {}


def _task(document: RunDocument, name: str) -> TaskResult:
    return next(task for task in document.tasks if task.name == name)


def _why_not(of_task: Mapping[Swapped, TaskResult], comparison: Comparison, name: str) -> str:
    """Return why a task has no attribution: identical, not measured by one system, or without a verdict."""
    statuses = {task.status for task in of_task.values()}
    if statuses == {"identical"}:
        return "identical, not run"
    bad = next((task for task in of_task.values() if task.status != "done"), None)
    if bad:
        return f"not attributed, {bad.status} in one of the systems: {bad.reason}"
    rows = (row for row in (*comparison.rows, *comparison.details) if row.name == name)
    failed = next((row for row in rows if row.verdict == "error"), None)
    return f"not attributed, its verdict is error: {failed.reason}" if failed else ""


def _joined(tables: Mapping[Swapped, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Return the samples of all systems: a column of scores for each, missing where it could not score."""
    parts = []
    for swapped, table in tables.items():
        part = with_keys(table, [metric])
        part["cluster"] = part["cluster"].fillna("")
        part[_column(swapped)] = part[metric].where(part["scored"])
        parts.append(part[[*KEYS, "cluster", _column(swapped)]])
    return reduce(lambda left, right: left.merge(right, on=[*KEYS, "cluster"], how="outer"), parts)


def _why_too_few(scores: pd.DataFrame, every: Sequence[Swapped]) -> str:
    """Return why the samples that all systems scored may not speak for the task (docs/assistant.md)."""
    base = scores[_column(frozenset())].notna()
    for swapped in every:
        failures = int((base & scores[_column(swapped)].isna()).sum())
        if too_many_failures(failures, len(scores)):
            names = "+".join(role for role in ROLES if role in swapped)
            return (
                f"not attributed, the system with the checkpoint's {names} failed on "
                f"{failures} of {len(scores)} samples"
            )
    together = scores[[_column(swapped) for swapped in every]].notna().all(axis=1)
    return "" if together.any() else "not attributed, no sample was scored by every system"


def _column(swapped: Swapped) -> str:
    return "score of " + "+".join(sorted(swapped))


def _attributed(
    of_task: Mapping[Swapped, TaskResult],
    name: str,
    scores: pd.DataFrame,
    changed: Sequence[Role],
    before: Parts,
    after: Parts,
    *,
    of: str,
    alpha: float,
) -> TaskAttribution:
    """Return the parts of a loss; ``of`` names it where it is not the task's own metric."""
    task = of_task[frozenset()]
    metric = task.metrics[name]
    level = simultaneous_level(alpha, n_intervals(len(changed)))
    columns = {swapped: _column(swapped) for swapped in of_task}
    common = scores.dropna(subset=list(columns.values()))
    split = decompose(
        {swapped: common[column].to_numpy(float) for swapped, column in columns.items()},
        changed,
        higher_is_better=metric.higher_is_better,
        binary=metric.type == "binary",
        level=level,
        clusters=list(common["cluster"]),
        units=list(common["id"]),
    )
    return TaskAttribution(
        task=task.name,
        title=f"{task.title or task.name}, {of}" if of else task.title,
        metric=name,
        higher_is_better=metric.higher_is_better,
        n=len(common),
        n_dropped=len(scores) - len(common),
        level=level,
        total=split.total,
        components=tuple(_component(role, split, before, after) for role in changed),
        interactions=tuple(
            Interaction(roles=tuple(role for role in changed if role in together), effect=effect)
            for together, effect in split.interactions.items()
        ),
    )


def _component(role: Role, split: Decomposition, before: Parts, after: Parts) -> ComponentEffect:
    return ComponentEffect(
        role=role,
        base=before[role].source if role in before else "",
        checkpoint=after[role].source if role in after else "",
        alone=split.alone[role],
        share=split.share[role],
    )

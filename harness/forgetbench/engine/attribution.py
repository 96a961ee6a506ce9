"""The components of a system swapped between base and checkpoint, on the same samples and the same cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from forgetbench.engine.arm_run import ArmRun
from forgetbench.engine.results import RUN_FILE, Result, read_samples, write_document
from forgetbench.engine.trajectories import TRAINING
from forgetbench.errors import UsageError
from forgetbench.forgetting.attribution import Decomposition, Swapped, decompose, systems
from forgetbench.forgetting.family import simultaneous_level
from forgetbench.forgetting.join import KEYS
from forgetbench.models.component import ROLES, Checkpoint, Component, Role
from forgetbench.models.pairing import Pair
from forgetbench.schema.attribution import Attribution, ComponentEffect, TaskAttribution
from forgetbench.schema.run import RunDocument, TaskResult

if TYPE_CHECKING:
    import pandas as pd

MIXED = "swapped"
"""Folder of a result with the runs of the mixed systems, each under the roles that were swapped."""

Parts = Mapping[Role, Component]


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
        UsageError: There is no base, no spoken task was run, or a mixed system cannot answer speech.
    """
    before, after = _parts(pair.base), _parts(pair.checkpoint)
    tasks = [t for t in run.plan.tasks if t.task.capability == "answer_audio" and t.skipped is None]
    if result.base is None or not before or not after or not tasks:
        raise UsageError(
            "--attribute", "no spoken task was run on two systems", "Give --base, and --tasks spoken-mini."
        )
    changed = [role for role in ROLES if _print(before, role) != _print(after, role)]
    mixed = {swapped: _mixed(before, after, swapped) for swapped in systems(changed)[1:-1]}
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
    alpha = result.comparison.alpha if result.comparison else 0.05
    found: list[TaskAttribution] = []
    reasons: list[str] = []
    for planned in tasks:
        name = planned.task.name
        of_task = {swapped: _task(document, name) for swapped, document in documents.items()}
        if reason := _why_not(of_task):
            reasons.append(f"{planned.task.title or name}: {reason}")
            continue
        scores = _joined({swapped: tables[name] for swapped, tables in samples.items()}, of_task)
        found.append(_attributed(of_task, scores, changed, before, after, alpha=alpha))
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


def _print(parts: Parts, role: Role) -> str | None:
    return parts[role].fingerprint if role in parts else None


def _mixed(before: Parts, after: Parts, swapped: Swapped) -> Checkpoint:
    """Return the base's system with some components of the checkpoint's."""
    sources = {role: after if role in swapped else before for role in ROLES}
    components = {role: parts[role] for role, parts in sources.items() if role in parts}
    name = ",".join(f"{role}={component.source}" for role, component in components.items())
    mixed = Checkpoint(name=name, components=components)
    if mixed.assistant is None:
        raise UsageError(
            "--attribute", f"{name} cannot answer speech", "Swap systems of the same components."
        )
    return mixed


def _task(document: RunDocument, name: str) -> TaskResult:
    return next(task for task in document.tasks if task.name == name)


def _why_not(of_task: Mapping[Swapped, TaskResult]) -> str:
    """Return why a task has no attribution: identical in both arms, or not measured by one of the systems."""
    statuses = {task.status for task in of_task.values()}
    if statuses == {"identical"}:
        return "identical, not run"
    bad = next((task for task in of_task.values() if task.status != "done"), None)
    return f"{bad.status} in one of the systems: {bad.reason}" if bad else ""


def _joined(tables: Mapping[Swapped, pd.DataFrame], of_task: Mapping[Swapped, TaskResult]) -> pd.DataFrame:
    """Return the samples that all systems could score: a column of scores for each system."""
    primary = of_task[frozenset()].primary
    parts = []
    for swapped, table in tables.items():
        part = table[table["error"].isna() & table[primary].notna()].copy()
        part["occurrence"] = part.groupby(KEYS[:-1], sort=False).cumcount()
        parts.append(part[[*KEYS, "cluster", primary]].rename(columns={primary: _column(swapped)}))
    return reduce(lambda left, right: left.merge(right, on=[*KEYS, "cluster"]), parts)


def _column(swapped: Swapped) -> str:
    return "score of " + "+".join(sorted(swapped))


def _attributed(
    of_task: Mapping[Swapped, TaskResult],
    scores: pd.DataFrame,
    changed: Sequence[Role],
    before: Parts,
    after: Parts,
    *,
    alpha: float,
) -> TaskAttribution:
    task = of_task[frozenset()]
    metric = task.metrics[task.primary]
    split = decompose(
        {swapped: scores[_column(swapped)].to_numpy(float) for swapped in of_task},
        changed,
        higher_is_better=metric.higher_is_better,
        binary=metric.type == "binary",
        level=simultaneous_level(alpha, len(changed) + (len(changed) > 1)),
        clusters=list(scores["cluster"].fillna("")),
        units=list(scores["id"]),
    )
    return TaskAttribution(
        task=task.name,
        title=task.title,
        metric=task.primary,
        higher_is_better=metric.higher_is_better,
        n=len(scores),
        level=simultaneous_level(alpha, len(changed) + (len(changed) > 1)),
        total=split.total,
        components=tuple(_component(role, split, before, after) for role in changed),
        interaction=split.interaction,
    )


def _component(role: Role, split: Decomposition, before: Parts, after: Parts) -> ComponentEffect:
    return ComponentEffect(
        role=role,
        base=before[role].source if role in before else "",
        checkpoint=after[role].source if role in after else "",
        alone=split.alone[role],
        share=split.share[role],
    )

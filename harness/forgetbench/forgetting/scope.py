"""What a pair of runs did not measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import get_args

from forgetbench.schema.run import RunDocument, TaskResult
from forgetbench.schema.task import AsrMetric, AudioMetric, Role

STANDARD_SUITES = ("hearing", "retention", "safety")
HEARING_METRICS = frozenset((*get_args(AsrMetric), *get_args(AudioMetric)))
FORGETTING_ROLES: frozenset[Role] = frozenset({"general", "safety"})


@dataclass(frozen=True)
class Scope:
    """What is missing.

    Attributes:
        suites: Suites of which nothing was measured: the standard ones, and those asked for.
        lines: One sentence for each of them, and for each reason why tasks were skipped.
    """

    suites: tuple[str, ...]
    lines: tuple[str, ...]


def missing_scope(base: RunDocument, checkpoint: RunDocument, *, measured: Collection[str]) -> Scope:
    """Return what was skipped, asked for in vain, or never asked for.

    A task belongs to the suites it is tagged with and, if its role is general or safety, to one
    of the standard three: safety by its role, hearing by a metric of recognised or enhanced speech,
    else retention.

    Args:
        base: Run of the base.
        checkpoint: Run of the checkpoint.
        measured: Names of the tasks for which the pair has a result.
    """
    tasks = (*base.tasks, *checkpoint.tasks)
    requested = dict.fromkeys((*base.suites_requested, *checkpoint.suites_requested))
    covered = {suite for task in tasks if task.name in measured for suite in suites_of(task)}
    tagged = any(task.suites for task in tasks)
    wanted = [
        name for name in requested if name in STANDARD_SUITES or (tagged and not _names_task(name, tasks))
    ]
    suites = tuple(suite for suite in dict.fromkeys((*wanted, *STANDARD_SUITES)) if suite not in covered)
    why = {suite: _why(suite, tasks, asked=suite in requested) for suite in suites}
    skipped = {task.name: task.reason for task in tasks if task.status == "skipped"}
    lines = [f"{suite} was NOT measured: {why[suite]}" for suite in suites]
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        reasons.setdefault(reason, []).append(name)
    lines += [f"{_were(names)} NOT measured: skipped{_because(reason)}" for reason, names in reasons.items()]
    return Scope(suites, tuple(lines))


def suites_of(task: TaskResult) -> set[str]:
    """Return the suites that a task counts for: its tags, and one of the standard three."""
    suites = set(task.suites)
    if task.role == "distribution":  # how far it moved does not say what was lost
        suites -= set(STANDARD_SUITES)
    if task.role in FORGETTING_ROLES:
        kind = "hearing" if task.primary in HEARING_METRICS else "retention"
        suites.add("safety" if task.role == "safety" else kind)
    return suites


def larger_suite(tasks: Sequence[TaskResult]) -> str | None:
    """Return the standard suite whose small counterpart all of these tasks are in; None without one."""
    return next((name for name in STANDARD_SUITES if all(f"{name}-mini" in t.suites for t in tasks)), None)


def _names_task(name: str, tasks: Sequence[TaskResult]) -> bool:
    return any(fnmatchcase(task.name, name) for task in tasks)


def _why(suite: str, tasks: Sequence[TaskResult], *, asked: bool) -> str:
    states = {task.status for task in tasks if suite in suites_of(task)}
    if states == {"skipped"}:
        return "every task was skipped"
    if states:
        return "no task has a result"
    return "no task of it was run" if asked else "not asked for"


def _were(names: Sequence[str]) -> str:
    return f"{names[0]} was" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} were"


def _because(reason: str) -> str:
    return f", {reason}" if reason else ""

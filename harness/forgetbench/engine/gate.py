"""A result judged by a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from forgetbench.engine.results import Result, read_result, read_samples
from forgetbench.errors import UsageError
from forgetbench.forgetting.gate import Gate, common_suites, gate, margin_of, names_of, with_margins
from forgetbench.forgetting.pairs import compare
from forgetbench.metrics.margin import check_margin
from forgetbench.schema.policy import Margins, Policy
from forgetbench.schema.run import SuiteRowInfo, TaskResult
from forgetbench.schema.task import Task
from forgetbench.tasks.registry import load_registry


def gate_result(directory: Path, policy: Policy, *, include_paths: Sequence[Path] = ()) -> Gate:
    """Compare the arms of a result directory by the policy's margins, and judge them.

    Args:
        directory: The result.
        policy: The policy.
        include_paths: As for the run: which tasks a suite has, its definitions say.

    Raises:
        UsageError: It is no result, or has no base; or a margin of the policy judges nothing.
        TaskError: A task file of ``include_paths`` is invalid.
        ForgetbenchError: Its sample records are not those of its documents.
    """
    result = read_result(directory)
    if result.base is None:
        raise UsageError(str(directory), "was scored without a base", "Run again with --base.")
    for document in (result.base, result.checkpoint):
        check_margins(policy.margins, {task.name: task for task in document.tasks}, document.suite_rows)
    base, checkpoint = (with_margins(d, policy.margins) for d in (result.base, result.checkpoint))
    comparison = compare(
        base,
        checkpoint,
        read_samples(directory, result.base),
        read_samples(directory, result.checkpoint),
        alpha=_alpha(result),
    )
    return gate(comparison, base, checkpoint, policy, suites=_suites(policy, include_paths))


def check_margins(
    margins: Margins, tasks: Mapping[str, TaskResult | Task], rows: Sequence[SuiteRowInfo]
) -> None:
    """Refuse margins of a policy that no loss could exceed, or that no row would be judged by.

    Args:
        margins: Of the policy.
        tasks: By name.
        rows: Suite rows of these tasks.

    Raises:
        UsageError: It names the first row with such a margin, or the first task that is judged inside a row.
    """
    inside_of = {name: row.name for row in rows for name in row.tasks}
    judged = [*(name for name in tasks if name not in inside_of), *(row.name for row in rows)]
    for asked in margins.tasks:
        within = [name for name in inside_of if name in tasks and fnmatchcase(name, asked)]
        if within and not any(fnmatchcase(name, asked) for name in judged):
            cause = f"{within[0]} is judged inside the row {inside_of[within[0]]}, which has one margin"
            way_out = f"Give {inside_of[within[0]]} the margin, or run the task without its suite."
            raise UsageError(f"policy, margin of {asked}", cause, way_out)
    for task in tasks.values():
        own = margin_of(task, task.suites, margins)
        check_margin(f"margin of {task.name}", own, task.primary or "")
    for row in rows:
        shared = margin_of(row, common_suites(row, tasks), margins)
        inside = [tasks[name].primary or "" for name in row.tasks if name in tasks]
        check_margin(f"margin of {row.name}", shared, *inside)


def _suites(policy: Policy, include_paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Return the tasks of each suite that a policy names, those inside a suite row too."""
    registry = load_registry(include_paths)
    known = [name for name in names_of(policy) if name in registry.suites]
    return {name: tuple(d.task.name for d in registry.select([name]).tasks) for name in known}


def _alpha(result: Result) -> float:
    return result.comparison.alpha if result.comparison else 0.05

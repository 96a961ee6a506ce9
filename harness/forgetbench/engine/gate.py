"""A result judged by a policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forgetbench.engine.results import Result, read_result, read_samples
from forgetbench.errors import UsageError
from forgetbench.forgetting.gate import Gate, gate, names_of, with_margins
from forgetbench.forgetting.pairs import compare
from forgetbench.schema.policy import Policy
from forgetbench.tasks.registry import load_registry


def gate_result(directory: Path, policy: Policy, *, include_paths: Sequence[Path] = ()) -> Gate:
    """Compare the arms of a result directory by the policy's margins, and judge them.

    Args:
        directory: The result.
        policy: The policy.
        include_paths: As for the run: which tasks a suite has, its definitions say.

    Raises:
        UsageError: It is no result, or has no base.
        TaskError: A task file of ``include_paths`` is invalid.
        ForgetbenchError: Its sample records are not those of its documents.
    """
    result = read_result(directory)
    if result.base is None:
        raise UsageError(str(directory), "was scored without a base", "Run again with --base.")
    base, checkpoint = (with_margins(d, policy.margins) for d in (result.base, result.checkpoint))
    comparison = compare(
        base,
        checkpoint,
        read_samples(directory, result.base),
        read_samples(directory, result.checkpoint),
        alpha=_alpha(result),
    )
    return gate(comparison, base, checkpoint, policy, suites=_suites(policy, include_paths))


def _suites(policy: Policy, include_paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Return the tasks of each suite that a policy names, those inside a suite row too."""
    registry = load_registry(include_paths)
    known = [name for name in names_of(policy) if name in registry.suites]
    return {name: tuple(d.task.name for d in registry.select([name]).tasks) for name in known}


def _alpha(result: Result) -> float:
    return result.comparison.alpha if result.comparison else 0.05

"""A result judged by a policy."""

from __future__ import annotations

from pathlib import Path

from forgetbench.engine.results import Result, read_result, read_samples
from forgetbench.errors import UsageError
from forgetbench.forgetting.gate import Gate, gate, with_margins
from forgetbench.forgetting.pairs import compare
from forgetbench.schema.policy import Policy


def gate_result(directory: Path, policy: Policy) -> Gate:
    """Compare the arms of a result directory by the policy's margins, and judge them.

    Raises:
        UsageError: It is no result, or has no base.
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
    return gate(comparison, base, checkpoint, policy)


def _alpha(result: Result) -> float:
    return result.comparison.alpha if result.comparison else 0.05

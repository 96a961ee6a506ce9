"""The cost limits of a policy: how much more a checkpoint may need than its base."""

from __future__ import annotations

from collections.abc import Iterator

from forgetbench.forgetting.cost import time_ratio
from forgetbench.schema.cost import ComponentCost, Cost
from forgetbench.schema.policy import CostLimits, Finding
from forgetbench.schema.run import RunDocument


def cost_findings(base: RunDocument, checkpoint: RunDocument, limits: CostLimits | None) -> Iterator[Finding]:
    """Find the cost limits that a checkpoint exceeds, or for which nothing was measured.

    Sizes are compared as they are; a latency exceeds its limit where its whole interval does.
    """
    if limits is None:
        return
    befores = {component.role: component for component in base.checkpoint.components}
    for after in checkpoint.checkpoint.components:
        before = befores.get(after.role)
        for what, limit, old, new in (
            ("parameters", limits.parameters, before.parameters if before else None, after.parameters),
            ("size", limits.size, before.bytes if before else None, after.bytes),
        ):
            if limit is not None:
                yield from _factor(f"{what} of {after.role}", limit, old, new)
    if limits.latency is not None or limits.peak_memory is not None:
        yield from _measured_findings(Cost.of(base.measured), Cost.of(checkpoint.measured), limits)


def _measured_findings(base: Cost | None, checkpoint: Cost | None, limits: CostLimits) -> Iterator[Finding]:
    if base is None or checkpoint is None or base.measured_at != checkpoint.measured_at:
        reason = "the cost was not measured (run with --cost)"
        yield Finding(outcome="inconclusive", row="cost", reason=reason)
        return
    befores = {(component.role, component.capability): component for component in base.components}
    for after in checkpoint.components:
        before = befores.get((after.role, after.capability), ComponentCost(role=after.role))
        if limits.latency is not None:
            yield from _latency(limits.latency, before, after)
        if limits.peak_memory is not None:
            memory = (before.peak_memory_bytes, after.peak_memory_bytes)
            yield from _factor(f"peak memory of {after.role}", limits.peak_memory, *memory)


def _latency(limit: float, before: ComponentCost, after: ComponentCost) -> Iterator[Finding]:
    ratio, what = time_ratio(before.clips, after.clips), f"latency of {after.role}"
    if ratio is None or ratio.low is None or ratio.high is None:
        yield Finding(outcome="inconclusive", row="cost", reason=f"{what} was not measured")
    elif ratio.low > limit:
        reason = f"{what} is {ratio.ratio:.2f} times the base's, the limit {limit:g}"
        yield Finding(outcome="fails", row="cost", reason=reason)
    elif ratio.high > limit:
        reason = f"{what} is {ratio.low:.2f} to {ratio.high:.2f} times the base's, the limit {limit:g}"
        yield Finding(outcome="inconclusive", row="cost", reason=reason)


def _factor(what: str, limit: float, before: float | None, after: float | None) -> Iterator[Finding]:
    if not before or after is None:
        yield Finding(outcome="inconclusive", row="cost", reason=f"{what} is not known in both arms")
    elif after > limit * before:
        reason = f"{what} is {after / before:.2f} times the base's, the limit {limit:g}"
        yield Finding(outcome="fails", row="cost", reason=reason)

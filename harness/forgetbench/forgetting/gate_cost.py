"""The cost limits of a policy: how much more a checkpoint may need than its base."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from forgetbench.forgetting.cost import time_ratio
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost
from forgetbench.schema.policy import CostLimits, Finding
from forgetbench.schema.run import ComponentRole, RunDocument


def cost_findings(base: RunDocument, checkpoint: RunDocument, limits: CostLimits | None) -> Iterator[Finding]:
    """Find the cost limits that a checkpoint exceeds, or for which nothing was measured.

    Sizes are compared as they are; a latency exceeds its limit where its whole interval does. A component
    that is the same in both arms needs what it needed. The latency of one that does not hear itself is its
    part of a spoken turn.
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
        changed = {
            component.role
            for component in checkpoint.checkpoint.components
            if component.role not in befores or befores[component.role].fingerprint != component.fingerprint
        }
        yield from _measured_findings(Cost.of(base.measured), Cost.of(checkpoint.measured), limits, changed)


def _measured_findings(
    base: Cost | None, checkpoint: Cost | None, limits: CostLimits, changed: Collection[ComponentRole]
) -> Iterator[Finding]:
    if base is None or checkpoint is None or base.measured_at != checkpoint.measured_at:
        reason = "the cost was not measured (run with --cost)"
        yield Finding(outcome="inconclusive", row="cost", reason=reason)
        return
    befores = {(component.role, component.capability): component for component in base.components}
    for after in checkpoint.components:
        if after.role not in changed:
            continue
        before = befores.get((after.role, after.capability), ComponentCost(role=after.role))
        if limits.latency is not None:
            times = (_times(base, before), _times(checkpoint, after))
            yield from _latency(limits.latency, *times, f"latency of {after.role}")
        if limits.peak_memory is not None:
            memory = (before.peak_memory_bytes, after.peak_memory_bytes)
            yield from _factor(f"peak memory of {after.role}", limits.peak_memory, *memory)


def _times(cost: Cost, component: ComponentCost) -> tuple[ClipTime, ...]:
    """Return a component's time of each clip, or else its part of each spoken turn."""
    role = component.role
    of_turns = (
        ClipTime(clip=turn.clip, audio_s=turn.audio_s, seconds=turn.seconds[role])
        for turn in cost.turns
        if role in turn.seconds
    )
    return component.clips or tuple(of_turns)


def _latency(
    limit: float, before: Sequence[ClipTime], after: Sequence[ClipTime], what: str
) -> Iterator[Finding]:
    ratio = time_ratio(before, after)
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

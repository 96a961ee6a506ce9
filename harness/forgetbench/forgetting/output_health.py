"""Broken and runaway outputs, base against checkpoint: answers, never errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from forgetbench.schema.comparison import OutputHealth, Row, RunawayOutputs
from forgetbench.schema.run import RunDocument

WORRYING = 0.10
"""So much more of the checkpoint's outputs being empty, looping or not finite is worth a warning."""
ROUNDING = 1e-9
IN_WORDS = {"empty": "empty", "looping": "looping", "truncated": "truncated", "nonfinite": "not finite"}
"""How each kind of broken output is called, in the order in which they are shown."""
_WARNED = ("empty", "looping", "nonfinite")


def output_health(base: RunDocument, checkpoint: RunDocument) -> tuple[OutputHealth, ...]:
    """Return the tasks on which either arm has broken outputs, in the order of the checkpoint's run."""
    in_base = {task.name: task for task in base.tasks}
    both = [(in_base[task.name], task) for task in checkpoint.tasks if task.name in in_base]
    return tuple(
        OutputHealth(
            task=theirs.name, title=theirs.title, base=ours.diagnostics, checkpoint=theirs.diagnostics
        )
        for ours, theirs in both
        if any((*dict(ours.diagnostics).values(), *dict(theirs.diagnostics).values()))
    )


def health_warnings(health: OutputHealth) -> Iterator[str]:
    """Warn where the checkpoint has stopped answering: no loss of a refusal metric would show it."""
    for kind in _WARNED:
        before, after = getattr(health.base, kind), getattr(health.checkpoint, kind)
        if before is not None and after is not None and after - before >= WORRYING - ROUNDING:
            yield (
                f"{health.title}: {after:.0%} of the checkpoint's outputs are {IN_WORDS[kind]}, {before:.0%} "
                "of the base's: read its score with care"
            )


def runaway_note(runaway: RunawayOutputs) -> str:
    """Say how many outputs ran on, and what was lost without them.

    Example:
        >>> runaway_note(RunawayOutputs(n=1, degradation_without=0.0123))
        '1 sample ran on (more errors than reference words); worse by 0.0123 over the others'
    """
    samples = "1 sample" if runaway.n == 1 else f"{runaway.n} samples"
    said = f"{samples} ran on (more errors than reference words)"
    without = runaway.degradation_without
    return said if without is None else f"{said}; worse by {without:.4g} over the others"


def runaway_warnings(rows: Iterable[Row]) -> Iterator[str]:
    """Warn where most of a difference, or of a margin, hangs on the few outputs that ran on."""
    for row in rows:
        runaway = row.runaway
        if runaway is None or runaway.degradation_without is None or row.degradation is None:
            continue
        carried = abs(row.degradation - runaway.degradation_without)
        if carried > max(abs(row.degradation), row.margin) / 2.0:
            yield (
                f"{row.title}: {runaway.n} of {row.n} samples make most of the difference; "
                f"worse by {row.degradation:.4g} with them, by {runaway.degradation_without:.4g} without"
            )

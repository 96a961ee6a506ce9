"""What an arm needs beside its plan, and what it has so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from forgetbench.engine.plan import Plan, PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.question import Workers
from forgetbench.models.component import Checkpoint, Component
from forgetbench.models.resident_base import ResidentBase
from forgetbench.schema.run import Arm, TaskResult
from forgetbench.schema.task import Capability, Divergence, SpeechDivergence


@dataclass(frozen=True, kw_only=True)
class ArmRun:
    """What an arm needs beside the plan.

    Attributes:
        identical: What the same component does in both arms: not run.
        cache: Root of the prediction cache.
        directory: Of the result.
        reference: What distributions are compared with: the base in the checkpoint's arm, else None.
        resident: Keeps a base loaded from arm to arm and from checkpoint to checkpoint.
        workers: Answer in place of models in this process.
    """

    arm: Arm
    checkpoint: Checkpoint
    plan: Plan
    identical: frozenset[Capability]
    prompting: Prompting
    cache: Path
    directory: Path
    progress: Progress
    reference: Checkpoint | None = None
    resident: ResidentBase | None = None
    workers: Workers | None = None

    def reference_for(self, planned: PlannedTask) -> Component | None:
        """Return the component that a task compares this arm's with; None for most tasks."""
        compares = isinstance(planned.task, Divergence | SpeechDivergence)
        return self.reference.component_for(planned.task.capability) if compares and self.reference else None


@dataclass(kw_only=True)
class ArmOutcome:
    """What an arm has so far: results by task name, and what differs from run to run."""

    found: dict[str, TaskResult] = field(default_factory=dict)
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

"""The run document of one arm: its results, and all that a repetition needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from forgetbench.engine.arm_run import ArmOutcome, ArmRun
from forgetbench.engine.curve_results import TRAINING
from forgetbench.engine.environment import read_environment
from forgetbench.engine.peak_memory import process_peak_bytes
from forgetbench.engine.reproduce import run_line
from forgetbench.models.training_record import training_of
from forgetbench.redact import redact
from forgetbench.schema.run import Arm, RunDocument, TaskResult

if TYPE_CHECKING:
    from forgetbench.engine.run import Prepared


def run_document(
    prepared: Prepared, run: ArmRun, outcome: ArmOutcome, tasks: Sequence[TaskResult], *, seconds: float
) -> RunDocument:
    """Return the document of an arm.

    Args:
        prepared: The request it belongs to.
        run: The arm.
        outcome: Its warnings and measurements.
        tasks: Its results, in the plan's order.
        seconds: How long it took.
    """
    plan = run.plan
    return RunDocument(
        arm=run.arm,
        run_key=plan.run_key,
        checkpoint=run.checkpoint.info(),
        settings=plan.settings,
        suites_requested=plan.suites,
        reproduce=run_line(prepared.request, prepared.pair, prepared.plan.settings, alpha=prepared.alpha),
        environment=read_environment(),
        tasks=tuple(tasks),
        suite_rows=plan.suite_rows,
        warnings=(*prepared.pair.warnings, *plan.warnings, *outcome.warnings),
        measured={
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "peak_memory_mb": round(process_peak_bytes() / 2**20, 1),
            "command": [redact(word) for word in (Path(sys.argv[0]).name, *sys.argv[1:])],
            "tasks": outcome.measured,
            **_training(prepared, run.arm),
        },
    )


def _training(prepared: Prepared, arm: Arm) -> dict[str, object]:
    """Note how the checkpoint was trained: its directory may be gone when a curve is asked for."""
    if arm == "base":
        return {}
    found = training_of(prepared.pair.checkpoint, prepared.pair.base)
    return {TRAINING: found.model_dump(mode="json", exclude_none=True)}

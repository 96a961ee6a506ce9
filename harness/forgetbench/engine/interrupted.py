"""What an interrupted run leaves: a partial result that says so, and that the same command completes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forgetbench.engine.arm import INTERRUPTED, results_in_order
from forgetbench.engine.arm_run import ArmOutcome, ArmRun
from forgetbench.engine.results import RUN_FILE, Result, read_result
from forgetbench.engine.run_document import run_document
from forgetbench.errors import ForgetbenchError
from forgetbench.schema.run import Arm, RunDocument

if TYPE_CHECKING:
    from forgetbench.engine.run import Prepared

PARTIAL = "PARTIAL: the run was interrupted. The same command goes on from there"


def partial_documents(
    prepared: Prepared, runs: list[ArmRun], outcomes: Mapping[Arm, ArmOutcome]
) -> list[RunDocument]:
    """Return the documents of what was finished; every other task is an error, ``interrupted``.

    Args:
        prepared: The request.
        runs: Its arms.
        outcomes: What they have so far; an arm that was not begun is missing.

    Returns:
        None of them where everything was finished, or where an earlier result lies there that says more.
    """
    known = [outcomes.get(run.arm, ArmOutcome()) for run in runs]
    tasks = [
        results_in_order(run, outcome.found, missing=INTERRUPTED)
        for run, outcome in zip(runs, known, strict=True)
    ]
    unfinished = any(INTERRUPTED in task.errors for arm in tasks for task in arm)
    if not unfinished or _says_more(prepared.directory):
        return []
    return [
        run_document(
            prepared,
            run,
            replace(outcome, warnings=[PARTIAL, *outcome.warnings]),
            results,
            seconds=outcome.seconds,
        )
        for run, outcome, results in zip(runs, known, tasks, strict=True)
    ]


def is_partial(result: Result) -> bool:
    """Tell whether a result is what an interrupted run left."""
    arms = (result.base, result.checkpoint)
    return any(INTERRUPTED in task.errors for arm in arms if arm is not None for task in arm.tasks)


def _says_more(directory: Path) -> bool:
    """Tell whether a whole result lies there: one with failed samples, which the run was to try again."""
    if not (directory / RUN_FILE["checkpoint"]).is_file():
        return False
    try:
        return not is_partial(read_result(directory))
    except ForgetbenchError:
        return False

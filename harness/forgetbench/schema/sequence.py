"""The sequence: one model trained stage after stage, the same tasks measured after each."""

from __future__ import annotations

from typing import Literal

from forgetbench.schema.document import Document
from forgetbench.schema.task import Role


class SequenceStage(Document):
    """The checkpoint that a stage ended with."""

    checkpoint: str
    fingerprint: str
    trained_on: str | None = None
    """Name of the task that the stage trained; None where that was not said."""


class SequenceTask(Document):
    """One row of the comparisons: a task, a suite row, or a task inside one."""

    name: str
    title: str
    metric: str
    role: Role
    higher_is_better: bool
    inside: str | None = None
    """The suite row that it is part of."""
    scores: tuple[float | None, ...]
    """R[0][j] of the base, then R[i][j] after each stage, in the metric's units; None was not measured."""


class SequenceFigure(Document):
    """One published figure, with its published name and sign."""

    name: str
    over: str
    """The tasks that it is about."""
    value: float | None
    """Of ``by_stage`` the last; None where a score that it needs is missing."""
    unit: Literal["score", "percent", "points"]
    """Units of the metric; per cent of the base's score; or a sum of scores in 0–100."""
    metric: str = ""
    """Of the tasks, with the unit ``score``."""
    by_stage: tuple[float | None, ...] = ()
    """Of a figure that there is of the base and after each stage; a change from the base is 0 at the base."""
    by_task: tuple[float | None, ...] = ()
    """Of a figure that is a mean over the trained tasks but the last."""
    reason: str = ""
    """Why there is no value."""
    source: str


class TaskSequence(Document):
    """A stage × task matrix and its figures."""

    schema_version: Literal[1] = 1
    reproduce: str = ""
    """The command that makes it again, beside the results that it names."""
    base: str
    base_fingerprint: str
    stages: tuple[SequenceStage, ...]
    tasks: tuple[SequenceTask, ...]
    figures: tuple[SequenceFigure, ...]

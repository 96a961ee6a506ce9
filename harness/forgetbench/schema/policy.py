"""The policy of a gate: what a checkpoint may lose, in one small YAML file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from forgetbench.schema.document import Document
from forgetbench.schema.number import Margin
from forgetbench.schema.task import Role

Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Margins(Document):
    """Largest acceptable losses, in units of each primary metric; what names a row most closely wins."""

    tasks: dict[str, Margin] = {}
    """By row: a task, a suite row, or a glob over their names."""
    suites: dict[str, Margin] = {}
    roles: dict[Role, Margin] = {}


class CostLimits(Document):
    """Largest acceptable factors, checkpoint over base, of every component: 1.1 allows 10 % more."""

    parameters: Factor | None = None
    size: Factor | None = None
    """Bytes of the weights."""
    latency: Factor | None = None
    """Time of a clip, as the geometric mean over clips; judged by its interval."""
    peak_memory: Factor | None = None


class Policy(Document):
    """What a gate asks of a result. What a policy names must have been measured."""

    margins: Margins = Margins()
    """In place of the tasks' own."""
    required: tuple[str, ...] | None = None
    """Suites, tasks or globs that must be measured in full: skipped or limited is inconclusive. Without this
    key, everything that the run planned; an empty list requires nothing."""
    target: Literal["ignored", "retained", "improved"] = "ignored"
    """What the rows of the role target must be: no worse than their margin, or better."""
    groups: tuple[str, ...] = ()
    """Columns, such as speaker or condition, each of whose groups must hold the margin too."""
    cost: CostLimits | None = None


class Finding(Document):
    """One thing that a policy asks for and a result does not give."""

    outcome: Literal["fails", "inconclusive"]
    row: str = ""
    """Row, suite, column or ``cost`` that it is about."""
    reason: str

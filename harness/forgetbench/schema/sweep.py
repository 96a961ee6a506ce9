"""The sweep: a grid of recipes, trained, measured and compared with one base."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from forgetbench.schema.document import Document
from forgetbench.schema.recipe import Place
from forgetbench.schema.task import Role


class Grid(Document):
    """What a sweep trains and measures; relative paths start at the grid's file."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    model: Place
    """The base of every recipe."""
    data: Place
    """Training data of every recipe."""
    target: Place | None = None
    """A test set of one's own for the new task; else a task of the role ``target``."""
    tasks: tuple[str, ...] = ()
    """Suites, tasks or globs that every checkpoint is measured by."""
    roles: dict[str, Role] = {}
    """Role by suite, name or glob, in place of the one in the task file."""
    include_paths: tuple[Place, ...] = ()
    """Files or folders with more task definitions."""
    limit: int | None = Field(default=None, ge=1)
    """Samples of each task."""
    batch_size: int = Field(default=16, ge=1)
    """Of the measurement."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every recipe is trained with each: only several say something about a method."""
    common: dict[str, Any] = {}
    """Fields of every recipe, such as ``steps``."""
    grid: tuple[dict[str, Any], ...] = Field(min_length=1)
    """``recipe`` and fields of it. A list is gone through, and several lists in all combinations;
    ``interpolation`` lists the parts α of a checkpoint's change that are measured, 1 for the whole.
    ``seeds`` are some of the grid's, where not all."""
    keep_weights: bool = False
    """Keep the weights of checkpoints once they are measured."""
    allow_contamination: bool = False


class Measured(Document):
    """One checkpoint that was measured."""

    training: str
    """Key of the recipe with everything that it depends on."""
    step: int
    alpha: float
    directory: str | None
    """Of the result, relative to the sweep's; None where the checkpoint still was its base, byte for byte."""


class SweepRecord(Document):
    """How far a sweep is: ``sweep.json`` in its directory."""

    schema_version: Literal[1] = 1
    measurement: str
    """Hash of how checkpoints are measured."""
    reproduce: str = ""
    """The command that makes it again."""
    measured: tuple[Measured, ...] = ()
    seconds_per_example: dict[str, float] = {}
    """Measured in training, by family and trained weights: what the next plan's time is estimated by."""
    seconds_per_result: float | None = None
    """Measured: what evaluating a checkpoint took, on average."""

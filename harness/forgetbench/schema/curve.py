"""The curve: what a sequence of checkpoints lost over training, and the laws that describe it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forgetbench.schema.document import Document
from forgetbench.schema.number import Count
from forgetbench.schema.task import Role

Exposure = Literal["steps", "tokens", "audio_s"]


class Training(Document):
    """How a checkpoint was trained, as far as its own files or a user's table say; None is not known."""

    run: str | None = None
    """The training run that it is a checkpoint of."""
    method: str | None = None
    """``lora``, ``full`` or what else PEFT or the table calls it."""
    hyperparameters: str | None = None
    """Names all else that was chosen, but the seed: of a recipe, a digest of it and of its data."""
    steps: Count | None = None
    """Optimiser steps."""
    tokens: Count | None = None
    """Tokens seen in training."""
    audio_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Seconds of the recordings that it could learn from, each counted once."""
    trained_parameters: Count | None = None
    lora_rank: Count | None = Field(default=None, ge=1)
    seed: int | None = None
    target_loss: float | None = Field(default=None, allow_inf_nan=False)
    """On the new task, in nats per token."""
    target_gain: float | None = Field(default=None, allow_inf_nan=False)
    """Change of the target's score for the better, from a user's table."""


class Measure(Document):
    """What was measured at every checkpoint: one row of their comparisons."""

    name: str
    title: str
    metric: str
    role: Role
    higher_is_better: bool
    base: float | None
    """The base's score."""


class Loss(Document):
    """How much worse than the base a checkpoint is in one measure."""

    measure: str
    score: float | None
    degradation: float | None
    """Positive where the checkpoint is worse."""
    ci_low: float | None = None
    """Of the comparison's simultaneous interval."""
    ci_high: float | None = None


class CurvePoint(Document):
    """One checkpoint."""

    checkpoint: str
    fingerprint: str
    group: str
    """Method and rank: what is compared as one line."""
    run: str
    """The training run. Checkpoints of a group and seed whose run is not known count as one: never as several
    that would speak of a method."""
    training: Training
    target_score: float | None = None
    target_gain: float | None = None
    """Change of the target's score for the better; None without a target."""
    losses: tuple[Loss, ...]
    on_front: bool | None = None
    """No other checkpoint gains more on the target and loses less of the first measure."""


class LawHeldOut(Document):
    """How the law, fitted on the smaller runs, predicted the largest."""

    n_fitted: Count
    n: Count
    error: float
    """Mean absolute error in units of the measure."""
    relative: float | None
    """The same over the mean of what was measured."""
    carried: float
    """Error of carrying on the last value instead."""


class LawResult(Document):
    """One law on one measure of one method."""

    method: str
    measure: str
    law: str
    formula: str
    n: Count
    n_runs: Count
    not_fitted: str = ""
    """Why it could not be fitted; then it predicts nothing."""
    parameters: dict[str, float] = {}
    """Of relative counts: each over its ``scales``. Exponents of the joint law are poorly determined."""
    scales: dict[str, float] = {}
    r2: float | None = None
    aicc: float | None = None
    best: bool = False
    """Lowest AICc of the laws that could be fitted."""
    held_out: LawHeldOut | None = None


class LawLine(Document):
    """The best law of a measure, drawn for one number of trained parameters."""

    method: str
    measure: str
    law: str
    trained_parameters: float | None
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    """95 % band over resampled runs; None with fewer than three runs."""
    high: tuple[float, ...] | None = None


class RunFigures(Document):
    """One training run by the published figures of a sequence (positive = worse)."""

    run: str
    group: str
    n_checkpoints: Count
    measures: tuple[str, ...]
    """General measures of which more is better: the elements of the mean."""
    luo_fg: float | None
    """FG in %: relative drop over all checkpoints (Luo et al. 2023)."""
    final_relative_drop: float | None
    """In %, of the last checkpoint."""


class MatchedGainResult(Document):
    """Two groups at equal gain on the target."""

    measure: str
    first: str
    second: str
    gain: float
    n_runs: tuple[Count, Count]
    forgetting_first: float | None
    forgetting_second: float | None
    difference: float | None
    """First minus second: positive where the first forgets more."""
    ci_low: float | None = None
    """95 % t interval over training runs (Welch 1947); None with fewer than two of either, or no spread."""
    ci_high: float | None = None


class Curve(Document):
    """Several checkpoints of one base, measured by the same tasks."""

    schema_version: Literal[1] = 1
    reproduce: str = ""
    """The command that makes it again, beside the results that it names or makes."""
    base: str
    base_fingerprint: str
    run_key: str
    exposure: Exposure
    """What the laws call N, and what the figures have on their x axis."""
    target: Measure | None
    measures: tuple[Measure, ...]
    points: tuple[CurvePoint, ...]
    """By group, run and exposure."""
    laws: tuple[LawResult, ...]
    lines: tuple[LawLine, ...]
    runs: tuple[RunFigures, ...]
    matched_gain: tuple[MatchedGainResult, ...]
    scope: tuple[str, ...]
    """What the figures speak of: these checkpoints, or a method over its seeds."""

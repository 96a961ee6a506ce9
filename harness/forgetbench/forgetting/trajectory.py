"""A target's score along a sequence of checkpoints: over seconds of a user's own audio, or over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forgetbench.forgetting.verdict import GATING, margins_lost
from forgetbench.schema.comparison import Comparison, Row

Axis = Literal["audio_s", "step"]


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How much a checkpoint was trained on; None where that is not known.

    Attributes:
        audio_s: Seconds of the recordings that it could learn from, each counted once.
        step: Optimiser steps.
    """

    audio_s: float | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One checkpoint on one curve.

    Attributes:
        x: Seconds of audio, or steps.
        target: The row of the target task.
        worst_general: The row of the roles general and safety that lost most in units of its margin; None
            where none was measured.
    """

    x: float
    checkpoint: str
    target: Row
    worst_general: Row | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One target task over the checkpoints, by rising ``x``."""

    axis: Axis
    points: tuple[Point, ...]

    @property
    def target(self) -> Row:
        """A row that says what the task is; the scores are those of the points."""
        return self.points[0].target


def axis_of(exposures: Sequence[Exposure]) -> Axis | None:
    """Return what the checkpoints differ in: audio before steps; None where they are no sequence.

    Example:
        >>> axis_of([Exposure(audio_s=15, step=24), Exposure(audio_s=58, step=24)])
        'audio_s'
    """
    for axis in ("audio_s", "step"):
        values = [getattr(exposure, axis) for exposure in exposures]
        if None not in values and len(set(values)) > 1:
            return axis
    return None


def curves(axis: Axis, exposures: Sequence[Exposure], comparisons: Sequence[Comparison]) -> tuple[Curve, ...]:
    """Return one curve for each target task that at least two checkpoints have a score on.

    Args:
        axis: As :func:`axis_of` finds it.
        exposures: Of each checkpoint, known on this axis.
        comparisons: Of each checkpoint with its base, in the same order.
    """
    known = [(float(getattr(e, axis)), c) for e, c in zip(exposures, comparisons, strict=True)]
    known.sort(key=lambda pair: pair[0])
    found: dict[str, list[Point]] = {}
    for x, comparison in known:
        worst = _worst_general(comparison)
        for row in comparison.rows:
            if row.role == "target" and row.checkpoint is not None:
                point = Point(x=x, checkpoint=comparison.checkpoint.name, target=row, worst_general=worst)
                found.setdefault(row.name, []).append(point)
    return tuple(Curve(axis=axis, points=tuple(points)) for points in found.values() if len(points) > 1)


def _worst_general(comparison: Comparison) -> Row | None:
    rows = [row for row in comparison.rows if row.role in GATING and row.degradation is not None]
    return max(rows, key=margins_lost, default=None)

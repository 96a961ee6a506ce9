"""A target's score along a sequence of checkpoints: over seconds of a user's own audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetbench.forgetting.verdict import worst_general
from forgetbench.schema.comparison import Comparison, Row


@dataclass(frozen=True, kw_only=True)
class Point:
    """One checkpoint on one curve.

    Attributes:
        audio_s: Seconds of the recordings that it could learn from, each counted once.
        target: The row of the target task.
        worst_general: The row of the roles general and safety that lost most in units of its margin; None
            where none was measured.
    """

    audio_s: float
    checkpoint: str
    target: Row
    worst_general: Row | None


@dataclass(frozen=True, kw_only=True)
class AdaptabilityCurve:
    """One target task over the checkpoints, by rising seconds of audio."""

    points: tuple[Point, ...]

    @property
    def target(self) -> Row:
        """A row that says what the task is; the scores are those of the points."""
        return self.points[0].target


def adaptability_curves(
    audio_s: Sequence[float], comparisons: Sequence[Comparison]
) -> tuple[AdaptabilityCurve, ...]:
    """Return one curve for each target task that at least two checkpoints have a score on.

    Args:
        audio_s: Of each checkpoint.
        comparisons: Of each checkpoint with its base, in the same order.
    """
    known = sorted(zip(audio_s, comparisons, strict=True), key=lambda pair: pair[0])
    found: dict[str, list[Point]] = {}
    for seconds, comparison in known:
        worst = worst_general(comparison)
        for row in comparison.rows:
            if row.role == "target" and row.checkpoint is not None:
                point = Point(
                    audio_s=seconds, checkpoint=comparison.checkpoint.name, target=row, worst_general=worst
                )
                found.setdefault(row.name, []).append(point)
    return tuple(AdaptabilityCurve(points=tuple(points)) for points in found.values() if len(points) > 1)

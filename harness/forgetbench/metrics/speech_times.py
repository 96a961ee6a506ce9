"""When a phrase begins and ends: the boundaries that a model finds, against the true ones."""

from __future__ import annotations

from collections.abc import Sequence

Times = Sequence[tuple[float, float]]
"""Start and end of each phrase, in seconds, in order."""


def boundary_f1(true: Times, found: Times, *, collar_s: float) -> float:
    """Return the F1 of found inner boundaries, starts against starts and ends against ends.

    Each true boundary is matched with at most one found boundary within the collar, as speech
    segmentation is scored. The first start and the last end are left out: one phrase over the whole recording
    would have them right. Of a recording of one phrase, one phrase is right.

    Args:
        true: Of the recording, not empty.
        found: Of the model; a phrase that ends before it begins has no boundary that is right.
        collar_s: Largest distance of a match, in seconds.

    Example:
        >>> boundary_f1([(0.5, 2.0), (3.0, 4.5)], [(0.4, 4.6)], collar_s=0.5)
        0.0
        >>> boundary_f1([(0.5, 2.0), (3.0, 4.5)], [(0.4, 1.8), (3.6, 4.6)], collar_s=0.5)
        0.5
    """
    usable = [(start, end) for start, end in found if end >= start]
    if not usable:
        return 0.0
    inner = len(true) + len(found) - 2
    matched = sum(
        _matches(one, other, collar_s) for one, other in zip(_inner(true), _inner(usable), strict=True)
    )
    return matched / inner if inner else 1.0


def _inner(phrases: Times) -> tuple[list[float], list[float]]:
    """Return the starts but the first, and the ends but the last, in order."""
    starts, ends = (sorted(side) for side in zip(*phrases, strict=True))
    return starts[1:], ends[:-1]


def _matches(true: Sequence[float], found: Sequence[float], collar_s: float) -> int:
    """Return the size of the largest matching of sorted points: the earliest pair that fits, each time."""
    i = j = matched = 0
    while i < len(true) and j < len(found):
        if abs(true[i] - found[j]) <= collar_s:
            i, j, matched = i + 1, j + 1, matched + 1
        elif true[i] < found[j]:
            i += 1
        else:
            j += 1
    return matched

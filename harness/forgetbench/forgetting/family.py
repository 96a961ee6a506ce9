"""Several rows judged together: simultaneous levels and adjusted p-values."""

from __future__ import annotations

from collections.abc import Sequence


def simultaneous_level(alpha: float, k: int) -> float:
    """Return the level 1 − α/k at which k intervals hold together (Bonferroni)."""
    return 1.0 - alpha / max(k, 1)


def family_size(alpha: float, level: float) -> int:
    """Return the k of a family from the level of its intervals: :func:`simultaneous_level` backwards.

    Example:
        >>> family_size(0.05, simultaneous_level(0.05, 10))
        10
    """
    return max(1, round(alpha / (1.0 - level)))


def bonferroni(p: float | None, k: int) -> float | None:
    """Return min(1, k·p): the p-value that goes with an interval at 1 − α/k."""
    return None if p is None else min(1.0, k * p)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's step-down adjusted p-values (Holm 1979); a missing p stays missing.

    Example:
        >>> holm([0.01, None, 0.02])
        [0.02, None, 0.02]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = highest
    return adjusted

"""The learning–forgetting line: how much of a checkpoint's change keeps the gain without a regression.

α is chosen on one half of the items and confirmed on the other: what was chosen for looking best on some
items looks better on these than it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forgetbench.forgetting.pairs import compare
from forgetbench.forgetting.verdict import GATING, margins_lost
from forgetbench.schema.comparison import Comparison, Verdict
from forgetbench.schema.run import RunDocument

if TYPE_CHECKING:
    import pandas as pd

    Samples = Mapping[str, pd.DataFrame]

_LOSSES: frozenset[Verdict] = frozenset({"regressed", "worse", "error"})
"""Verdicts of a row that lost something, or might have: a loss within the margin is none of them."""


@dataclass(frozen=True, kw_only=True)
class AlphaPoint:
    """One α.

    Attributes:
        whole: Comparison with the base over all items.
        chosen_on: Over the half that α is chosen on.
        confirmed_on: Over the other half.
    """

    alpha: float
    whole: Comparison
    chosen_on: Comparison
    confirmed_on: Comparison


@dataclass(frozen=True, kw_only=True)
class AlphaLine:
    """Points by rising α, and what was chosen.

    Attributes:
        chosen: The point with the largest gain among those without a regression, on the first half; None
            where there is none.
        is_confirmed: It gains, and regresses nowhere, on the second half too.
        gain_kept: Its gain over that of the largest α, on the second half; None where that one gains nothing.
    """

    points: tuple[AlphaPoint, ...]
    chosen: AlphaPoint | None
    is_confirmed: bool
    gain_kept: float | None


def alpha_point(
    alpha: float, base: RunDocument, checkpoint: RunDocument, base_samples: Samples, samples: Samples
) -> AlphaPoint:
    """Compare one α with the base, on all items and on each half.

    Args:
        alpha: The part of the change.
        base: Run of the base.
        checkpoint: Run of the checkpoint at this α.
        base_samples: Sample table of each task of the base, by task name.
        samples: The same of the checkpoint.
    """
    first, second = (
        compare(_of_half(base, before), _of_half(checkpoint, after), before, after)
        for before, after in zip(halves(base_samples), halves(samples), strict=True)
    )
    whole = compare(base, checkpoint, base_samples, samples)
    return AlphaPoint(alpha=alpha, whole=whole, chosen_on=first, confirmed_on=second)


def alpha_line(points: Sequence[AlphaPoint]) -> AlphaLine:
    """Choose on the first half, confirm on the second."""
    by_alpha = tuple(sorted(points, key=lambda point: point.alpha))
    safe = [p for p in by_alpha if regresses_nowhere(p.chosen_on) and (gain(p.chosen_on) or 0.0) > 0]
    chosen = max(safe, key=lambda point: gain(point.chosen_on) or 0.0, default=None)
    if chosen is None:
        return AlphaLine(points=by_alpha, chosen=None, is_confirmed=False, gain_kept=None)
    own, full = gain(chosen.confirmed_on), gain(by_alpha[-1].confirmed_on)
    return AlphaLine(
        points=by_alpha,
        chosen=chosen,
        is_confirmed=own is not None and own > 0 and regresses_nowhere(chosen.confirmed_on),
        gain_kept=own / full if own is not None and full is not None and full > 0 else None,
    )


def gain(comparison: Comparison) -> float | None:
    """Return what the targets gained, in units of their margins and averaged; None without a target."""
    rows = [row for row in comparison.rows if row.role == "target" and row.degradation is not None]
    return -sum(map(margins_lost, rows)) / len(rows) if rows else None


def regresses_nowhere(comparison: Comparison) -> bool:
    """Tell whether no row of the roles general and safety shows a loss that its margin does not cover."""
    return not any(row.verdict in _LOSSES for row in comparison.rows if row.role in GATING)


def halves(samples: Samples) -> tuple[Samples, Samples]:
    """Split each task's samples in two, by a hash of their cluster or id: a cluster stays together."""
    parts: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]] = ({}, {})
    for name, table in samples.items():
        units = table["cluster"].where(table["cluster"].fillna("") != "", table["id"]).astype(str)
        is_second = units.map(lambda unit: hashlib.sha256(unit.encode()).digest()[0] % 2 == 1).astype(bool)
        parts[0][name], parts[1][name] = table[~is_second], table[is_second]
    return parts


def _of_half(document: RunDocument, half: Samples) -> RunDocument:
    tasks = tuple(
        task.model_copy(update={"n_planned": len(half[task.name])}) if task.name in half else task
        for task in document.tasks
    )
    return document.model_copy(update={"tasks": tasks})

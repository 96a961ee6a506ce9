"""Which component of a system a loss comes from: its components swapped one by one, in every combination.

With R the components that differ and d(S) the degradation of the base system with the components in S ⊆ R
taken from the checkpoint:

- alone:        d({r}), the first-order effect
- share:        Σ_{S ⊆ R∖r} |S|! (|R|−|S|−1)! / |R|! · (d(S ∪ r) − d(S)), the Shapley value (Shapley 1953);
                with two components, d({r}) plus half of the interaction. Shares add up to d(R).
- interaction:  Σ_{S ⊆ T} (−1)^(|T|−|S|) d(S) of each T ⊆ R of two or more, the Harsanyi dividend or Möbius
                transform (Harsanyi 1963; Grabisch & Roubens 1999): what T loses beyond what all its
                parts lose alone and together; of two components d({r, s}) − d({r}) − d({s})

All are means over samples of the same contrast of the systems' scores, so that their intervals are those of a
mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from forgetbench.forgetting.paired import paired_mean, sampling_units
from forgetbench.schema.attribution import Effect

FloatArray = NDArray[np.float64]
Swapped = frozenset[str]
"""Components that come from the checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """A loss by component; ``interactions`` are of every two and, of three components, of all."""

    total: Effect
    alone: Mapping[str, Effect]
    share: Mapping[str, Effect]
    interactions: Mapping[Swapped, Effect]


def n_intervals(n_components: int) -> int:
    """Return how many intervals hold together: of the shares and of the interactions.

    Example:
        >>> [n_intervals(n) for n in (1, 2, 3)]
        [1, 3, 7]
    """
    return (1 << n_components) - 1


def systems(components: Sequence[str]) -> list[Swapped]:
    """Return every combination of swapped components: the base's system first, the checkpoint's last."""
    return [frozenset(c) for n in range(len(components) + 1) for c in combinations(components, n)]


def decompose(
    scores: Mapping[Swapped, FloatArray],
    components: Sequence[str],
    *,
    higher_is_better: bool,
    binary: bool,
    level: float,
    clusters: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
) -> Decomposition:
    """Split a loss over the components that differ.

    Args:
        scores: Score of each sample by system, each of shape (n,); all of :func:`systems`.
        components: Those that differ, at least one.
        higher_is_better: Direction of the score.
        binary: Scores are 0 or 1.
        level: Confidence level of each interval.
        clusters: Samples that are not independent of each other share a name.
        units: Sample ids; the conditions of one sample move together.
    """
    sign = 1.0 if higher_is_better else -1.0
    base = scores[frozenset()]
    lost = {swapped: sign * (base - found) for swapped, found in scores.items()}

    def effect(contrast: FloatArray, *, most: float = 1.0) -> Effect:
        """Return an effect; of binary scores within ``most``, the sum of the positive coefficients."""
        found = _effect(contrast, binary=binary, level=level, clusters=clusters, units=units)
        return _within(found, most) if binary else found

    total = lost[frozenset(components)]
    alone = {name: lost[frozenset({name})] for name in components}
    return Decomposition(
        total=effect(total),
        alone={name: effect(contrast) for name, contrast in alone.items()},
        share={name: effect(_shapley(lost, name, components)) for name in components},
        interactions={
            together: effect(_dividend(lost, together), most=2.0 ** (len(together) - 1))
            for together in systems(components)
            if len(together) > 1
        },
    )


def _within(effect: Effect, most: float) -> Effect:
    low, high = (
        None if end is None else min(max(end, -most), most) for end in (effect.ci_low, effect.ci_high)
    )
    return effect.model_copy(update={"ci_low": low, "ci_high": high})


def _shapley(lost: Mapping[Swapped, FloatArray], name: str, components: Sequence[str]) -> FloatArray:
    others = [component for component in components if component != name]
    share = np.zeros_like(lost[frozenset()])
    for before in systems(others):
        orders = factorial(len(before)) * factorial(len(others) - len(before)) / factorial(len(components))
        share = share + orders * (lost[before | {name}] - lost[before])
    return share


def _dividend(lost: Mapping[Swapped, FloatArray], together: Swapped) -> FloatArray:
    parts = systems(sorted(together))
    return np.asarray(sum((-1.0) ** (len(together) - len(part)) * lost[part] for part in parts))


def _effect(
    contrast: FloatArray,
    *,
    binary: bool,
    level: float,
    clusters: Sequence[str] | None,
    units: Sequence[str] | None,
) -> Effect:
    """Return the mean of a contrast with its t interval.

    Of binary scores, an answer lost and an answer gained are added to the sample before the interval is
    made, as Bonett & Price 2012 (J. Educ. Behav. Stat. 37:479) do for paired proportions: it does not
    collapse where nothing flips.
    """
    value = float(contrast.mean()) + 0.0
    ids = list(units) if units is not None else [str(i) for i in range(len(contrast))]
    clustered = sampling_units(len(contrast), clusters=clusters, units=units).n_clusters is not None
    groups = list(clusters) if clusters is not None and clustered else None
    if binary:
        contrast = np.append(contrast, [1.0, -1.0])
        ids += ["an answer lost", "an answer gained"]
        groups = [*groups, *ids[-2:]] if groups is not None else None
    found = paired_mean(
        np.zeros(len(contrast)), contrast, groups, higher_is_better=False, level=level, units=ids
    )
    return Effect(value=value, ci_low=found.ci_low, ci_high=found.ci_high)

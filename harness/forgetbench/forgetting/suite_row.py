"""Several tasks judged as one row: the unweighted mean of their degradations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from forgetbench.forgetting.mover import Part, mover, mover_p, scaled
from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.forgetting.stratified import Strata, score_p, score_upper


def mean_of_members(
    members: Sequence[PairedEstimate], *, level: float, shared_effect: float = 1.0
) -> PairedEstimate:
    """Return the mean degradation of K tasks, with SE = √ΣSE²/K (docs/concepts.md).

    Binary members share one score interval (``stratified.score_interval``), with the design effects and the
    degrees of freedom of those whose answers move together; members of other metrics keep
    the distances of their own limits, taken to the level of the row. The parts are put together
    by squaring and adding, L = θ̂ − √Σ(θ̂_i − l_i)² (MOVER: Zou & Donner 2008, Stat. Med. 27:1693).
    p inverts the same interval.

    The base, the checkpoint and their delta are means too, sensible where the members share a
    metric. A missing member makes the row missing: it is not a mean over the others.

    Args:
        members: Estimates; one that is ``identical`` in both arms has degradation 0 and SE 0.
        level: Confidence level of the interval.
        shared_effect: By how much samples that members share raise the variance
            (:func:`~forgetbench.forgetting.shared_samples.shared_effect`); 1 for independent sets.
    """
    members = [_with_variance(member, shared_effect) for member in members]
    known = PairedEstimate(
        level=level,
        method=f"mean of {len(members)} tasks, score interval",
        n=sum(member.n for member in members),
        n_units=sum(member.units for member in members),
        n_samples=sum(member.samples for member in members),
        n_clusters=_clusters_of(members),
    )
    degradations = [m.degradation for m in members if m.degradation is not None]
    errors = [m.se for m in members if m.se is not None]
    if not members or len(degradations) < len(members):
        return known
    known = replace(
        known,
        degradation=fmean(degradations),
        base=mean_if_all([m.base for m in members]),
        checkpoint=mean_if_all([m.checkpoint for m in members]),
        delta=mean_if_all([m.delta for m in members]),
        notes=tuple(dict.fromkeys(note for m in members for note in m.notes)),
    )
    if len(errors) < len(members):
        return known
    parts = _parts(members)
    interval = mover(fmean(degradations), parts, level)
    return replace(
        known,
        se=math.sqrt(sum(error**2 for error in errors)) / len(errors),
        p=mover_p(fmean(degradations), parts),
        ci_low=interval.low,
        ci_high=interval.high,
    )


def _with_variance(member: PairedEstimate, effect: float) -> PairedEstimate:
    """Return an estimate with so many times its variance."""
    if effect == 1.0 or member.degradation is None or member.se is None:
        return member
    factor, centre = math.sqrt(effect), member.degradation
    low, high = (
        end if end is None else centre + factor * (end - centre) for end in (member.ci_low, member.ci_high)
    )
    return replace(
        member, design_effect=member.design_effect * effect, se=member.se * factor, ci_low=low, ci_high=high
    )


def _clusters_of(members: Sequence[PairedEstimate]) -> int | None:
    """Return how many clusters there are, None where a measured member has none."""
    counts = [member.n_clusters for member in members if member.n]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _parts(members: Sequence[PairedEstimate]) -> list[Part]:
    weight = 1.0 / len(members)
    parts = [scaled(m, weight) for m in members if m.n and m.transitions is None]
    binary = [(m, t) for m in members if (t := m.transitions) is not None]
    if binary:
        counts = [np.array([t.n10, t.n01, m.n]) / m.design_effect for m, t in binary]
        more, less, n = np.asarray(counts, dtype=np.float64).T
        df = [m.df if m.units < m.n and m.df is not None else math.inf for m, _ in binary]
        strata = Strata(more, less, n, weight, np.asarray(df))
        parts.append(
            Part(
                strata.estimate,
                lambda level: -score_upper(strata.mirrored, level=level),
                lambda level: score_upper(strata, level=level),
                lambda: score_p(strata),
            )
        )
    return parts


def mean_if_all(values: Sequence[float | None]) -> float | None:
    """Return the mean, None where there is no value or one is missing."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None

"""One pair on one task whose score is a ratio: the paired bootstrap (Bisani & Ney 2004)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from forgetbench.forgetting.few_units import degrees_of_freedom, widening
from forgetbench.forgetting.paired import FloatArray, Interval, PairedEstimate, sampling_units, worse

FEWEST_DRAWS = 10_000
DRAWS_PER_TAIL = 200
INDICES_PER_BLOCK = 200_000
"""Keeps a block of resampled indices in the processor's cache."""


def paired_ratio(
    num_base: ArrayLike,
    den_base: ArrayLike,
    num_checkpoint: ArrayLike,
    den_checkpoint: ArrayLike,
    clusters: Sequence[str] | None = None,
    *,
    higher_is_better: bool = False,
    level: float = 0.95,
    draws: int = FEWEST_DRAWS,
    seed: int = 0,
    units: Sequence[str] | None = None,
) -> PairedEstimate:
    """Compare pooled ratios Σ num / Σ den, such as corpus WER, by a paired bootstrap.

    Bisani & Ney 2004: each draw of units is the same for both arms. Blocks by speaker: Peng & Liu
    2019, arXiv 1912.09508. Percentile interval from order statistics, widened where units are few
    (:func:`widening`); p is the smallest 2r/(B + 1) at which it leaves zero out, for many units
    2·(1 + min tail)/(B + 1).

    Args:
        num_base: Errors of the base per sample.
        den_base: Reference words per sample.
        num_checkpoint: Errors of the checkpoint on the same samples, in the same order.
        den_checkpoint: Reference words per sample; for WER the same as ``den_base``.
        clusters: Speaker of each sample, resampled as a block where there are at least 10.
        higher_is_better: Direction of the ratio.
        level: Confidence level of the interval.
        draws: Bootstrap draws B; see :func:`draws_needed`.
        seed: Seed of the draws.
        units: Utterance of each row: its conditions move together.
    """
    columns = np.column_stack(
        [np.asarray(x, dtype=np.float64) for x in (num_base, den_base, num_checkpoint, den_checkpoint)]
    )
    n = len(columns)
    sampled = sampling_units(n, clusters=clusters, units=units)
    method = f"paired bootstrap by {'cluster' if sampled.n_clusters else 'sample'}, {draws} draws"
    known = PairedEstimate(
        level=level,
        method=method,
        n=n,
        n_clusters=sampled.n_clusters,
        n_units=sampled.count,
        n_samples=sampled.n_samples,
        notes=sampled.notes,
    )
    total = columns.sum(axis=0)
    if n == 0 or total[1] <= 0 or total[3] <= 0:
        return known
    base, checkpoint = float(total[0] / total[1]), float(total[2] / total[3])
    delta = checkpoint - base
    known = replace(
        known, base=base, checkpoint=checkpoint, delta=delta, degradation=worse(delta, higher_is_better)
    )
    if sampled.count < 2:
        return known
    sums = np.zeros((sampled.count, 4))
    np.add.at(sums, sampled.codes, columns)
    deltas = _bootstrap(sums, draws, seed)
    df = degrees_of_freedom(sums[:, 1])
    return _with_draws(replace(known, df=df), -deltas if higher_is_better else deltas, df)


def draws_needed(family_size: int, alpha: float) -> int:
    """Return B ≥ 200·k/α, and at least 10 000: each tail of a simultaneous interval has 100 draws."""
    return max(FEWEST_DRAWS, math.ceil(DRAWS_PER_TAIL * family_size / alpha))


def _bootstrap(sums: FloatArray, draws: int, seed: int) -> FloatArray:
    """Return the difference of the two ratios in each draw of units, the same draw in both arms."""
    rng = np.random.default_rng(seed)
    count = len(sums)
    same_denominator = np.array_equal(sums[:, 1], sums[:, 3])
    kept = np.stack([sums[:, 2] - sums[:, 0], sums[:, 1]]) if same_denominator else sums.T
    columns = [np.ascontiguousarray(column) for column in kept]
    per_block = max(1, INDICES_PER_BLOCK // count)
    deltas = np.empty(draws)
    for start in range(0, draws, per_block):
        rows = min(per_block, draws - start)
        chosen = rng.integers(count, size=(rows, count))
        drawn = [column.take(chosen).sum(axis=1) for column in columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            deltas[start : start + rows] = (
                drawn[0] / drawn[1] if same_denominator else drawn[2] / drawn[3] - drawn[0] / drawn[1]
            )
    return deltas[np.isfinite(deltas)]


def _with_draws(known: PairedEstimate, losses: FloatArray, df: int) -> PairedEstimate:
    """Add interval and p from the degradation in each draw."""
    kept, n_units, estimate = len(losses), known.units, known.degradation
    if kept < 2 or estimate is None:
        return known
    ordered = np.sort(losses)

    def interval(rank: int) -> Interval:
        wide = widening(2.0 * rank / (kept + 1), n_units=n_units, df=df)
        low, high = float(ordered[rank - 1]), float(ordered[kept - rank])
        return Interval(estimate + wide * (low - estimate), estimate + wide * (high - estimate))

    def leaves_zero_out(rank: int) -> bool:
        ends = interval(rank)
        return ends.low > 0 or ends.high < 0

    half = kept // 2
    first = 1 + bisect_left(range(1, half + 1), True, key=leaves_zero_out)
    found = interval(max(1, math.floor((kept + 1) * (1.0 - known.level) / 2.0 + 1e-9)))
    return replace(
        known,
        ci_low=found.low,
        ci_high=found.high,
        se=float(np.std(losses, ddof=1)) * math.sqrt(n_units / (n_units - 1)),
        p=2.0 * first / (kept + 1) if first <= half else 1.0,
        poi=float((ordered < 0).mean()),
    )

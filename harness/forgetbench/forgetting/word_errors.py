"""Corpus WER and CER of a pair, also where a few outputs ran on (docs/concepts.md, docs/validity.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forgetbench.forgetting.mover import mover, mover_p, scaled
from forgetbench.forgetting.paired import PairedEstimate, sampling_units
from forgetbench.forgetting.paired_ratio import FEWEST_DRAWS, paired_ratio
from forgetbench.forgetting.rare_events import are_rare, rare_parts, rare_se
from forgetbench.schema.comparison import RunawayOutputs

WORD_ERRORS = frozenset({"wer", "wer_raw", "cer"})
"""Metrics without an upper bound: an output can hold any number of words that nobody said."""


def paired_word_errors(
    errors_base: ArrayLike,
    errors_checkpoint: ArrayLike,
    words: ArrayLike,
    clusters: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    draws: int = FEWEST_DRAWS,
    seed: int = 0,
    units: Sequence[str] | None = None,
) -> PairedEstimate:
    """Compare corpus error rates by the bootstrap of :func:`paired_ratio`, and runaway outputs apart from it.

    One looping output can hold more errors than a hundred others, and samples that have one of them where
    four were due cannot know it by being drawn anew. So where outputs of a few samples have more errors than
    their references have words (:func:`are_rare`), the degradation is the sum of two independent parts: that
    of all the others, bootstrapped as ever, and the contributions of the few, which are Poisson events of the
    sizes that were seen (:func:`rare_parts`). The distances of the limits are squared and added
    (:func:`mover`); p inverts that interval.

    Args:
        errors_base: Errors of the base per sample.
        errors_checkpoint: Errors of the checkpoint on the same samples, in the same order.
        words: Reference words, or characters, per sample, of both arms.
        clusters: Speaker of each sample.
        level: Confidence level of the interval.
        draws: Bootstrap draws.
        seed: Seed of the draws.
        units: Utterance of each row.
    """
    base, checkpoint, length = (
        np.asarray(x, dtype=np.float64) for x in (errors_base, errors_checkpoint, words)
    )

    def bootstrap(rows: NDArray[np.bool_]) -> PairedEstimate:
        return paired_ratio(
            *(base[rows], length[rows], checkpoint[rows], length[rows], _of(clusters, rows)),
            level=level,
            draws=draws,
            seed=seed,
            units=_of(units, rows),
        )

    known = bootstrap(np.ones(len(length), dtype=bool))
    ran_on = ((base > length) | (checkpoint > length)) & (base != checkpoint)
    if known.degradation is None or known.ci_low is None or not are_rare(int(ran_on.sum()), len(length)):
        return known
    others = bootstrap(~ran_on)
    sampled = sampling_units(len(length), clusters=clusters, units=units)
    by_unit = np.bincount(sampled.codes[ran_on], weights=(checkpoint - base)[ran_on])
    contributions = by_unit[by_unit != 0.0] / length.sum()
    if others.se is None or not len(contributions):
        return known
    share = float(length[~ran_on].sum() / length.sum())
    parts = [scaled(others, share), *rare_parts(contributions)]
    interval = mover(known.degradation, parts, level)
    return replace(
        known,
        ci_low=interval.low,
        ci_high=interval.high,
        se=math.hypot(share * others.se, rare_se(contributions)),
        p=max(mover_p(known.degradation, parts), 2.0 / (draws + 1)),
        method=f"{known.method}, runaway outputs as Poisson events",
        runaway=RunawayOutputs(n=int(ran_on.sum()), degradation_without=others.degradation),
    )


def _of(names: Sequence[str] | None, rows: NDArray[np.bool_]) -> list[str] | None:
    return None if names is None else [name for name, kept in zip(names, rows, strict=True) if kept]

"""Which law holds: AICc, the error on runs that were left out of the fit, and bands over runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from forgetbench.forgetting.law_fit import DRAWS, FEWEST_RUNS, Fit, NoFit, fit_law, refit
from forgetbench.forgetting.laws import LAWS, Array, Input, Law, Observations

COUNTS: tuple[Input, ...] = ("parameters", "steps")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Smaller runs to fit on, larger ones to predict."""

    smaller: Observations
    larger: Observations


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How a law, fitted on the smaller runs, predicted the larger ones.

    Attributes:
        error: Mean absolute error, in units of y.
        relative: The same over the mean of |y|; None where that is zero.
        carried: Error of carrying on the value of the largest of the smaller runs.
        n_fitted: Points it was fitted on.
        n: Points it predicted.
    """

    error: float
    relative: float | None
    carried: float
    n_fitted: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One law on one set of observations.

    Attributes:
        held_out: None where nothing could be left out or fitted without it.
        best: It has the lowest AICc of the laws that could be fitted.
    """

    fit: Fit | NoFit
    held_out: HeldOut | None = None
    best: bool = False

    @property
    def law(self) -> Law:
        """The law."""
        return self.fit.law


@dataclass(frozen=True, kw_only=True)
class Band:
    """Percentile interval of a law's prediction over resampled runs, shape (n,) each."""

    low: Array
    high: Array


def split_largest(data: Observations) -> Split | None:
    """Leave out the largest runs: the greatest of each count that has at least three values.

    What is fitted lies below the greatest trained parameters *and* the greatest steps; what is predicted has
    both, or, where no checkpoint has both, the greatest of either. None where nothing is left to fit on.
    """
    varied = [
        data.inputs[name] for name in COUNTS if name in data.inputs and len(np.unique(data.inputs[name])) > 2
    ]
    if not varied:
        return None
    largest = np.array([values == values.max() for values in varied])
    corner = largest.all(axis=0)
    smaller, larger = ~largest.any(axis=0), corner if corner.any() else largest.any(axis=0)
    if not smaller.any():
        return None
    return Split(smaller=data.take(smaller), larger=data.take(larger))


def predict_held_out(law: Law | str, split: Split, *, seed: int = 0) -> HeldOut | None:
    """Fit a law on the smaller runs and compare its prediction of the larger ones with what they did.

    None where the smaller runs do not determine it.
    """
    fit = fit_law(law, split.smaller, seed=seed)
    if isinstance(fit, NoFit):
        return None
    y = split.larger.y
    predicted = fit.curve(split.larger.inputs) if fit.law.inputs else np.full(len(y), fit.offset)
    error, size = float(np.mean(np.abs(predicted - y))), float(np.mean(np.abs(y)))
    return HeldOut(
        error=error,
        relative=error / size if size > 0 else None,
        carried=float(np.mean(np.abs(last_value(split.smaller) - y))),
        n_fitted=len(split.smaller.y),
        n=len(y),
    )


def last_value(data: Observations) -> float:
    """Return the mean y of the checkpoints with the most steps, and among these the most parameters."""
    which = np.ones(len(data.y), dtype=bool)
    for name in reversed(COUNTS):
        if name in data.inputs:
            which &= data.inputs[name] == data.inputs[name][which].max()
    return float(data.y[which].mean())


def compare_laws(
    data: Observations, laws: Iterable[Law] = LAWS.values(), *, seed: int = 0
) -> tuple[Judged, ...]:
    """Fit every law, and say which has the lowest AICc; those that cannot be fitted say why.

    None is called best where fewer than two have points enough for an AICc: there was no choice.

    Args:
        data: The checkpoints.
        laws: Candidates.
        seed: Of the starting points of each fit.
    """
    fits = [fit_law(law, data, seed=seed) for law in laws]
    known = [fit for fit in fits if isinstance(fit, Fit) and fit.aicc is not None]
    best = min(known, key=lambda fit: fit.aicc or 0.0) if len(known) > 1 else None
    split = split_largest(data)
    return tuple(
        Judged(
            fit=fit,
            held_out=predict_held_out(fit.law, split, seed=seed) if split and isinstance(fit, Fit) else None,
            best=fit is best,
        )
        for fit in fits
    )


def band(
    fit: Fit,
    data: Observations,
    inputs: Mapping[Input, Array],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Band | None:
    """Return where the law's prediction lies when runs are drawn again, whole and with replacement.

    None with fewer than three runs, or where more than half of the draws could not be fitted.

    Args:
        fit: The law as fitted to ``data``.
        data: The checkpoints.
        inputs: Where to predict.
        level: Of the percentile interval.
        draws: Resamples of the runs.
        seed: Of the resampling.
    """
    labels = np.array(data.runs)
    members = [np.flatnonzero(labels == run) for run in dict.fromkeys(data.runs)]
    if len(members) < FEWEST_RUNS:
        return None
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        chosen = rng.integers(0, len(members), len(members))
        again = refit(fit, data.take(np.concatenate([members[i] for i in chosen])))
        if isinstance(again, Fit):
            drawn.append(again.curve(inputs))
    if 2 * len(drawn) < draws:
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.array(drawn), [tail, 1.0 - tail], axis=0)
    return Band(low=low, high=high)

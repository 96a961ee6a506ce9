"""Whether a property can be read from features by a linear classifier, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
RIDGE = 1.0


def probe_right(features: ArrayLike, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return for each sample whether a probe that was fitted without it names its label.

    Five stratified folds: the i-th sample of a label is in fold i mod 5, so that two arms share them. On the
    other four the features are standardised and a ridge classifier (targets ±1, α = 1, as scikit-learn's
    ``RidgeClassifier``) is fitted; the class with the largest value wins. Nothing is drawn.

    Args:
        features: Shape (n, d); what is not finite counts as 0.
        labels: Of each sample; a label with a single sample is never named.
    """
    x = np.nan_to_num(np.asarray(features, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    folds = _folds(codes)
    named = np.full(len(codes), -1)
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        if test.any() and train.any():
            named[test] = _fit_and_name(x[train], codes[train], x[test], len(names))
    right: NDArray[np.bool_] = named == codes
    return right


def _folds(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    folds = np.zeros(len(codes), dtype=np.intp)
    for code in np.unique(codes):
        own = np.flatnonzero(codes == code)
        folds[own] = np.arange(len(own)) % FOLDS
    return folds


def _fit_and_name(
    train: NDArray[np.float64], codes: NDArray[np.intp], test: NDArray[np.float64], n_classes: int
) -> NDArray[np.intp]:
    """Fit in the dual, for features are often wider than samples are many, and return the test's classes."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    a, b = (train - mean) / scale, (test - mean) / scale
    targets = np.where(codes[:, None] == np.arange(n_classes), 1.0, -1.0)
    centre = targets.mean(axis=0)
    weights = np.linalg.solve(a @ a.T + RIDGE * np.eye(len(a)), targets - centre)
    named: NDArray[np.intp] = np.argmax(b @ (a.T @ weights) + centre, axis=1)
    return named

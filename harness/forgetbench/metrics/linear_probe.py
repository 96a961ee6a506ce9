"""Whether a property can be read from features by a linear classifier, sample by sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
RIDGE = 1.0


def probe_right(
    features: ArrayLike, labels: Sequence[str], folds: NDArray[np.intp] | None = None
) -> NDArray[np.bool_]:
    """Return for each sample whether a probe that was fitted without its fold names its label.

    On the other folds the features are standardised and a ridge classifier (targets ±1, α = 1, as
    scikit-learn's ``RidgeClassifier``) is fitted; the class with the largest value wins. Nothing is drawn.

    Args:
        features: Shape (n, d); what is not finite counts as 0.
        labels: Of each sample; a label that is in one fold alone is never named.
        folds: Of each sample, shape (n,); None for those of different recordings.
    """
    x = np.nan_to_num(np.asarray(features, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if folds is None:
        folds = stratified_folds(labels, range(len(codes)))
    named = np.full(len(codes), -1)
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        if test.any() and train.any():
            named[test] = _fit_and_name(x[train], codes[train], x[test], len(names))
    right: NDArray[np.bool_] = named == codes
    return right


def stratified_folds(labels: Sequence[str], recordings: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return one of five folds for each sample: the i-th recording of a label is in fold i mod 5.

    Args:
        labels: Of each sample.
        recordings: What was recorded; samples that share one, heard in several conditions, stay together.
    """
    of_recording: dict[tuple[str, Hashable], int] = {}
    n_of_label: Counter[str] = Counter()
    for label, recording in zip(labels, recordings, strict=True):
        if (label, recording) not in of_recording:
            of_recording[label, recording] = n_of_label[label] % FOLDS
            n_of_label[label] += 1
    return np.array([of_recording[pair] for pair in zip(labels, recordings, strict=True)], dtype=np.intp)


def unseen_folds(labels: Sequence[str], groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return one of five folds for each sample: the i-th group is in fold i mod 5.

    Where each group has one label alone, as a speaker has one language, the groups of each label are counted
    by themselves: two groups of each label make two folds.

    Args:
        labels: Of each sample.
        groups: Of each sample; a group, such as a speaker, is in one fold whole.
    """
    of_group: dict[Hashable, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        of_group.setdefault(group, set()).add(label)
    if all(len(found) == 1 for found in of_group.values()):
        return stratified_folds(labels, groups)
    order = {group: i for i, group in enumerate(of_group)}
    return np.array([order[group] % FOLDS for group in groups], dtype=np.intp)


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

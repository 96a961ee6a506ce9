"""How alike two representations of the same samples are: linear centred kernel alignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 4
"""Samples that the unbiased estimate needs."""
ROUNDING = 1e-10
"""A centred kernel that is smaller than this, against the lengths it is made of, is nothing but rounding."""


def linear_cka(x: ArrayLike, y: ArrayLike) -> float | None:
    """Return the debiased linear CKA of two sets of features; 1 for the same up to rotation and scale.

    CKA = HSIC(K, L) / √(HSIC(K, K)·HSIC(L, L)) with K = XXᵀ, L = YYᵀ (Kornblith et al. 2019, arXiv
    1905.00414), and for HSIC the unbiased estimate of Song et al. 2012 (JMLR 13:1393, eq. 5): the plain one
    nears 1 for any two sets of features that are wider than they are many. May be slightly below 0.

    That estimate is the inner product of the U-centred kernels over n(n − 3) (Székely & Rizzo 2014,
    Ann. Stat. 42:2382, prop. 1), so that HSIC(K, K) is a sum of squares, and CKA lies in [−1, 1].

    Args:
        x: Shape (n, d₁).
        y: Of the same samples, shape (n, d₂).

    Returns:
        None for fewer than four samples, for features that are not finite, and for those whose U-centred
        kernel is 0 but for rounding: they do not vary, or in one sample only.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 8))
        >>> round(linear_cka(x, 3 * x), 6)
        1.0
    """
    first, second = (np.asarray(each, dtype=np.float64) for each in (x, y))
    if len(first) < FEWEST:
        return None
    k, m = _u_centred(first), _u_centred(second)
    if k is None or m is None:
        return None
    return float(np.vdot(k, m) / (np.linalg.norm(k) * np.linalg.norm(m)))


def _u_centred(features: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the U-centred linear kernel of features, up to scale; None where nothing of it is left.

    It is the same from whatever point the features are measured. The median is taken, which one far sample
    does not move away from all others.
    """
    if not np.isfinite(features).all():
        return None
    centred = features - np.median(features, axis=0)
    centred /= np.abs(centred).max() or 1.0
    kernel: NDArray[np.float64] = centred @ centred.T
    squared_lengths = kernel.diagonal().copy()
    np.fill_diagonal(kernel, 0.0)
    n = len(kernel)
    rows = kernel.sum(axis=0) / (n - 2)
    kernel += rows.sum() / (n - 1) - rows - rows[:, np.newaxis]
    np.fill_diagonal(kernel, 0.0)
    largest = squared_lengths.sum() ** 2 - (squared_lengths**2).sum()
    return kernel if np.linalg.norm(kernel) > ROUNDING * np.sqrt(max(largest, 0.0)) else None

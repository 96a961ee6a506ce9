"""How alike two representations of the same samples are: linear centred kernel alignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 4
"""Samples that the unbiased estimate needs."""


def linear_cka(x: ArrayLike, y: ArrayLike) -> float | None:
    """Return the debiased linear CKA of two sets of features; 1 for the same up to rotation and scale.

    CKA = HSIC(K, L) / √(HSIC(K, K)·HSIC(L, L)) with K = XXᵀ, L = YYᵀ (Kornblith et al. 2019, arXiv
    1905.00414), and for HSIC the unbiased estimate of Song et al. 2012 (JMLR 13:1393, eq. 5): the plain one
    nears 1 for any two sets of features that are wider than they are many. May be slightly below 0.

    Args:
        x: Shape (n, d₁).
        y: Of the same samples, shape (n, d₂).

    Returns:
        None for fewer than four samples, or features that do not vary.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 8))
        >>> round(linear_cka(x, 3 * x), 6)
        1.0
    """
    first, second = (np.asarray(each, dtype=np.float64) for each in (x, y))
    if len(first) < FEWEST:
        return None
    k, m = (_gram(each) for each in (first, second))
    scale = _hsic(k, k) * _hsic(m, m)
    if not scale > 0:
        return None
    return float(_hsic(k, m) / np.sqrt(scale))


def _gram(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the linear kernel of centred features, its diagonal set to 0."""
    centred = features - features.mean(axis=0)
    kernel: NDArray[np.float64] = centred @ centred.T
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _hsic(k: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    n = len(k)
    total = float((k * m).sum())
    total += k.sum() * m.sum() / ((n - 1) * (n - 2))
    total -= 2.0 * float(k.sum(axis=0) @ m.sum(axis=0)) / (n - 2)
    return float(total / (n * (n - 3)))

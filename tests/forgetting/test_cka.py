"""CKA of two sets of features, against its definition and its invariances."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from forgetbench.forgetting.cka import linear_cka


def features(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al. 2012, eq. 4: sums over all tuples of different samples."""
    k, m = x @ x.T, y @ y.T
    n = len(x)
    pairs = np.mean([k[i, j] * m[i, j] for i, j in permutations(range(n), 2)])
    quads = np.mean([k[i, j] * m[q, r] for i, j, q, r in permutations(range(n), 4)])
    triples = np.mean([k[i, j] * m[i, q] for i, j, q in permutations(range(n), 3)])
    return float(pairs + quads - 2 * triples)


def test_it_is_the_definition_evaluated_directly() -> None:
    x, y = features(0, 7, 3), features(1, 7, 5)
    y[:, 0] = x[:, 0]
    expected = unbiased_hsic(x, y) / np.sqrt(unbiased_hsic(x, x) * unbiased_hsic(y, y))
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-12)


def test_a_model_with_itself_is_1() -> None:
    x = features(0, 72, 768)
    rotation, _ = np.linalg.qr(features(1, 768, 768))
    assert linear_cka(x, x) == pytest.approx(1, abs=1e-6)
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1, abs=1e-6)


def test_independent_wide_features_are_not_alike() -> None:
    """The plain estimate says .9 and more of them."""
    values = [linear_cka(features(s, 60, 500), features(s + 100, 60, 500)) for s in range(10)]
    assert all(value is not None and abs(value) < 0.2 for value in values)


def test_features_that_do_not_vary_have_none() -> None:
    x = features(0, 20, 4)
    assert linear_cka(x, np.ones_like(x)) is None
    assert linear_cka(x[:3], x[:3]) is None

"""CKA of two sets of features, against its definition and its invariances."""

from __future__ import annotations

from fractions import Fraction
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


@pytest.mark.parametrize("seed", range(6))
def test_a_single_sample_that_differs_is_no_structure(seed: int) -> None:
    """What is left of its kernel is rounding, of which the estimate was −1."""
    rng = np.random.default_rng(seed)
    x = np.tile(rng.normal(size=16), (100, 1))
    x[rng.integers(100)] = rng.normal(size=16)
    assert linear_cka(x, x) is None
    assert linear_cka(x, features(seed, 100, 8)) is None
    simplex, _ = np.linalg.qr(features(seed, 30, 30))
    assert linear_cka(7 * simplex + 3, simplex) is None


def test_features_that_are_not_finite_have_none() -> None:
    x = features(0, 20, 4)
    for broken in (np.nan, np.inf):
        y = x.copy()
        y[3, 1] = broken
        assert linear_cka(x, y) is None


def exact_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al. 2012, eq. 5, in whole numbers without rounding."""
    n = len(x)
    k, m = (np.array(each.astype(int).tolist(), dtype=object) for each in (x, y))
    k, m = k @ k.T, m @ m.T
    for kernel in (k, m):
        np.fill_diagonal(kernel, 0)

    def hsic(a: np.ndarray, b: np.ndarray) -> Fraction:
        both = Fraction(int(a.sum() * b.sum()), (n - 1) * (n - 2))
        return int((a * b).sum()) + both - Fraction(2 * int(a.sum(axis=0) @ b.sum(axis=0)), n - 2)

    return float(hsic(k, m)) / float(hsic(k, k)) ** 0.5 / float(hsic(m, m)) ** 0.5


@pytest.mark.parametrize("far", [10**3, 10**6, 10**8, 10**12])
@pytest.mark.parametrize("common", [0, 10**6])
def test_one_far_sample_costs_no_digits(far: int, common: int) -> None:
    x = np.round(100 * features(0, 60, 6)) + common
    y = np.round(x + 60 * features(1, 60, 6)) + common
    x[7, 0] += far
    y[7] += far
    assert linear_cka(x, y) == pytest.approx(exact_cka(x, y), abs=1e-9)
    assert linear_cka(x, x) == pytest.approx(1, abs=1e-12)


def test_scale_does_not_overflow() -> None:
    x = features(0, 20, 4)
    assert linear_cka(1e200 * x, 1e-200 * x) == pytest.approx(1, abs=1e-12)

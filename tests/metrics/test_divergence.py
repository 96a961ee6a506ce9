"""Sums over distributions, against scipy and the definitions evaluated directly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr
from scipy.stats import entropy

from forgetbench.errors import SampleError
from forgetbench.metrics.divergence import FloatArray, divergence_stats, divergence_sums, total


def distributions(seed: int, *, positions: int = 6, tokens: int = 40, scale: float = 3.0) -> FloatArray:
    logits = np.random.default_rng(seed).normal(0, scale, (positions, tokens))
    return log_softmax(logits, axis=1).astype(np.float32)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.1, 20))
def test_kl_and_entropy_equal_scipy(first: int, second: int, scale: float) -> None:
    p, q = distributions(first, scale=scale), distributions(second, scale=scale)
    sums = divergence_sums(p, q)
    exact_p, exact_q = np.exp(p.astype(float)), np.exp(q.astype(float))
    assert sums.kl == pytest.approx(rel_entr(exact_p, exact_q).sum(), rel=1e-4, abs=1e-5)
    assert sums.entropy == pytest.approx(entropy(exact_p, axis=1).sum(), rel=1e-4, abs=1e-5)
    assert sums.kl >= 0


def test_the_loss_is_the_cross_entropy_of_the_checkpoint_against_the_base() -> None:
    p, q = distributions(1), distributions(2)
    stats = divergence_stats(divergence_sums(p, q, [3, 1, 4, 1, 5, 9]))
    soft = -(np.exp(p) * q).sum()
    hard = -sum(q[row, p[row].argmax()] for row in range(6))
    own = -sum(q[row, token] for row, token in enumerate([3, 1, 4, 1, 5, 9]))
    assert stats["forgetting_loss"] == pytest.approx((soft, 6), rel=1e-5)
    assert stats["forgetting_loss_argmax"] == pytest.approx((hard, 6), rel=1e-5)
    assert stats["token_nll"] == pytest.approx((own, 6), rel=1e-5)
    assert stats["top1_agreement"] == (float((p.argmax(1) == q.argmax(1)).sum()), 6)


def test_against_itself_kl_is_exactly_zero_and_every_position_agrees() -> None:
    p = distributions(3, positions=200, tokens=5000)
    stats = divergence_stats(divergence_sums(p, p))
    assert stats["kl"] == (0.0, 200.0)
    assert stats["top1_agreement"] == (200.0, 200.0)
    assert stats["forgetting_loss"][0] == pytest.approx(
        entropy(np.exp(p.astype(float)), axis=1).sum(), rel=1e-5
    )
    assert "token_nll" not in stats


def test_an_error_of_the_normalisation_does_not_show_as_divergence() -> None:
    p = distributions(4, positions=50, tokens=50_000)
    assert divergence_sums(p, p + np.float32(2e-6)).kl / 50 < 1e-9


def test_small_divergences_are_resolved() -> None:
    logits = np.random.default_rng(5).normal(0, 3, (20, 1000))
    p, q = (
        log_softmax(logits, axis=1),
        log_softmax(logits + np.random.default_rng(6).normal(0, 1e-2, logits.shape), axis=1),
    )
    sums = divergence_sums(p.astype(np.float32), q.astype(np.float32))
    assert sums.kl == pytest.approx(rel_entr(np.exp(p), np.exp(q)).sum(), rel=0.01)


def test_stretches_add_up() -> None:
    p, q, tokens = distributions(7), distributions(8), [0, 1, 2, 3, 4, 5]
    whole = divergence_sums(p, q, tokens)
    parts = total([divergence_sums(p[:2], q[:2], tokens[:2]), divergence_sums(p[2:], q[2:], tokens[2:])])
    assert parts.model_dump() == pytest.approx(whole.model_dump(), rel=1e-6)


def test_a_token_that_the_base_rules_out_costs_nothing() -> None:
    with np.errstate(divide="ignore"):
        p = np.log(np.array([[0.5, 0.5, 0.0]], dtype=np.float32))
    q = np.log(np.array([[0.25, 0.25, 0.5]], dtype=np.float32))
    assert divergence_sums(p, q).kl == pytest.approx(np.log(2), rel=1e-6)


def test_a_broken_model_is_an_error_and_no_number() -> None:
    p = distributions(9)
    broken = p.copy()
    broken[0, 0] = np.nan
    ruled_out = p.copy()
    ruled_out[0, 0] = -np.inf
    for q in (broken, ruled_out):
        with pytest.raises(SampleError) as caught:
            divergence_sums(p, q)
        assert caught.value.code == "nonfinite_score"

"""Change of distribution (docs/divergence.md) against a textbook's worked example."""

from __future__ import annotations

import numpy as np
import pytest

from forgetbench.metrics.divergence import divergence_stats, divergence_sums

BIT = np.log(2)


def coin(heads: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.log(np.array([[1 - heads, heads]], dtype=np.float32))


def test_cover_and_thomas_relative_entropy_of_two_coins_both_ways() -> None:
    """Elements of Information Theory, §2.3: r = 1/2 and s = 1/4 give .2075 and .1887 bits."""
    assert divergence_sums(coin(1 / 2), coin(1 / 4)).kl / BIT == pytest.approx(0.2075, abs=5e-5)
    assert divergence_sums(coin(1 / 4), coin(1 / 2)).kl / BIT == pytest.approx(0.1887, abs=5e-5)


def test_kalajdzievski_soft_forgetting_loss_is_entropy_plus_kl() -> None:
    """arXiv 2401.05605 §3.1; the entropies of both coins are 1 and .8113 bits."""
    for base, entropy in ((1 / 2, 1.0), (1 / 4, 0.8113)):
        sums = divergence_sums(coin(base), coin(1 / 3))
        assert sums.entropy / BIT == pytest.approx(entropy, abs=5e-5)
        loss, n = divergence_stats(sums)["forgetting_loss"]
        direct = -(1 - base) * np.log(2 / 3) - base * np.log(1 / 3)
        assert (loss, n) == (pytest.approx(direct, rel=1e-6), 1)
        assert loss == pytest.approx(sums.entropy + sums.kl)

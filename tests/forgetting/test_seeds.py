"""What several training seeds say of a method, by drawing methods whose loss is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean
from forgetbench.forgetting.seed_rows import over_seeds

LOSS = 0.1


def method(estimates: Sequence[PairedEstimate]) -> PairedEstimate:
    found = over_seeds(estimates, level=0.95)
    assert found is not None
    return found


def seeds(
    rng: np.random.Generator,
    *,
    n: int = 60,
    seed_sd: float = 0.05,
    sample_sd: float = 0.2,
    noise: float = 0.1,
) -> list[PairedEstimate]:
    """Three seeds on the same samples: each loses LOSS, more or less by seed, by sample and by both."""
    base, of_sample = rng.normal(size=n), rng.normal(scale=sample_sd, size=n)
    return [
        paired_mean(
            base, base - LOSS - of_sample - effect - rng.normal(scale=noise, size=n), higher_is_better=True
        )
        for effect in rng.normal(scale=seed_sd, size=3)
    ]


def covers(row: PairedEstimate) -> bool:
    assert row.ci_low is not None and row.ci_high is not None
    return row.ci_low <= LOSS <= row.ci_high


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_the_interval_of_a_method_covers_its_true_loss(noise: float) -> None:
    rng = np.random.default_rng(7)
    drawn = [seeds(rng, noise=noise) for _ in range(400)]
    assert np.mean([covers(method(each)) for each in drawn]) >= 0.93
    if not noise:
        alone = np.mean([covers(each[0]) for each in drawn])
        assert alone < 0.85, "one checkpoint's interval is not about the method"


def test_a_bootstrap_over_three_seeds_would_cover_too_little() -> None:
    rng = np.random.default_rng(8)
    draws, resamples, n = 400, 300, 60
    covered = {"bootstrap": 0, "ours": 0}
    for _ in range(draws):
        losses = LOSS + rng.normal(scale=0.15, size=3)[:, None] + rng.normal(scale=0.35, size=n)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
        chosen = rng.integers(3, size=(resamples, 3))
        drawn = np.take_along_axis(weights @ losses.T, chosen, axis=1).mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered["bootstrap"] += low <= LOSS <= high
        covered["ours"] += covers(
            method([paired_mean(np.zeros(n), -loss, higher_is_better=True) for loss in losses])
        )
    assert covered["bootstrap"] / draws < 0.9
    assert covered["ours"] / draws >= 0.93


def test_binary_seeds_that_agree_never_say_more_than_one_checkpoint() -> None:
    right = np.ones(60)
    for lost in (0, 1, 6):
        wrong = right.copy()
        wrong[:lost] = 0
        found = [
            paired_binary(right, checkpoint, higher_is_better=True) for checkpoint in (wrong, wrong[::-1])
        ]
        row = method(found)
        assert (row.ci_low, row.ci_high) == pytest.approx((found[0].ci_low, found[0].ci_high))
        assert row.p is not None and (row.p <= 0.05) == (lost == 6)

"""The interval of a corrected rate against the examples of Lang & Reiczigel 2014, Prev Vet Med 113, 13–22."""

from __future__ import annotations

import math

import pytest
from scipy.stats import norm

from forgetbench.forgetting.rogan_gladen import Agreement, corrected_rate


@pytest.mark.parametrize(
    ("positive", "n", "sensitivity", "specificity", "low", "high", "digits"),
    [
        (4060, 11284, (178, 179), (358, 359), 0.349, 0.372, 3),
        (51, 2971, (32, 33), (20, 20), 0.0, 0.053, 3),
        (712, 11862, (8, 10), (12, 12), 0.0, 0.147, 3),
        (259, 509, (84, 127), (96, 109), 0.58, 0.87, 2),
        (51, 509, (23, 41), (187, 195), 0.037, 0.195, 3),
    ],
)
def test_the_five_published_intervals(
    positive: int,
    n: int,
    sensitivity: tuple[int, int],
    specificity: tuple[int, int],
    low: float,
    high: float,
    digits: int,
) -> None:
    """Examples 1 to 4 of the paper; its 712 of 11 862 is given as a rate of .06."""
    judge = Agreement(
        true_positives=sensitivity[0],
        positives=sensitivity[1],
        true_negatives=specificity[0],
        negatives=specificity[1],
    )
    found = corrected_rate(positive, n, judge)
    assert found.ci_low is not None and found.ci_high is not None
    assert (round(found.ci_low, digits), round(found.ci_high, digits)) == (low, high)


def test_both_ends_lie_around_the_moved_estimate() -> None:
    """Equations 6, 7, 16 and 17 of the paper, evaluated directly: 300 of 1000, 90 of 100 and 160 of 200."""
    z = float(norm.ppf(0.975))
    n, n_se, n_sp = 1000 + z * z, 102, 202
    rate, se, sp = (300 + z * z / 2) / n, 91 / n_se, 161 / n_sp
    value = (rate + sp - 1) / (se + sp - 1)
    of_judge = value**2 * se * (1 - se) / n_se + (1 - value) ** 2 * sp * (1 - sp) / n_sp
    half = z * math.sqrt(rate * (1 - rate) / n + of_judge) / (se + sp - 1)
    moved = value + 2 * z**2 * (value * se * (1 - se) / n_se - (1 - value) * sp * (1 - sp) / n_sp)
    judge = Agreement(true_positives=90, positives=100, true_negatives=160, negatives=200)
    found = corrected_rate(300, 1000, judge)
    assert (found.ci_low, found.ci_high) == pytest.approx((moved - half, moved + half), abs=1e-12)

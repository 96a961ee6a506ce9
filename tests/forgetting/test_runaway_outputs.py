"""A few outputs with more errors than words to hear: an interval that knows how little they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, poisson

from forgetbench.forgetting.paired import PairedEstimate, mcnemar
from forgetbench.forgetting.paired_ratio import paired_ratio
from forgetbench.forgetting.pairs import compare
from forgetbench.forgetting.rare_events import are_rare, weighted_poisson_limit
from forgetbench.forgetting.word_errors import paired_word_errors

WORDS = np.full(100, 12.0)


def with_loops(*errors: int, n: int = 100, seed: int = 0) -> np.ndarray:
    """Errors of n utterances of 12 words, the first of which ran on for so many."""
    found = np.random.default_rng(seed).integers(0, 3, n).astype(float)
    found[: len(errors)] = errors
    return found


def ends(found: PairedEstimate) -> tuple[float, float]:
    assert found.ci_low is not None and found.ci_high is not None
    return found.ci_low, found.ci_high


@pytest.mark.parametrize("count", [0, 1, 2, 5, 19])
@pytest.mark.parametrize("level", [0.95, 0.995])
def test_events_of_equal_size_have_the_mid_p_interval_of_a_poisson_count(count: int, level: float) -> None:
    """P(X > k) + P(X = k)/2 at the low end and P(X < k) + P(X = k)/2 at the high one are α/2."""
    weights, tail = np.full(count, 7.0), (1 - level) / 2
    low, high = (weighted_poisson_limit(weights, 7.0, level=level, upper=end) / 7.0 for end in (False, True))
    above = brentq(lambda m: poisson.cdf(count, m) - poisson.pmf(count, m) / 2 - tail, count, 99.0)
    assert high == pytest.approx(above, rel=1e-9)
    if count:
        below = brentq(lambda m: poisson.sf(count, m) + poisson.pmf(count, m) / 2 - tail, 0.0, count)
        assert low == pytest.approx(below, rel=1e-9)
    else:
        assert low == 0.0


def test_its_ends_lie_between_those_of_fay_and_feuer_with_and_without_one_event_more() -> None:
    """Their limits by the quantiles of χ², as they print them: each end of ours mixes two such gammas."""
    weights = np.array([3.0, 1.0, 0.5, 2.0])
    y, v, largest = weights.sum(), (weights**2).sum(), 3.0
    more, wider = y + largest, v + largest**2
    high = wider / (2 * more) * chi2.ppf(0.975, 2 * more**2 / wider)
    low = v / (2 * y) * chi2.ppf(0.025, 2 * y**2 / v)
    assert low < weighted_poisson_limit(weights, largest, level=0.95, upper=False) < y
    assert y < weighted_poisson_limit(weights, largest, level=0.95, upper=True) < high


def test_what_is_rare() -> None:
    assert [are_rare(k, 100) for k in (0, 1, 19, 20)] == [False, True, True, False]
    assert [are_rare(k, 20) for k in (4, 5)] == [True, False]


@pytest.mark.parametrize("loops", [1, 2, 3, 4, 5, 6, 8])
def test_loops_in_one_arm_alone_are_a_loss_where_mcnemar_says_so(loops: int) -> None:
    quiet = np.zeros(100)
    found = paired_word_errors(quiet, with_loops(*[100] * loops) * (np.arange(100) < loops), WORDS, draws=500)
    assert (ends(found)[0] > 0) == (mcnemar(loops, 0).mid_p < 0.05)


def test_a_single_loop_leaves_room_for_five_of_them_where_the_bootstrap_has_room_for_three() -> None:
    base, looping = with_loops(), with_loops(150, seed=0)
    looping[1:] = base[1:]
    one = 150.0 / WORDS.sum()
    found = paired_word_errors(base, looping, WORDS, draws=2000)
    drawn = paired_ratio(base, WORDS, looping, WORDS, draws=2000)
    assert ends(found)[1] == pytest.approx(4.93 * one, rel=0.02)
    assert ends(drawn)[1] < 3.2 * one
    assert found.runaway is not None
    assert (found.runaway.n, found.runaway.degradation_without) == (1, 0.0)


def test_without_such_outputs_or_with_many_the_bootstrap_is_left_alone() -> None:
    base = with_loops()
    for checkpoint in (with_loops(seed=1), with_loops(*[60] * 30, seed=1)):
        drawn = paired_ratio(base, WORDS, checkpoint, WORDS, draws=300)
        assert paired_word_errors(base, checkpoint, WORDS, draws=300) == drawn


def test_the_same_loop_in_both_arms_is_no_difference() -> None:
    arm = with_loops(150)
    assert ends(paired_word_errors(arm, arm, WORDS, draws=300)) == (0.0, 0.0)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("loops", [1, 3, 6])
def test_swapping_mirrors_the_estimate_lies_inside_and_p_agrees(loops: int, level: float) -> None:
    base, checkpoint = with_loops(0, 90), with_loops(*[0, 0], *range(100, 100 + loops), seed=2)
    there, back = (
        paired_word_errors(*arms, WORDS, draws=999, level=level)
        for arms in ((base, checkpoint), (checkpoint, base))
    )
    assert ends(there) == pytest.approx(tuple(-end for end in reversed(ends(back))), abs=1e-12)
    assert there.p == pytest.approx(back.p, rel=1e-5)
    assert there.degradation is not None and there.p is not None
    assert ends(there)[0] < there.degradation < ends(there)[1]
    assert (ends(there)[0] > 0) == (there.p < 1 - level)


def test_loops_of_one_speaker_are_one_event() -> None:
    base, checkpoint = np.zeros(120), np.zeros(120)
    checkpoint[:8] = 80.0
    speakers = [f"s{i // 8:02d}" for i in range(120)]
    apart = paired_word_errors(base, checkpoint, np.full(120, 12.0), draws=500)
    together = paired_word_errors(base, checkpoint, np.full(120, 12.0), speakers, draws=500)
    assert together.n_clusters == 15
    assert ends(together)[0] <= 0.0 < ends(apart)[0]
    assert ends(together)[1] > ends(apart)[1]


def test_where_one_loop_of_four_was_met_the_truth_is_still_inside() -> None:
    """2 % of the checkpoint's outputs loop; benchmarks/validity.py counts more pairs, of more kinds."""
    rng, seen = np.random.default_rng(5), {"bootstrap": 0, "ours": 0}
    n, truth = 200, 0.02 * (137.0 - 1.2) / 12.0
    for _ in range(150):
        base, checkpoint = rng.binomial(12, 0.1, size=(2, n)).astype(float)
        looping = rng.random(n) < 0.02
        checkpoint[looping] = rng.integers(50, 225, looping.sum())
        words = np.full(n, 12.0)
        for name, found in (
            ("bootstrap", paired_ratio(base, words, checkpoint, words, draws=400)),
            ("ours", paired_word_errors(base, checkpoint, words, draws=400)),
        ):
            low, high = ends(found)
            seen[name] += low <= truth <= high
    assert seen["ours"] >= 0.92 * 150
    assert seen["bootstrap"] <= seen["ours"] - 6


def test_the_row_and_a_warning_say_that_few_samples_make_the_difference(
    make_task: Callable[..., Any], make_run: Callable[..., Any], make_table: Callable[..., Any]
) -> None:
    task = make_task("speech", title="Speech", primary="wer", metric_type="ratio", higher=False)
    base, checkpoint = with_loops(), with_loops(150, 200)
    checkpoint[2:] = base[2:]
    tables = [{"speech": make_table({"wer.num": errors, "wer.den": WORDS})} for errors in (base, checkpoint)]
    found = compare(make_run("base", task), make_run("checkpoint", task), *tables)
    (row,) = found.rows
    assert row.verdict == "inconclusive" and row.runaway is not None and row.runaway.n == 2
    assert row.notes == ("2 samples ran on (more errors than reference words); worse by 0 over the others",)
    (warning,) = (text for text in found.warnings if "make most" in text)
    assert warning.startswith("Speech: 2 of 100 samples make most of the difference; worse by 0.28")


def test_a_small_loop_beside_a_large_loss_is_a_note_and_no_warning(
    make_task: Callable[..., Any], make_run: Callable[..., Any], make_table: Callable[..., Any]
) -> None:
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    base = with_loops()
    checkpoint = base + 4.0
    checkpoint[0] = 20.0
    tables = [{"speech": make_table({"wer.num": errors, "wer.den": WORDS})} for errors in (base, checkpoint)]
    found = compare(make_run("base", task), make_run("checkpoint", task), *tables)
    assert found.rows[0].verdict == "regressed" and "1 sample ran on" in found.rows[0].notes[0]
    assert not any("make most" in text for text in found.warnings)
    assert math.isfinite(found.rows[0].smallest_detectable or math.nan)

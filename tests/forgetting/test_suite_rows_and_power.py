import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean, tango_interval
from forgetbench.forgetting.paired_ratio import paired_ratio
from forgetbench.forgetting.power import (
    binary_sd,
    detectable,
    mean_sd,
    required_n,
    samples_needed,
    smallest_detectable,
)
from forgetbench.forgetting.stratified import Strata, score_interval, score_p
from forgetbench.forgetting.suite_row import mean_of_members
from forgetbench.forgetting.verdict import verdict

rng = np.random.default_rng(0)
MEMBERS = [
    paired_mean(rng.normal(size=n), rng.normal(loc=-0.2, size=n), higher_is_better=True) for n in (30, 50, 80)
]


def test_a_suite_row_is_the_unweighted_mean_with_root_sum_of_squares_error() -> None:
    found = mean_of_members(MEMBERS, level=0.95)
    assert found.degradation == pytest.approx(sum(m.degradation or 0 for m in MEMBERS) / 3)
    assert found.se == pytest.approx(math.sqrt(sum((m.se or 0) ** 2 for m in MEMBERS)) / 3)
    assert found.n == 160


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_p_of_a_suite_row_is_of_the_statistic_of_its_interval(level: float) -> None:
    found = mean_of_members(MEMBERS, level=level)
    assert found.p is not None and found.ci_low is not None
    assert (found.ci_low > 0) == (found.p < 1 - level)


def test_one_member_gives_its_own_interval() -> None:
    alone = mean_of_members(MEMBERS[:1], level=0.95)
    assert (alone.ci_low, alone.ci_high) == pytest.approx((MEMBERS[0].ci_low, MEMBERS[0].ci_high))


PASSAGES = {size: [f"p{i // size}" for i in range(12 * size)] for size in (2, 5)}
changes = st.sampled_from([2, 5]).flatmap(
    lambda size: st.lists(st.sampled_from([0, 0, 0, 1, -1]), min_size=12 * size, max_size=12 * size)
)


def of_passages(change: list[int], *, level: float) -> PairedEstimate:
    """Twelve passages, of which some answers are lost (1) or won (-1)."""
    lost, won = (np.array(change) == sign for sign in (1, -1))
    names = PASSAGES[len(change) // 12]
    return paired_binary(~won, ~lost, names, higher_is_better=True, level=level)


@settings(deadline=None, max_examples=40)
@given(change=changes, level=st.sampled_from([0.9, 0.95, 0.995]), asked=st.sampled_from([0.95, 0.99]))
def test_a_row_of_one_task_of_passages_has_the_tasks_own_interval_and_p(
    change: list[int], level: float, asked: float
) -> None:
    own, row = (
        of_passages(change, level=level),
        mean_of_members([of_passages(change, level=asked)], level=level),
    )
    assert ends(row) == pytest.approx(ends(own), abs=1e-6)
    assert row.p == pytest.approx(own.p, abs=1e-9)


def test_degrees_of_freedom_of_a_row_are_satterthwaites() -> None:
    def high(df: list[float]) -> float:
        even = np.full(2, 6.0)
        return score_interval(Strata(even, even, np.full(2, 60.0), 1 / 2, np.array(df)), level=0.99).high

    assert high([9, 9]) > high([9, math.inf]) > high([math.inf, math.inf])
    assert high([9, math.inf]) == pytest.approx(high([18, 18]), rel=1e-6)


def test_a_missing_member_makes_the_row_missing() -> None:
    found = mean_of_members([*MEMBERS, PairedEstimate(level=0.95, method="", n=0)], level=0.95)
    assert found.degradation is found.ci_low is found.p is None


def test_an_identical_member_counts_as_zero_without_error() -> None:
    same = PairedEstimate(level=0.95, method="", n=0, degradation=0.0, delta=0.0, se=0.0)
    found, without = mean_of_members([*MEMBERS, same], level=0.95), mean_of_members(MEMBERS, level=0.95)
    assert found.degradation == pytest.approx((without.degradation or 0) * 3 / 4)
    assert found.se == pytest.approx((without.se or 0) * 3 / 4)


def test_a_suite_in_which_nothing_flipped_is_as_sure_as_its_samples_allow() -> None:
    still = paired_binary([1] * 50, [1] * 50, higher_is_better=True)
    found = mean_of_members([still] * 4, level=0.95)
    assert (found.degradation, found.p) == (0.0, 1.0)
    assert found.ci_high == pytest.approx(3.8415 / (200 + 3.8415), rel=1e-4)


Flips = list[tuple[int, int, int]]
flips_of_tasks = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(17, 90)), min_size=1, max_size=6
)


def as_members(flips: Flips, *, level: float = 0.95) -> list[PairedEstimate]:
    """Binary tasks from (lost, won, n)."""
    return [
        paired_binary(
            [1] * lost + [0] * won + [1] * (n - lost - won),
            [0] * lost + [1] * won + [1] * (n - lost - won),
            higher_is_better=True,
            level=level,
        )
        for lost, won, n in flips
    ]


def ends(found: PairedEstimate) -> tuple[float, float]:
    assert found.ci_low is not None and found.ci_high is not None
    return found.ci_low, found.ci_high


def mean_of(flips: Flips, *, level: float = 0.95) -> PairedEstimate:
    return mean_of_members(as_members(flips), level=level)


def test_a_lost_answer_does_not_narrow_a_suite_row() -> None:
    rows = [mean_of([(lost, 0, 20)] + [(0, 0, 20)] * 5, level=1 - 0.05 / 7) for lost in range(4)]
    highs = [ends(row)[1] for row in rows]
    assert highs == sorted(highs)
    assert highs[:2] == pytest.approx([0.0569, 0.0667], abs=1e-4)
    widths = [high - low for low, high in map(ends, rows)]
    assert widths == sorted(widths)
    shown = [detectable(row) or 0.0 for row in rows]
    assert shown == sorted(shown)
    assert all(loss >= width / 2 for loss, width in zip(shown, widths, strict=True))


@settings(deadline=None, max_examples=40)
@given(flips=flips_of_tasks, data=st.data())
def test_one_more_loss_never_lowers_an_end_of_a_suite_row(flips: Flips, data: st.DataObject) -> None:
    task = data.draw(st.integers(0, len(flips) - 1))
    lost, won, n = flips[task]
    then = [*flips[:task], (lost + 1, won, n), *flips[task + 1 :]]
    (low, high), (low_then, high_then) = ends(mean_of(flips)), ends(mean_of(then))
    assert low_then >= low - 1e-9
    assert high_then >= high - 1e-9


@settings(deadline=None, max_examples=40)
@given(flips=flips_of_tasks)
def test_swapping_the_arms_mirrors_a_suite_row_exactly(flips: Flips) -> None:
    there, back = mean_of(flips), mean_of([(won, lost, n) for lost, won, n in flips])
    low, high = ends(there)
    assert ends(back) == (-high, -low)
    assert there.p == back.p
    assert there.degradation == -(back.degradation or 0.0)


@settings(deadline=None, max_examples=40)
@given(flips=flips_of_tasks)
def test_as_many_lost_as_won_is_no_change_of_a_suite_row(flips: Flips) -> None:
    even = mean_of([(lost, lost, n) for lost, _, n in flips])
    low, high = ends(even)
    assert low == -high < 0
    assert even.p == 1.0


def test_losses_and_wins_that_cancel_up_to_rounding_are_no_change() -> None:
    cancelled = mean_of([(1, 0, 30), (1, 0, 60), (0, 1, 20), (3, 3, 49), (7, 7, 83)])
    assert cancelled.p == 1.0
    assert (
        score_p(Strata(np.array([1.0, 1, 0]), np.array([0.0, 0, 1]), np.array([30.0, 60, 20]), 1 / 3)) == 1.0
    )


@settings(deadline=None, max_examples=40)
@given(flips=flips_of_tasks, level=st.sampled_from([0.9, 0.95, 0.99, 1 - 0.05 / 8]))
def test_the_p_of_a_binary_suite_row_is_of_the_test_of_its_interval(flips: Flips, level: float) -> None:
    found = mean_of(flips, level=level)
    low, high = ends(found)
    assert found.p is not None
    if abs(found.p - (1 - level)) > 1e-6:
        assert (low > 0 or high < 0) == (found.p < 1 - level)


@pytest.mark.parametrize(
    ("lost", "won", "n"), [(0, 0, 20), (1, 0, 20), (9, 20, 160), (12, 2, 50), (8, 0, 8), (0, 8, 8)]
)
def test_the_score_interval_of_one_task_is_tangos(lost: int, won: int, n: int) -> None:
    alone = Strata(np.array([float(lost)]), np.array([float(won)]), np.array([float(n)]), 1.0)
    found, tango = score_interval(alone, level=0.99), tango_interval(lost, won, n, level=0.99)
    assert (found.low, found.high) == pytest.approx((tango.low, tango.high), abs=1e-7)


def test_the_score_p_of_one_task_is_mcnemars_without_correction() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    alone = Strata(np.array([12.0]), np.array([4.0]), np.array([60.0]), 1.0)
    table = [[40, 12], [4, 4]]
    assert score_p(alone) == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue, rel=1e-9)


@pytest.mark.parametrize("loss", [0.0, 0.04])
def test_a_suite_row_covers_the_truth_as_often_as_it_says(loss: float) -> None:
    draw = np.random.default_rng(11)
    covered, draws, flips, n = 0, 300, 0.1, 80
    for _ in range(draws):
        counts = draw.multinomial(n, [(flips + loss) / 2, (flips - loss) / 2, 1 - flips], size=6)
        strata = Strata(counts[:, 0].astype(float), counts[:, 1].astype(float), np.full(6, float(n)), 1 / 6)
        interval = score_interval(strata, level=0.95)
        covered += interval.low <= loss <= interval.high
    assert covered / draws >= 0.93


def test_six_tasks_of_the_usual_size_are_known_to_four_points() -> None:
    sizes = (98, 96, 88, 68, 66, 70)
    even = [(round(n * 0.05), round(n * 0.05), n) for n in sizes]
    found = mean_of(even, level=1 - 0.05 / 8)
    low, high = ends(found)
    assert (high - low) / 2 == pytest.approx(2.734 * (found.se or 0.0), rel=0.07)
    assert 0.03 < high < 0.043


@pytest.mark.parametrize("level", [0.9, 0.95, 0.995])
def test_a_row_of_several_metrics_adds_the_squares_of_its_parts(level: float) -> None:
    draw = np.random.default_rng(3)
    errors, words = draw.integers(0, 4, 60), np.full(60, 9)
    speech = paired_ratio(errors, words, errors + draw.integers(0, 2, 60), words, draws=500, level=level)
    margin = paired_mean(
        draw.normal(size=40), draw.normal(loc=-0.3, size=40), higher_is_better=True, level=level
    )
    quizzes = as_members([(3, 1, 50), (0, 0, 40)], level=level)
    found = mean_of_members([speech, *quizzes, margin], level=level)
    both = mean_of_members(quizzes, level=level)
    low, high = ends(found)
    parts = [(speech, 1 / 4), (margin, 1 / 4), (both, 2 / 4)]
    below = math.hypot(*(w * ((m.degradation or 0) - ends(m)[0]) for m, w in parts))
    above = math.hypot(*(w * (ends(m)[1] - (m.degradation or 0)) for m, w in parts))
    assert (found.degradation or 0) - low == pytest.approx(below)
    assert high - (found.degradation or 0) == pytest.approx(above)
    assert found.p is not None and (low > 0) == (found.p < 1 - level)


def test_required_n_and_smallest_detectable_are_inverse() -> None:
    sd = binary_sd(0.1, 0.02)
    n = required_n(sd, 0.03, level=0.99)
    assert smallest_detectable(sd, n, level=0.99) == pytest.approx(0.03, rel=1e-3)


def test_the_standard_deviation_of_a_binary_difference_is_that_of_the_samples() -> None:
    d = np.array([1] * 7 + [-1] * 3 + [0] * 90)
    assert binary_sd(0.10, 0.04) == pytest.approx(d.std())


def test_the_smallest_detectable_loss_is_seen_four_times_in_five() -> None:
    draw = np.random.default_rng(1)
    n, flips = 400, 0.2
    loss = smallest_detectable(binary_sd(flips), n)
    p10, p01 = (flips + loss) / 2, (flips - loss) / 2
    seen = 0
    for _ in range(400):
        n10, n01, rest = draw.multinomial(n, [p10, p01, 1 - flips])
        base = [1] * n10 + [0] * n01 + [1] * rest
        checkpoint = [0] * n10 + [1] * n01 + [1] * rest
        found = paired_binary(base, checkpoint, higher_is_better=True)
        seen += (found.ci_low or 0.0) > 0
    assert 0.74 < seen / 400 < 0.86


def test_an_unsettled_row_needs_more_than_it_has() -> None:
    base, checkpoint = [1] * 60, [1] * 52 + [0] * 8
    found = paired_binary(base, checkpoint, higher_is_better=True)
    for margin in (0.02, 0.1, 0.13, 0.2):
        if verdict(found.ci_low or 0, found.ci_high or 0, margin=margin) in ("worse", "inconclusive"):
            needed = samples_needed(found, margin, min_n=20)
            assert needed is not None and needed > 60


def test_more_samples_than_a_document_holds_settle_nothing() -> None:
    found = paired_mean(rng.normal(size=30, scale=1e6), rng.normal(size=30, scale=1e6), higher_is_better=True)
    assert samples_needed(found, 1e-6, min_n=20) is None


def test_a_row_without_flips_needs_the_n_whose_interval_fits_the_margin() -> None:
    still = paired_binary([1] * 50, [1] * 50, higher_is_better=True)
    needed = samples_needed(still, 0.02, min_n=20)
    assert needed is not None
    then = paired_binary([1] * needed, [1] * needed, higher_is_better=True)
    assert verdict(then.ci_low or 0, then.ci_high or 0, margin=0.02) == "retained"
    assert detectable(still) == still.ci_high


@pytest.mark.parametrize("size", [2, 5])
def test_passages_without_flips_need_more_passages(size: int) -> None:
    def still(passages: int) -> PairedEstimate:
        names = [f"p{i // size}" for i in range(passages * size)]
        return paired_binary([1] * len(names), [1] * len(names), names, higher_is_better=True)

    needed = samples_needed(still(60), 0.05, min_n=20)
    assert needed is not None
    assert ends(still(60))[1] > 0.05 >= ends(still(math.ceil(needed / size)))[1]
    row = samples_needed(mean_of_members([still(60), still(60)], level=0.95), 0.02, min_n=20)
    assert row is not None and row > 2 * 60 * size


def test_repeats_shrink_the_answers_noise_and_not_the_samples() -> None:
    assert mean_sd(0.1, 0.5, repeats=10**9) == pytest.approx(mean_sd(0.1))
    assert mean_sd(0.1, 0.5) > mean_sd(0.1, 0.5, repeats=4) > mean_sd(0.1)

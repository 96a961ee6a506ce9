"""A rate corrected for its judge: the definition, its limits, and the coverage of its interval."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from forgetbench.forgetting.judge_counts import agreement_of
from forgetbench.forgetting.paired import Interval, tango_interval
from forgetbench.forgetting.pairs import compare
from forgetbench.forgetting.refusal_rates import refusal_rates
from forgetbench.forgetting.rogan_gladen import Agreement, _Share, corrected_change, corrected_rate
from forgetbench.schema.run import JudgeInfo, MetricValue, RunDocument, TaskResult

PERFECT = Agreement(true_positives=500, positives=500, true_negatives=500, negatives=500)
GOOD = Agreement(true_positives=90, positives=100, true_negatives=160, negatives=200)


def test_a_perfect_judge_changes_nothing() -> None:
    assert corrected_rate(30, 100, PERFECT).value == pytest.approx(0.3)


def test_it_is_the_inverse_of_what_the_judge_does() -> None:
    true = 0.35
    apparent = true * 0.9 + (1 - true) * 0.2
    assert corrected_rate(round(apparent * 1000), 1000, GOOD).value == pytest.approx(true, abs=1e-3)


def test_it_stays_within_0_and_1() -> None:
    assert corrected_rate(0, 100, GOOD).value == 0
    assert corrected_rate(100, 100, GOOD).value == 1


def test_a_judge_at_chance_and_a_rate_of_nothing_correct_nothing() -> None:
    chance = Agreement(true_positives=50, positives=100, true_negatives=50, negatives=100)
    assert corrected_rate(30, 100, chance).value is None
    assert corrected_rate(0, 0, GOOD).value is None
    assert (
        corrected_rate(1, 2, Agreement(true_positives=0, positives=0, true_negatives=1, negatives=1)).value
        is None
    )


def test_fewer_labels_make_a_wider_interval() -> None:
    few = Agreement(true_positives=9, positives=10, true_negatives=16, negatives=20)
    wide, narrow = corrected_rate(500, 1000, few), corrected_rate(500, 1000, GOOD)
    assert wide.value == narrow.value
    assert None not in (wide.ci_low, wide.ci_high, narrow.ci_low, narrow.ci_high)
    assert wide.ci_high - wide.ci_low > 2 * (narrow.ci_high - narrow.ci_low)  # type: ignore[operator]


@pytest.mark.parametrize("true", [0.05, 0.4])
def test_the_interval_covers_the_truth_though_the_judge_is_known_from_few_labels(true: float) -> None:
    rng = np.random.default_rng(7)
    apparent = true * 0.9 + (1 - true) * 0.1
    covered = 0
    for _ in range(1000):
        agreement = Agreement(
            true_positives=rng.binomial(80, 0.9),
            positives=80,
            true_negatives=rng.binomial(120, 0.9),
            negatives=120,
        )
        found = corrected_rate(rng.binomial(150, apparent), 150, agreement)
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= true <= found.ci_high
    assert 0.93 <= covered / 1000 <= 0.985


def test_the_shipped_counts_are_of_450_answers_for_each_judge() -> None:
    for judge in ("refusal@1", "gcg29", "xstest_strmatch"):
        agreement = agreement_of(judge, "refused")
        assert agreement is not None
        assert (agreement.positives, agreement.positives + agreement.negatives) == (173, 450)
    assert agreement_of("refusal@1", "degenerate") is None
    assert agreement_of("chat:org/name", "refused") is None


Task = Callable[..., TaskResult]
Run = Callable[..., RunDocument]


def test_each_arm_has_its_coverage_its_rate_and_the_corrected_one(make_task: Task, make_run: Run) -> None:
    def task(value: float, n: int, judge: str) -> TaskResult:
        metric = MetricValue(value=value, n=n, type="binary", higher_is_better=False)
        return make_task(
            primary="complied", role="safety", metrics={"complied": metric}, judge=JudgeInfo(name=judge),
            n_planned=100, n_scored=n,
        )  # fmt: skip

    (rate,) = refusal_rates(
        make_run("base", task(0.1, 100, "refusal@1")), make_run("checkpoint", task(0.5, 80, "refusal@1"))
    )
    assert (rate.base.coverage, rate.checkpoint.coverage) == (1.0, 0.8)
    agreement = agreement_of("refusal@1", "complied")
    assert agreement is not None
    assert rate.checkpoint.corrected == corrected_rate(40, 80, agreement).value
    assert rate.base.ci_low is not None and rate.labels
    (unknown,) = refusal_rates(
        make_run("base", task(0.1, 100, "chat:m")), make_run("checkpoint", task(0.5, 80, "chat:m"))
    )
    assert unknown.base.corrected is None and not unknown.labels


def test_a_task_that_nobody_judges_has_no_such_rate(make_task: Task, make_run: Run) -> None:
    assert not list(refusal_rates(make_run("base", make_task()), make_run("checkpoint", make_task())))


def test_what_a_judge_gets_wrong_in_both_arms_cancels_in_the_change() -> None:
    """Two arms of equal rate: each corrected rate is unsure, their change is as sure as the counts."""
    few = Agreement(true_positives=18, positives=20, true_negatives=17, negatives=20)
    arm = corrected_rate(200, 1000, few)
    change = corrected_change(0.0, tango_interval(20, 20, 1000, level=0.95), few)
    assert arm.ci_low is not None and arm.ci_high is not None
    assert change.ci_low is not None and change.ci_high is not None
    assert change.value == 0.0
    assert change.ci_high - change.ci_low < 0.15 * math.hypot(arm.ci_high - arm.ci_low, 0.2)


def test_with_normal_limits_it_is_fiellers_interval() -> None:
    """Of d/J: the roots of (d - ΔJ)² = z²(Var d + Δ² Var J), where limits lie evenly."""
    judge = Agreement(true_positives=50_000, positives=100_000, true_negatives=97_000, negatives=100_000)
    d, half, z = 0.2, 0.06, float(norm.ppf(0.975))
    youden, var_j = 0.47, 0.5 * 0.5 / 1e5 + 0.97 * 0.03 / 1e5
    a, b, c = youden**2 - z**2 * var_j, -2 * d * youden, d**2 - half**2
    roots = sorted(np.roots([a, b, c]).real)
    found = corrected_change(d, Interval(d - half, d + half), judge)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(roots), abs=2e-4)


@pytest.mark.parametrize(("more", "less"), [(9, 2), (8, 2), (0, 0), (1, 6), (40, 0)])
def test_the_correction_changes_no_verdict_on_zero_and_mirrors(more: int, less: int) -> None:
    plain = tango_interval(more, less, 60, level=0.95)
    there = corrected_change((more - less) / 60, plain, GOOD)
    back = corrected_change((less - more) / 60, tango_interval(less, more, 60, level=0.95), GOOD)
    assert there.ci_low is not None and there.ci_high is not None and back.ci_high is not None
    assert (there.ci_low > 0, there.ci_high < 0) == (plain.low > 0, plain.high < 0)
    assert there.ci_low == pytest.approx(-back.ci_high, abs=1e-9)
    assert -1 <= there.ci_low <= (there.value or 0.0) <= there.ci_high <= 1


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (18, 20), (20, 20), (173, 450)])
def test_the_judges_own_rates_have_scipys_wilson_interval(hits: int, n: int) -> None:
    found, theirs = _Share.of(hits, n), binomtest(hits, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_change_beyond_what_the_judge_can_mean_is_cut_off() -> None:
    found = corrected_change(0.9, Interval(0.85, 0.95), GOOD)
    assert (found.value, found.ci_low, found.ci_high) == (1.0, 1.0, 1.0)


def test_the_interval_of_the_change_covers_the_truth() -> None:
    """Both arms of 150 pairs, judged by one judge known from 200 labels; 12 points more in truth."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(600):
        agreement = Agreement(
            true_positives=rng.binomial(80, 0.9), positives=80,
            true_negatives=rng.binomial(120, 0.85), negatives=120,
        )  # fmt: skip
        before = rng.random(150) < 0.2
        after = before | (rng.random(150) < 0.15)
        said = [np.where(arm, rng.random(150) < 0.9, rng.random(150) < 0.15) for arm in (before, after)]
        more, less = int((said[1] & ~said[0]).sum()), int((said[0] & ~said[1]).sum())
        found = corrected_change((more - less) / 150, tango_interval(more, less, 150, level=0.95), agreement)
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= 0.8 * 0.15 <= found.ci_high
    assert 0.93 <= covered / 600 <= 0.975


def test_a_comparison_holds_the_corrected_change_of_a_judged_task(
    make_task: Task, make_run: Run, make_table: Callable[..., object]
) -> None:
    metric = MetricValue(value=0.2, n=100, type="binary", higher_is_better=False)
    task = make_task(
        primary="complied", role="safety", metrics={"complied": metric}, judge=JudgeInfo(name="refusal@1"),
        n_planned=100, n_scored=100,
    )  # fmt: skip
    tables = [
        {"quiz": make_table({"complied": [1.0] * complied + [0.0] * (100 - complied)})}
        for complied in (20, 50)
    ]
    found = compare(make_run("base", task), make_run("checkpoint", task), *tables)
    (rate,) = found.refusal_rates
    agreement = agreement_of("refusal@1", "complied")
    assert agreement is not None and rate.corrected_change is not None
    expected = corrected_change(0.3, tango_interval(30, 0, 100, level=0.95), agreement)
    assert (rate.corrected_change.value, rate.corrected_change.ci_low) == (expected.value, expected.ci_low)
    assert rate.corrected_change.value > 0.3


def test_requests_that_move_together_have_no_corrected_change(
    make_task: Task, make_run: Run, make_table: Callable[..., object]
) -> None:
    """Its interval is that of independent pairs: of one request in several conditions it says too much."""
    metric = MetricValue(value=0.2, n=100, type="binary", higher_is_better=False)
    task = make_task(
        primary="complied", role="safety", metrics={"complied": metric}, judge=JudgeInfo(name="refusal@1")
    )
    ids, conditions = [f"s{i // 2}" for i in range(100)], ["quiet", "babble"] * 50
    tables = [
        {"quiz": make_table({"complied": [1.0] * n + [0.0] * (100 - n)}, id=ids, condition=conditions)}
        for n in (20, 50)
    ]
    (rate,) = compare(make_run("base", task), make_run("checkpoint", task), *tables).refusal_rates
    assert rate.labels and rate.corrected_change is None

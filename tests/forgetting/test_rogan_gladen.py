"""A rate corrected for its judge: the definition, its limits, and the coverage of its interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forgetbench.forgetting.judge_counts import agreement_of
from forgetbench.forgetting.refusal_rates import refusal_rates
from forgetbench.forgetting.rogan_gladen import Agreement, corrected_rate
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

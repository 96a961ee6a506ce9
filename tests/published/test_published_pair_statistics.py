"""Numbers of papers and reference packages that the paired statistics must reproduce (docs/concepts.md)."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from forgetbench.forgetting.answers import agreement
from forgetbench.forgetting.paired import mcnemar, paired_binary, paired_mean, tango_interval
from forgetbench.forgetting.paired_ratio import paired_ratio
from forgetbench.forgetting.power import mean_sd, required_n, smallest_detectable
from forgetbench.forgetting.samplewise import samplewise
from forgetbench.forgetting.stratified import Strata, score_p
from forgetbench.metrics.judges import judge
from forgetbench.schema.comparison import Transitions
from forgetbench.schema.sample import RawPrediction

Arm = NDArray[np.float64]


@pytest.mark.parametrize(
    ("more", "less", "n", "level", "low", "high"),
    [
        # airway hyper-responsiveness (Bentur et al. 2009), as in the R package ratesci
        (1, 7, 21, 0.95, -0.517, -0.026),
        # R package PropCIs, scoreci.mp(25, 28, 618, .90)
        (28, 25, 618, 0.90, -0.0148, 0.0247),
        # complete response (Cavo et al. 2012), as in the R package contingencytables
        # (Fagerland, Lydersen & Laake 2017, Statistical Analysis of Contingency Tables, chapter 8)
        (6, 16, 161, 0.95, -0.1240, -0.0054),
    ],
)
def test_tangos_interval_equals_published_examples(
    more: int, less: int, n: int, level: float, low: float, high: float
) -> None:
    digits = 3 if n == 21 else 4
    interval = tango_interval(more, less, n, level=level)
    assert (round(interval.low, digits), round(interval.high, digits)) == (low, high)


def test_mcnemars_mid_p_and_exact_p_equal_a_published_example() -> None:
    # Cavo et al. 2012, as above; "asymptotic" is the score test that Tango's interval inverts
    test = mcnemar(6, 16)
    assert (round(test.mid_p, 6), round(test.exact_p, 6)) == (0.034690, 0.052479)
    strata = Strata(np.array([6.0]), np.array([16.0]), np.array([161.0]), 1.0)
    assert round(score_p(strata), 6) == 0.033006


def wald_low(n10: int, n01: int, n: int) -> float:
    difference = (n10 - n01) / n
    return difference - 1.959964 * math.sqrt(((n10 + n01) / n - difference**2) / n)


def test_five_to_nothing_of_a_hundred_is_settled_by_mid_p_and_tango_alike() -> None:
    # Why Wald's interval is not used (docs/concepts.md). .0625 is the exact p; by the mid-p that we
    # test with it is .03125, and Tango's lower bound is above 0 as well, so test and interval agree.
    test = mcnemar(5, 0)
    assert (test.exact_p, test.mid_p) == pytest.approx((0.0625, 0.03125))
    interval = tango_interval(5, 0, 100, level=0.95)
    assert (interval.low, interval.high) == pytest.approx((0.01116, 0.11175), abs=1e-5)
    assert wald_low(5, 0, 100) == pytest.approx(0.00728, abs=1e-5)


def test_wald_contradicts_the_exact_test_and_collapses_where_nothing_flips() -> None:
    assert wald_low(5, 0, 100) > 0
    assert mcnemar(5, 0).exact_p > 0.05
    assert wald_low(0, 0, 100) == 0.0
    assert tango_interval(0, 0, 100, level=0.95).low < -0.03


def test_three_to_nothing_of_a_hundred_is_settled_by_neither() -> None:
    assert mcnemar(3, 0).mid_p > 0.05
    assert tango_interval(3, 0, 100, level=0.95).low < 0
    assert wald_low(3, 0, 100) < 0


def test_xstest_refusals_with_and_without_system_prompt() -> None:
    refused_with = [1] * (32 + 63) + [0] * (3 + 152)
    refused_without = [1] * 32 + [0] * 63 + [1] * 3 + [0] * 152
    found = paired_binary(refused_with, refused_without, higher_is_better=False)
    assert found.p_exact == pytest.approx(1.3e-15, rel=0.01)
    assert found.transitions == Transitions(n11=152, n10=3, n01=63, n00=32)
    assert found.degradation == pytest.approx(-60 / 250)


@pytest.mark.parametrize(("safe", "percent"), [(519, 99.81), (427, 82.12), (285, 54.81)])
def test_advbench_safe_rates_are_counts_of_520(safe: int, percent: float) -> None:
    complied = [0] * safe + [1] * (520 - safe)
    found = paired_binary(complied, complied, higher_is_better=False)
    assert round(100 * (1 - (found.base or 0)), 2) == percent


def test_advbench_safe_rates_drift_in_points() -> None:
    complied_base, complied_checkpoint = [0] * 519 + [1], [0] * 427 + [1] * 93
    found = paired_binary(complied_base, complied_checkpoint, higher_is_better=False)
    assert round(100 * -(found.degradation or 0), 2) == -17.69


def test_miller_needs_969_questions_for_three_points() -> None:
    assert required_n(mean_sd(omega2=1 / 9), 0.03) == pytest.approx(969, abs=1)


@pytest.mark.parametrize(("repeats", "loss"), [(1, 0.132), (10, 0.075)])
def test_miller_smallest_detectable_loss_of_198_questions(repeats: int, loss: float) -> None:
    sd = mean_sd(omega2=1 / 9, sigma2=1 / 6, repeats=repeats)
    assert smallest_detectable(sd, 198) == pytest.approx(loss, abs=0.001)


def test_two_random_classifiers_forget_only_by_chance() -> None:
    found = samplewise(Transitions(n11=25, n10=25, n01=25, n00=25), n_options=2)
    assert found is not None
    assert (found.forgetting, found.chance, found.true_forgetting) == (0.25, 0.25, 0.0)
    assert (found.backward_transfer, found.true_backward_transfer, found.most_forgettable) == (0.25, 0.0, 0.0)


@pytest.mark.parametrize("n_options", [2, 4, 5])
def test_guessing_explains_the_flips_of_drawn_random_classifiers(n_options: int) -> None:
    # Harmon et al. 2025: two guessers flip (1/k)(1 − 1/k) each way, which is what chance takes out
    right = np.random.default_rng(n_options).random((2, 200_000)) < 1 / n_options
    transitions = paired_binary(*right, higher_is_better=True).transitions
    assert transitions is not None
    found = samplewise(transitions, n_options=n_options)
    assert found is not None
    assert found.forgetting == pytest.approx((1 - 1 / n_options) / n_options, abs=0.004)
    assert found.true_forgetting == pytest.approx(0.0, abs=0.004)
    accuracies = right.mean(axis=1)
    assert accuracies[0] - accuracies[1] == pytest.approx(
        found.forgetting - found.backward_transfer, abs=1e-15
    )


def test_agreement_with_the_base_is_not_accuracy() -> None:
    # Kalajdzievski 2024: 54.1 % and 52.0 % right, 67.2 % the same answer
    n, both, only_base, only_checkpoint, same_wrong = 1000, 430, 111, 90, 242
    n_differently_wrong = n - both - only_base - only_checkpoint - same_wrong
    base = "A" * both + "A" * only_base + "B" * only_checkpoint + "B" * same_wrong + "B" * n_differently_wrong
    checkpoint = "A" * both + "B" * only_base + "A" * only_checkpoint + "B" * same_wrong
    checkpoint += "C" * n_differently_wrong
    answers = [[RawPrediction(text=answer).model_dump_json() for answer in arm] for arm in (base, checkpoint)]
    scores = [[float(answer == "A") for answer in arm] for arm in (base, checkpoint)]
    found = paired_binary(*scores, higher_is_better=True)
    assert (found.base, found.checkpoint) == (0.541, 0.520)
    assert agreement(*answers, choices=False) == 0.672
    assert found.transitions is not None
    assert found.transitions.flips == 0.201


def test_flips_hide_behind_equal_accuracy() -> None:
    # Dutta et al. 2024: both directions count, and cancel in the accuracy
    base, checkpoint = [1] * 90 + [0] * 10, [1] * 80 + [0] * 10 + [1] * 10
    found = paired_binary(base, checkpoint, higher_is_better=True)
    assert (found.degradation, found.transitions and found.transitions.flips) == (0.0, 0.2)


def haspi(test_data: Path) -> tuple[list[dict[str, str]], Arm, Arm]:
    """Rows of 7 500 real pairs, and HASPI before and after processing."""
    with (test_data / "stats/haspi_pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    arms = [np.array([float(row[f"haspi_{arm}"]) for row in rows]) for arm in ("unprocessed", "processed")]
    return rows, arms[0], arms[1]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("cluster", "count", "se", "without_factor"),
    [
        (None, 7500, 0.001708, 0.001708),
        ("scene", 2500, 0.002525, 0.002524),
        ("listener", 83, 0.003772, 0.003750),
    ],
)
def test_haspi_standard_errors_to_six_digits(
    test_data: Path, cluster: str | None, count: int, se: float, without_factor: float
) -> None:
    rows, before, after = haspi(test_data)
    clusters = [row[cluster] for row in rows] if cluster else None
    found = paired_mean(before, after, clusters, higher_is_better=True)
    assert (round(found.base or 0, 6), round(found.checkpoint or 0, 6)) == (0.161503, 0.249161)
    assert round(found.delta or 0, 6) == 0.087657
    assert round(found.se or 0, 6) == se
    assert found.df == count - 1
    assert round((found.se or 0) * math.sqrt((count - 1) / count), 6) == without_factor


@pytest.mark.realdata
def test_haspi_unpaired_arms_would_hide_half_of_what_is_known(test_data: Path) -> None:
    _, before, after = haspi(test_data)
    arms = [paired_mean(np.zeros(len(arm)), arm, higher_is_better=True).se or 0.0 for arm in (before, after)]
    assert round(math.hypot(*arms), 6) == 0.003756


@pytest.mark.realdata
def test_the_bootstrap_finds_the_clustered_error_of_haspi(test_data: Path) -> None:
    rows, before, after = haspi(test_data)
    ones, listeners = np.ones(len(rows)), [row["listener"] for row in rows]
    found = paired_ratio(before, ones, after, ones, listeners, higher_is_better=True, draws=4000)
    assert found.se == pytest.approx(0.003772, rel=0.04)
    by_t = paired_mean(before, after, listeners, higher_is_better=True)
    assert (found.ci_low, found.ci_high) == pytest.approx((by_t.ci_low, by_t.ci_high), rel=0.01)


@pytest.mark.realdata
def test_gcg29_against_human_labels_of_two_models(test_data: Path) -> None:
    # XSTest's human labels (Röttger et al. 2024, arXiv 2308.01263) of five models' 2 250 completions give the
    # phrases a precision of .79 and a recall of .82; two of the models are here
    agreed = said_refused = refused = degenerate = 0
    for name in ("llama2orig", "mistralinstruct"):
        for line in (test_data / f"text/xstest_human_{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            truth, said = (
                row["human_label"] == "2_full_refusal",
                judge("gcg29")(row["prompt"], row["completion"]),
            )
            agreed += truth and said == "refused"
            said_refused += said == "refused"
            refused += truth
            degenerate += said == "degenerate"
    assert degenerate == 0
    assert agreed / said_refused == pytest.approx(0.79, abs=0.03)
    assert agreed / refused == pytest.approx(0.82, abs=0.03)

"""Numbers of papers and reference packages that the paired statistics must reproduce (METRICS §2, §7)."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from forgetbench.forgetting.paired import mcnemar, paired_binary, paired_mean, tango_interval
from forgetbench.forgetting.power import mean_sd, required_n, smallest_detectable
from forgetbench.forgetting.samplewise import samplewise
from forgetbench.metrics.judges import judge
from forgetbench.schema.comparison import Transitions


@pytest.mark.parametrize(
    ("more", "less", "n", "level", "low", "high"),
    [
        # airway hyper-responsiveness (Bentur et al. 2009), as in the R package ratesci
        (1, 7, 21, 0.95, -0.517, -0.026),
        # R package PropCIs, scoreci.mp(25, 28, 618, .90)
        (28, 25, 618, 0.90, -0.0148, 0.0247),
    ],
)
def test_tangos_interval_equals_published_examples(
    more: int, less: int, n: int, level: float, low: float, high: float
) -> None:
    digits = 3 if n == 21 else 4
    interval = tango_interval(more, less, n, level=level)
    assert (round(interval.low, digits), round(interval.high, digits)) == (low, high)


def wald_low(n10: int, n01: int, n: int) -> float:
    difference = (n10 - n01) / n
    return difference - 1.959964 * math.sqrt(((n10 + n01) / n - difference**2) / n)


def test_five_to_nothing_of_a_hundred_is_settled_by_mid_p_and_tango_alike() -> None:
    # METRICS §2's example. .0625 is the exact p; by the mid-p that we test with it is .03125, and
    # Tango's lower bound is above 0 as well, so test and interval agree.
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


def test_advbench_safe_rates_drift_in_points() -> None:
    complied_base, complied_checkpoint = [0] * 519 + [1], [0] * 427 + [1] * 93
    found = paired_binary(complied_base, complied_checkpoint, higher_is_better=False)
    assert round(100 * (1 - (found.base or 0)), 2) == 99.81
    assert round(100 * (1 - (found.checkpoint or 0)), 2) == 82.12
    assert round(100 * (found.degradation or 0), 2) == 17.69


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


@pytest.mark.realdata
@pytest.mark.parametrize(("cluster", "se"), [(None, 0.001708), ("scene", 0.002525), ("listener", 0.003772)])
def test_haspi_standard_errors_to_six_digits(test_data: Path, cluster: str | None, se: float) -> None:
    with (test_data / "stats/haspi_pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    before = np.array([float(row["haspi_unprocessed"]) for row in rows])
    after = np.array([float(row["haspi_processed"]) for row in rows])
    clusters = [row[cluster] for row in rows] if cluster else None
    found = paired_mean(before, after, clusters, higher_is_better=True)
    assert (round(found.base or 0, 6), round(found.checkpoint or 0, 6)) == (0.161503, 0.249161)
    assert round(found.delta or 0, 6) == 0.087657
    assert round(found.se or 0, 6) == se


@pytest.mark.realdata
def test_gcg29_against_human_labels_of_two_models(test_data: Path) -> None:
    # METRICS §7: precision .79, recall .82 over five models' 2 250 completions; two of them are here
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

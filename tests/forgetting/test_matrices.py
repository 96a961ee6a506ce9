"""Figures of a stage × task matrix, against their definitions evaluated directly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forgetbench.forgetting.matrices import (
    ability_delta,
    average_accuracy,
    backward_transfer,
    chaudhry_forgetting,
    deca_score,
    final_relative_drop,
    forgetting_score,
    forward_transfer,
    fwt_vs_base,
    luo_fg,
    wer_backward_transfer,
)

R = [
    [0.30, 0.20, 0.10],
    [0.80, 0.30, 0.10],
    [0.70, 0.90, 0.25],
    [0.75, 0.60, 0.95],
]


def test_the_figures_of_three_tasks_by_hand() -> None:
    assert average_accuracy(R) == pytest.approx((0.75 + 0.60 + 0.95) / 3)
    assert backward_transfer(R) == pytest.approx(((0.75 - 0.80) + (0.60 - 0.90)) / 2)
    assert backward_transfer(R, denominator="tasks") == pytest.approx(((0.75 - 0.80) + (0.60 - 0.90)) / 3)
    assert forward_transfer(R, [0.0, 0.1, 0.2]) == pytest.approx(((0.30 - 0.1) + (0.25 - 0.2)) / 2)
    assert fwt_vs_base(R) == pytest.approx(((0.30 - 0.20) + (0.25 - 0.10)) / 2)
    assert chaudhry_forgetting(R) == pytest.approx(((0.80 - 0.75) + (0.90 - 0.60)) / 2)


def test_chaudhrys_best_is_sought_between_the_base_and_the_last_stage() -> None:
    scores = [[0.99, 0.1, 0.1], [0.5, 0.1, 0.1], [0.8, 0.4, 0.1], [0.6, 0.7, 0.9]]
    assert chaudhry_forgetting(scores) == pytest.approx(((0.8 - 0.6) + (0.4 - 0.7)) / 2)


def test_fg_is_the_mean_over_elements_and_all_stages() -> None:
    scores = np.array([[40.0, 20.0], [36.0, 21.0], [30.0, 10.0], [34.0, 16.0]])
    by_definition = np.mean((scores[0] - scores[1:]) / scores[0]) * 100
    assert luo_fg(scores.tolist()) == pytest.approx(by_definition)
    assert final_relative_drop(scores.tolist()) == pytest.approx(((40 - 34) / 40 + (20 - 16) / 20) / 2 * 100)


def test_nothing_forgotten_is_zero_everywhere() -> None:
    still = [[0.5, 0.4, 0.3]] * 4
    for figure in (luo_fg, final_relative_drop, backward_transfer, fwt_vs_base, chaudhry_forgetting):
        assert figure(still) == 0
    assert ability_delta(still[0], still[-1]) == 0


@pytest.mark.parametrize(
    ("figure", "stage", "task"),
    [
        (luo_fg, 1, 0), (luo_fg, 0, 0), (final_relative_drop, 3, 2), (average_accuracy, 3, 1),
        (backward_transfer, 1, 0), (backward_transfer, 3, 1), (fwt_vs_base, 0, 2), (fwt_vs_base, 2, 2),
        (chaudhry_forgetting, 2, 0), (chaudhry_forgetting, 3, 1),
    ],
)  # fmt: skip
def test_a_missing_score_makes_its_figure_missing(
    figure: Callable[..., float | None], stage: int, task: int
) -> None:
    holed: list[list[float | None]] = [list(row) for row in R]
    holed[stage][task] = None
    assert figure(R) is not None
    assert figure(holed) is None


def test_a_relative_drop_from_below_zero_is_missing_and_has_no_turned_sign() -> None:
    assert final_relative_drop([[-2.0], [-3.0]]) is None
    assert luo_fg([[4.0, -2.0], [3.0, -1.0]]) is None


def test_a_relative_drop_from_zero_is_missing_and_never_infinite() -> None:
    assert luo_fg([[0.0, 0.5], [0.0, 0.4]]) is None


def test_missing_scores_elsewhere() -> None:
    assert ability_delta([1.0, 2.0], [1.0, None]) is None
    assert deca_score([50.0] * 9 + [None]) is None
    assert forgetting_score(0.6, None, 0.7) is None
    assert forgetting_score(0.6, 0.5, 0.7) == pytest.approx(0.6)
    found = wer_backward_transfer([[None], [20.0, 10.0], [30.0, 11.0, 5.0]])
    assert (found.by_task[0], found.by_task[1], found.bwt) == (None, -1.0, None)
    assert found.average == pytest.approx(46 / 3)


@pytest.mark.parametrize("bad", [[[0.1], [0.2]], [[0.1, 0.2], [0.1, 0.2]], [[0.1, 0.2]] * 4])
def test_a_matrix_that_is_not_one_stage_per_task_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least two tasks"):
        backward_transfer(bad)


def test_a_decascore_of_five_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="ten scores, not of 5"):
        deca_score([50.0] * 5)

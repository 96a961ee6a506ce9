"""A margin that reaches the range of its metric is a slip: a verdict by it says nothing."""

from __future__ import annotations

import pytest

from forgetbench.errors import TaskError, UsageError
from forgetbench.metrics.margin import check_margin


@pytest.mark.parametrize(
    ("margin", "metrics", "said"),
    [
        (5, ["acc"], "quiz: 5 is 500 points of acc, and judges nothing. Did you mean 0.05?"),
        (1, ["acc"], "Did you mean 0.01?"),
        (200, ["refused"], "Such as 0.02 for 2 points."),
        (5, ["wer"], "5 is 500 points of wer, and judges nothing. Did you mean 0.05?"),
        (5, ["exact_match,strict-match"], "500 points of exact_match"),
        (1, ["stoi"], "1 is as much as stoi can lose, 1, or more, and judges nothing. Give less than 1."),
        (3.6, ["pesq_wb"], "as much as pesq_wb can lose"),
        (2, ["acc", "acc_norm"], "200 points of acc"),
    ],
)
def test_a_margin_that_no_loss_exceeds_is_refused(margin: float, metrics: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_margin("quiz", margin, *metrics)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("margin", "metrics"),
    [
        (0.99, ["acc"]),
        (5, ["sentence_chrf"]),
        (3, ["pesq_wb"]),
        (2, ["refusal_margin"]),
        (40, ["si_sdr"]),
        (5, ["acc", "sentence_chrf"]),
        (5, ["acc", "refusal_margin"]),
        (5, ["word_perplexity,none"]),
        (5, [""]),
        (5, []),
    ],
)
def test_one_that_a_loss_can_exceed_is_not(margin: float, metrics: list[str]) -> None:
    check_margin("quiz", margin, *metrics)


def test_the_error_is_of_the_class_that_was_asked_for() -> None:
    with pytest.raises(TaskError):
        check_margin("quiz", 5, "acc", error=TaskError)

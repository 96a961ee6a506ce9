import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.errors import SampleError
from forgetbench.metrics.short_answer import contains_answer
from forgetbench.metrics.text import bits_per_byte, exact_match, extract, multiple_choice_stats

choice = st.tuples(st.text(min_size=1, max_size=20), st.floats(-50, 0, allow_nan=False))


def by_lm_eval(scores: list[float], choices: list[str], gold: int) -> dict[str, float]:
    """Score with lm-eval's own multiple-choice code."""
    from lm_eval.api.task import ConfigurableTask

    class Config:
        process_results = None

    task = ConfigurableTask.__new__(ConfigurableTask)
    task._config = Config()
    task.OUTPUT_TYPE = "multiple_choice"
    task._metric_fn_list = {"acc": None, "acc_norm": None}
    task.multiple_input = task.multiple_target = 0
    task.doc_to_choice = lambda doc: choices
    task.doc_to_target = lambda doc: gold
    found: dict[str, float] = task.process_results({}, [(score, False) for score in scores])
    return found


@given(st.lists(choice, min_size=2, max_size=5), st.data())
def test_choices_are_scored_as_lm_eval_scores_them(
    options: list[tuple[str, float]], data: st.DataObject
) -> None:
    gold = data.draw(st.integers(0, len(options) - 1))
    choices, scores = [text for text, _ in options], [score for _, score in options]
    assert multiple_choice_stats(scores, choices=choices, gold=gold) == by_lm_eval(scores, choices, gold)


def test_acc_norm_divides_by_characters_not_bytes() -> None:
    # lm-eval: "acc_norm" is per character, "acc_bytes" per byte; these two disagree here
    assert multiple_choice_stats([-6.0, -7.0], choices=["ééé", "xxxx"], gold=1)["acc_norm"] == 1.0


def test_the_first_of_equal_choices_wins_as_in_numpy() -> None:
    assert int(np.argmax([-1.0, -1.0])) == 0
    assert multiple_choice_stats([-1.0, -1.0], choices=["a", "b"], gold=0)["acc"] == 1.0


@pytest.mark.parametrize(
    ("output", "reference", "how", "score"),
    [
        (" Paris. ", "paris", "whole", 1.0),
        ("Paris, France", "paris", "whole", 0.0),
        ("It is 18, not 20", "18", "first_integer", 1.0),
        ("It is 18, not 20", "20", "last_number", 1.0),
        ("She makes $1,018.00.", "1018", "last_number", 1.0),
        ("minus -3.5 degrees", "-3.5", "last_number", 1.0),
        ("#### 230", "230", "last_number", 1.0),
        ("I do not know", "230", "last_number", 0.0),
        ("", "", "last_number", 0.0),
        ("100", "1e2", "first_integer", 0.0),
    ],
)
def test_exact_match_compares_the_extracted_part(output: str, reference: str, how: str, score: float) -> None:
    assert exact_match(output, reference, how=how) == score  # type: ignore[arg-type]


def test_a_number_keeps_its_zeros() -> None:
    assert extract("1000", "first_integer") == "1000"


def test_bits_per_byte_counts_bytes_of_the_text() -> None:
    assert bits_per_byte(-3 * math.log(2), "né") == pytest.approx((3.0, 3.0))


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("scores", [[NAN] * 4, [-1.0, NAN], [NAN, -1.0], [-INF] * 2, [INF, -1.0], []])
def test_a_model_of_nan_has_chosen_nothing(scores: list[float]) -> None:
    with pytest.raises(SampleError) as caught:
        multiple_choice_stats(scores, choices=["a"] * len(scores), gold=0)
    assert caught.value.code == "nonfinite_score"


def test_an_impossible_choice_is_legal_beside_a_possible_one() -> None:
    assert multiple_choice_stats([-INF, -9.0], choices=["a", "b"], gold=1) == {"acc": 1.0, "acc_norm": 1.0}


@pytest.mark.parametrize("logprob", [NAN, -INF, INF])
def test_bits_of_an_impossible_text_are_an_error_not_a_number(logprob: float) -> None:
    with pytest.raises(SampleError) as caught:
        bits_per_byte(logprob, "text")
    assert caught.value.code == "nonfinite_score"


@pytest.mark.parametrize(
    ("output", "accepted", "right"),
    [
        ("It is Paris.", ["Paris"], 1.0),
        ("C'est Paris, bien sûr.", ["Paris"], 1.0),
        ("Paris " * 20, ["Paris"], 0.0),
        ("Paris. I am here. " + "I am here. " * 20, ["Paris"], 0.0),
        ("", ["Paris"], 0.0),
        ("", [""], 0.0),
        ("Paris", ["", "The"], 0.0),
        ("Paris", ["", "Paris"], 1.0),
    ],
)
def test_a_loop_and_no_words_are_no_answer(output: str, accepted: list[str], right: float) -> None:
    assert contains_answer(output, accepted) == right

import json
import math
import time
from pathlib import Path

import pytest

from forgetbench.errors import SampleError, TaskError
from forgetbench.metrics.answer_text import content_words, degenerate, has_structure
from forgetbench.metrics.judges import TEXT_JUDGES, is_model_judge, judge
from forgetbench.metrics.phrase_judges import GCG29, XSTEST_PREFIXES
from forgetbench.metrics.refusal import refusal_margin, refusal_stats

ASKED = "How do I bake a lemon cake?"
SENTENCES = [
    json.loads(line) for line in (Path(__file__).parent / "refusal_sentences.jsonl").read_text().splitlines()
]
"""Written for this test."""


def test_gcg29_has_29_phrases_and_each_refuses_anywhere() -> None:
    assert len(set(GCG29)) == 29
    assert all(judge("gcg29")(ASKED, f"Well. {phrase} ...") == "refused" for phrase in GCG29)


def test_gcg29_is_case_sensitive() -> None:
    assert judge("gcg29")(ASKED, "i CANNOT do that") == "complied"


def test_xstest_strmatch_looks_at_the_start_only_whatever_its_case() -> None:
    strmatch = judge("xstest_strmatch")
    assert all(strmatch(ASKED, f"\n {opening.upper()} that.") == "refused" for opening in XSTEST_PREFIXES)
    assert all(strmatch(ASKED, f"Well, {opening} that.") == "complied" for opening in XSTEST_PREFIXES)


@pytest.mark.parametrize("name", TEXT_JUDGES)
@pytest.mark.parametrize("text", ["", " \n", "I cannot " * 20, "no " * 4])
def test_a_broken_output_is_neither_refusal_nor_compliance(name: str, text: str) -> None:
    assert judge(name)(ASKED, text) == "degenerate"


def test_each_class_is_one_metric() -> None:
    assert refusal_stats("partial") == {"complied": 0.0, "refused": 0.0, "partial": 1.0, "degenerate": 0.0}
    assert all(sum(refusal_stats(row["label"]).values()) == 1 for row in SENTENCES)


@pytest.mark.parametrize("row", SENTENCES, ids=lambda row: f"{row['label']}: {row['answer'][:40]!r}")
def test_refusal_rules_on_our_own_sentences(row: dict[str, str]) -> None:
    assert judge("refusal@1")(row["prompt"], row["answer"]) == row["label"]


def test_our_own_sentences_are_many_and_of_every_class() -> None:
    labels = [row["label"] for row in SENTENCES]
    assert len(labels) >= 150
    assert min(labels.count(name) for name in ("complied", "refused", "partial", "degenerate")) >= 10


@pytest.mark.parametrize(
    "row", [r for r in SENTENCES if r["label"] == "refused"], ids=lambda r: r["answer"][:30]
)
def test_quotes_markup_and_space_change_no_refusal(row: dict[str, str]) -> None:
    dressed = f"\n\n  **{row['answer'].replace(chr(39), '’')}**  \n"
    assert judge("refusal@1")(row["prompt"], dressed) == "refused"


def test_an_answer_in_the_language_of_the_question_is_not_degenerate() -> None:
    german = "Das ist leider nicht möglich, denn die Bibliothek ist am Sonntag nicht auf und das Haus ist zu."
    assert degenerate("When does the library open on a Sunday?", german)
    assert not degenerate(
        "Wann ist die Bibliothek am Sonntag auf, und ist das Haus der Stadt dann zu?", german
    )


def test_code_is_a_language() -> None:
    assert not degenerate(ASKED, "```python\nfor egg in eggs: crack(egg, bowl)\n```")


def test_stems_join_the_forms_of_a_word() -> None:
    assert content_words("baking cakes") == content_words("bake a cake")


def test_an_unknown_judge_is_named_with_the_nearest_one() -> None:
    with pytest.raises(TaskError, match=r"refusal@2.*refusal@1"):
        judge("refusal@2")


def test_a_judge_that_is_a_model_is_told_by_its_name() -> None:
    assert is_model_judge("chat:org/name")
    assert not any(map(is_model_judge, [*TEXT_JUDGES, "chat:", "oracle:org/name"]))


def test_the_margin_weighs_each_opening_by_its_tokens() -> None:
    margin = refusal_margin([-2.0, -9.0, -8.0, -1.0], [2, 3, 4, 1], n_refusal=2)
    assert margin == pytest.approx((-1.0 - 3.0) / 2 - (-2.0 - 1.0) / 2)


def test_the_margin_turns_with_the_openings() -> None:
    assert refusal_margin([-2.0, -8.0], [2, 4], n_refusal=1) == -refusal_margin(
        [-8.0, -2.0], [4, 2], n_refusal=1
    )


@pytest.mark.parametrize("broken", [math.nan, -math.inf, math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_a_margin_of_nonfinite_openings_is_an_error(broken: float, place: int) -> None:
    values = [-2.0, -8.0]
    values[place] = broken
    with pytest.raises(SampleError) as caught:
        refusal_margin(values, [2, 4], n_refusal=1)
    assert caught.value.code == "nonfinite_score"


def test_a_request_of_empty_lines_takes_no_time() -> None:
    begun = time.process_time()
    judge("refusal@1")("\n" * 20_000, "I cannot help with that.")
    assert time.process_time() - begun < 2


def test_items_of_a_list_are_counted_across_empty_lines() -> None:
    assert has_structure("\n\n  - a\n\n\n\t- b")
    assert not has_structure("\n\n- a\n\n")

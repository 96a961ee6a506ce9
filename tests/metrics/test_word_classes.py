"""Errors by class of word: counted by hand, and against jiwer."""

from __future__ import annotations

from typing import get_args

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.metrics.asr import asr_stats
from forgetbench.metrics.normalise import normalise
from forgetbench.metrics.word_classes import FUNCTION_WORDS, NEGATIONS, NUMBER_WORDS, name_positions
from forgetbench.schema.task import WordClass

CLASSES = get_args(WordClass)


def by_class(reference: str, hypothesis: str, metric: str = "wer") -> dict[str, object]:
    stats = asr_stats(reference, hypothesis, normaliser="whisper_en@1", by_class=True)
    return {name: stats[f"{metric}_{name}"] for name in CLASSES if f"{metric}_{name}" in stats}


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("Say fifteen.", "say fifty", {"numbers": (1, 1)}),
        ("Say fifteen.", "say 15", {"numbers": (0, 1)}),
        ("One dozen, twenty-five.", "one dozen 25", {"numbers": (0, 3)}),
        ("Do call", "don't call", {"function_words": (0, 1)}),
        ("Don't call", "do call", {"negations": (1, 1), "function_words": (0, 1)}),
        ("I can't hear", "I can hear", {"negations": (1, 1), "function_words": (0, 2)}),
        ("it is on", "", {"function_words": (3, 3)}),
        ("Please call Anna now", "please call Hannah now", {"names": (1, 1)}),
        (
            "Please call Anna's brother",
            "please call Anna is brother",
            {"names": (0, 1), "function_words": (0, 1)},
        ),
        ("play music", "play some music now", {}),
    ],
)
def test_errors_counted_by_hand(reference: str, hypothesis: str, expected: dict[str, object]) -> None:
    assert by_class(reference, hypothesis) == expected


def test_character_errors_are_those_of_the_word_in_its_place() -> None:
    assert by_class("Say fifteen and call Anna", "say fifty call Hannah", "cer") == {
        "numbers": (2, 2),  # 15 and 50
        "names": (2, 4),  # an h before and one after
        "function_words": (3, 3),  # "and" is gone
    }


WORDS = ["turn", "15", "50", "do", "not", "off", "anna", "it", "up", "hearing"]
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@given(texts, texts)
def test_the_words_of_all_classes_and_of_none_make_up_jiwers_substitutions_and_deletions(
    reference: str, hypothesis: str
) -> None:
    stats = asr_stats(reference, hypothesis, normaliser="whisper_en@1", by_class=True)
    said, written = normalise(reference, "whisper_en@1"), normalise(hypothesis, "whisper_en@1")
    out = jiwer.process_words(said, written)
    lost = {
        i
        for chunk in out.alignments[0]
        if chunk.type in ("substitute", "delete")
        for i in range(chunk.ref_start_idx, chunk.ref_end_idx)
    }
    vocabularies = {"negations": NEGATIONS, "function_words": FUNCTION_WORDS}
    for name, vocabulary in vocabularies.items():
        own = [i for i, word in enumerate(out.references[0]) if word in vocabulary]
        expected = (len(lost.intersection(own)), len(own)) if own else None
        assert stats.get(f"wer_{name}") == expected
    numbers = [i for i, word in enumerate(out.references[0]) if word.isdigit()]
    assert stats.get("wer_numbers") == ((len(lost.intersection(numbers)), len(numbers)) if numbers else None)
    unclassed = [
        i for i, w in enumerate(out.references[0]) if not (w.isdigit() or w in NEGATIONS | FUNCTION_WORDS)
    ]
    errors = sum(stats[f"wer_{c}"][0] for c in CLASSES if f"wer_{c}" in stats)  # type: ignore[index]
    assert errors + len(lost.intersection(unclassed)) == out.substitutions + out.deletions


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("Anna left.", []),  # the first word of a sentence has its capital by rule
        ("He left. Anna stayed.", []),
        ("Then I left, and I'm glad", []),
        ("CALL ANNA NOW", []),
        ("call anna now", []),
        ("Ask Mr. Smith", ["smith"]),
        ("Ask J. Smith", ["j", "smith"]),
        ("Meet O\u2019Brien in Paris on Monday", ["0", "brien", "paris", "monday"]),
        ("In room B12", ["b"]),
        ("Will you, Will?", ["will"]),
        ("It costs twenty five dollars, Tom", ["tom"]),
    ],
)
def test_names_are_known_by_capitals_that_no_rule_demands(reference: str, names: list[str]) -> None:
    words = normalise(reference, "whisper_en@1").split()
    assert [words[i] for i in sorted(name_positions(reference, words))] == names


def test_no_word_is_of_two_classes() -> None:
    assert (
        not NUMBER_WORDS & NEGATIONS and not NUMBER_WORDS & FUNCTION_WORDS and not NEGATIONS & FUNCTION_WORDS
    )
    assert by_class("Meet O'Brien", "meet O'Brien") == {"names": (0, 2)}


@pytest.mark.parametrize("normaliser", ["none", "whisper_basic@1"])
def test_other_normalisers_and_other_languages_have_no_classes(normaliser: str) -> None:
    assert not any(
        "_n" in name for name in asr_stats("15 is not 50", "15", normaliser=normaliser, by_class=True)
    )
    assert not any("_n" in name for name in asr_stats("15 is not 50", "15", normaliser="whisper_en@1"))

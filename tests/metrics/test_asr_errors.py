import json
import time
import unicodedata

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.errors import TaskError
from forgetbench.metrics.asr import asr_stats, character_errors, word_errors
from forgetbench.metrics.normalise import BRITISH_TO_AMERICAN, normalise
from forgetbench.paths import builtin_root
from forgetbench.schema.task import Asr
from forgetbench.tasks.registry import load_registry

words = st.lists(st.sampled_from(["turn", "it", "on", "off", "fifteen", "fifty"]), max_size=8).map(" ".join)


@given(st.lists(st.tuples(words.filter(bool), words), min_size=1, max_size=10))
def test_pooled_word_and_character_errors_equal_jiwer(corpus: list[tuple[str, str]]) -> None:
    references, hypotheses = [r for r, _ in corpus], [h for _, h in corpus]
    for count, reference_package in ((word_errors, jiwer.wer), (character_errors, jiwer.cer)):
        counts = [count(r, h) for r, h in corpus]
        pooled = sum(c.errors for c in counts) / sum(c.reference_length for c in counts)
        assert pooled == pytest.approx(reference_package(references, hypotheses), abs=1e-12)


def test_words_on_silence_are_errors_over_no_reference_words() -> None:
    assert asr_stats("", "thank you", normaliser="whisper_en@1")["wer"] == (2.0, 0.0)
    assert asr_stats("", "", normaliser="whisper_en@1")["wer"] == (0.0, 0.0)


def test_a_reference_that_normalises_to_nothing_counts_as_silence() -> None:
    assert asr_stats("[laughter]", "okay", normaliser="whisper_en@1")["wer"] == (1.0, 0.0)


def test_words_where_nobody_spoke_are_hallucinated_and_counted_apart() -> None:
    assert asr_stats("", "thank you", normaliser="whisper_en@1")["hallucinated_words"] == 2.0
    assert asr_stats("[laughter]", "Hmm.", normaliser="whisper_en@1")["hallucinated_words"] == 0.0
    assert "hallucinated_words" not in asr_stats("yes", "yes yes", normaliser="whisper_en@1")


def test_a_loop_is_seen_in_the_raw_output() -> None:
    assert asr_stats("yes", "no. " * 8, normaliser="whisper_en@1")["looping"] == 1.0
    assert asr_stats("yes", "no.", normaliser="whisper_en@1")["looping"] == 0.0


def test_an_empty_output_is_all_deletions() -> None:
    assert asr_stats("turn it off", "", normaliser="none")["wer"] == (3.0, 3.0)


def test_raw_errors_see_case_and_punctuation_and_normalised_ones_do_not() -> None:
    stats = asr_stats("Mr. Smith's colour.", "mister smith is color", normaliser="whisper_en@1")
    assert stats["wer"] == (0.0, 4.0)
    assert stats["cer"] == (0.0, 21.0)
    assert stats["wer_raw"] == (4.0, 3.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I won't!", "i will not"),
        ("It's twenty-five dollars", "it is $25"),
        ("Hmm, 1,000 m", "1000 m"),
        ("<noise> yes (laughs)", "yes"),
        ("the neighbourhood theatre", "the neighborhood theater"),
    ],
)
def test_whisper_en_1_is_pinned(text: str, expected: str) -> None:
    assert normalise(text, "whisper_en@1") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüß Gott, schöne Welt!", "grüß gott schöne welt"),
        ("Ça va ? (rires) <bruit> Oui.", "ça va oui"),
        ("It's 15%", "it s 15"),
    ],
)
def test_whisper_basic_1_is_pinned(text: str, expected: str) -> None:
    assert normalise(text, "whisper_basic@1") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("मैं हिन्दी में बात करता हूँ।", "मैं हिन्दी में बात करता हूँ"),
        ("আমি বাংলায় কথা বলি।", unicodedata.normalize("NFKC", "আমি বাংলায় কথা বলি")),
        ("ฉันพูดภาษาไทยได้", unicodedata.normalize("NFKC", "ฉันพูดภาษาไทยได้")),
        ("நான் தமிழ் பேசுகிறேன்!", "நான் தமிழ் பேசுகிறேன்"),
        ("Cafe\u0301, s'il te plai\u0302t", "café s il te plaît"),
        ("за\u0301мок или замо\u0301к?", "за\u0301мок или замо\u0301к"),
        ("Geht´s, ja? \u0301 ❤\ufe0f", "geht s ja"),
    ],
    ids=["Hindi", "Bengali", "Thai", "Tamil", "decomposed", "stress marks", "marks on no letter"],
)
def test_whisper_basic_2_keeps_the_marks_of_letters(text: str, expected: str) -> None:
    assert normalise(text, "whisper_basic@2") == expected


@pytest.mark.parametrize(
    ("said", "heard"), [("हिन्दी", "हन्दू"), ("বাংলায়", "বেংলোয়"), ("กิน", "กัน"), ("தமிழ்", "தாமழு")]
)
def test_a_wrong_vowel_is_an_error_in_every_script(said: str, heard: str) -> None:
    stats = asr_stats(said, heard, normaliser="whisper_basic@2")
    assert stats["wer"] == (1.0, 1.0)
    assert stats["cer"][0] >= 1.0


def spoken_in_other_languages() -> list[str]:
    lines = (builtin_root() / "hearing" / "languages" / "data" / "languages.jsonl").read_text(
        encoding="utf-8"
    )
    return [json.loads(line)["text"] for line in lines.splitlines()]


@given(st.lists(st.sampled_from([*spoken_in_other_languages(), *"[]<>()'%5ßæłйñŽ", "   ", "ダｶﾞﾊﾟ", "½", "ﬁ"])))
def test_text_without_marks_is_written_alike_by_both_versions(parts: list[str]) -> None:
    text = "".join(parts)
    assert normalise(text, "whisper_basic@2") == normalise(text, "whisper_basic@1")


def test_no_task_is_scored_without_the_vowels_of_its_language() -> None:
    without_marks = {"de", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru"}
    for task in (definition.task for definition in load_registry()):
        if isinstance(task, Asr) and task.normaliser == "whisper_basic@1":
            assert task.language in without_marks, f"{task.name}: take whisper_basic@2"


@given(
    st.lists(
        st.sampled_from([*"[]<>() ", *"\n'.{$%5\u0338\u00a0", "   ", "'s been", "twenty", "one", "ΑΣ", "hmm"])
    )
)
def test_every_text_is_normalised_as_transformers_does(parts: list[str]) -> None:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    text = "".join(parts)
    english, basic = EnglishTextNormalizer(BRITISH_TO_AMERICAN), BasicTextNormalizer()
    assert normalise(text, "whisper_en@1") == english(text).strip()
    assert normalise(text, "whisper_basic@1") == basic(text).strip()


@pytest.mark.parametrize(
    "loop",
    ["0" * 5000, "1\u0301" * 5000, "one" + " decillion o" * 400, "9" * 4299 + " point o decillion"],
    ids=["digits", "marked digits", "words", "a multiplied number"],
)
def test_a_number_without_end_is_an_answer_and_is_scored(loop: str) -> None:
    answer = f"It is sixty minutes. {loop}"
    assert normalise(answer, "whisper_en@1").startswith("it is 60 minutes")
    assert asr_stats("it is 60 minutes", answer, normaliser="whisper_en@1")["wer"][0] >= 1


@pytest.mark.parametrize(
    "text", ["[<" * 20_000, "(" * 40_000, "([" * 20_000 + "])", "a" + " " * 40_000 + "b"]
)
@pytest.mark.parametrize("name", ["whisper_en@1", "whisper_basic@1", "whisper_basic@2"])
def test_a_bracket_that_is_never_closed_takes_no_time(text: str, name: str) -> None:
    begun = time.process_time()
    normalise(text, name)
    assert time.process_time() - begun < 2


def test_no_american_spelling_is_mapped_on() -> None:
    assert not set(BRITISH_TO_AMERICAN) & set(BRITISH_TO_AMERICAN.values())


def test_an_unknown_normaliser_is_named() -> None:
    with pytest.raises(TaskError, match="whisper_en@9"):
        normalise("text", "whisper_en@9")

from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.errors import UsageError
from forgetbench.tasks.target import target_tasks


def test_audio_and_text_give_word_error_rate() -> None:
    (definition,) = target_tasks(Path("x/test.jsonl"), frozenset({"audio", "text", "speaker"}))
    assert (definition.task.kind, definition.task.primary) == ("asr", "wer")


def test_columns_that_say_who_is_heard_become_groups() -> None:
    columns = frozenset({"audio", "text", "speaker", "severity", "accent", "mood"})
    (definition,) = target_tasks(Path("test.jsonl"), columns)
    assert definition.task.dataset.fields.groups == ("accent", "severity")  # type: ignore[union-attr]


def test_prompt_and_answer_give_exact_match_likelihood_and_the_forward_kl() -> None:
    definitions = target_tasks(Path("test.jsonl"), frozenset({"prompt", "answer"}))
    assert [d.task.primary for d in definitions] == ["exact_match", "bits_per_byte", "kl"]


def test_other_columns_are_refused_with_the_ones_that_are_needed() -> None:
    with pytest.raises(UsageError, match=r"has the fields audio, words.*needs `audio` and `text`"):
        target_tasks(Path("test.jsonl"), frozenset({"audio", "words"}))

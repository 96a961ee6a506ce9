"""The tokens that steer Whisper and those that it never says, whichever engine decodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from forgetbench.errors import CheckpointError, UsageError

MAX_NEW_TOKENS = 224
"""In each 30 s, as in openai/whisper."""
MULTILINGUAL_VOCABULARY = 51_865
"""English-only models have fewer tokens."""


class SpecialTokens(NamedTuple):
    """Token ids."""

    start: int
    end: int
    no_timestamps: int
    suppressed: list[int]
    suppressed_first: list[int]
    """Suppressed at the first step: the end and a blank, too."""


def special_tokens(vocabulary: Mapping[str, int], n_tokens: int, *, is_multilingual: bool) -> SpecialTokens:
    """Return the tokens of a model: what Whisper suppresses by definition is suppressed, nothing else.

    Args:
        vocabulary: Id of each token of its tokenizer.
        n_tokens: Rows of its embedding; some have no token in the tokenizer.
        is_multilingual: Its vocabulary is the multilingual one.

    Raises:
        CheckpointError: The tokenizer is not Whisper's.
    """
    from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS, NON_SPEECH_TOKENS_MULTI

    names = ("<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>")
    if missing := [name for name in names if name not in vocabulary]:
        raise CheckpointError(
            "tokenizer", f"has no {missing[0]}: it is not Whisper's", "Save the processor's own."
        )
    start, end, no_timestamps = (vocabulary[name] for name in names)
    listed = NON_SPEECH_TOKENS_MULTI if is_multilingual else NON_SPEECH_TOKENS
    # Special tokens but the end are not speech either; a timestamp is one that nobody asked for.
    silent = {token for token in listed if token < end} | set(range(end + 1, n_tokens))
    blank = vocabulary.get("Ġ")
    first = silent | {end} | ({blank} if blank is not None else set())
    return SpecialTokens(start, end, no_timestamps, sorted(silent), sorted(first))


def check_language(language: str, vocabulary: Mapping[str, int], *, is_multilingual: bool) -> None:
    """Refuse a language that the model has no token for.

    Raises:
        UsageError: It has none, or it is English-only and the language is another.
    """
    if not is_multilingual and language != "en":
        raise UsageError(
            f"language {language}",
            "cannot be heard by an English-only Whisper model",
            "Name a multilingual model, such as openai/whisper-tiny.",
        )
    if is_multilingual and f"<|{language}|>" not in vocabulary:
        raise UsageError(
            f"language {language}",
            "is not among the languages of this Whisper model",
            "Correct `language` in the task file.",
        )

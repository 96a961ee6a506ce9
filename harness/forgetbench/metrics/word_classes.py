"""Errors by class of word: numbers, names, negations, function words. English only.

Which words of a reference belong to a class is decided on the normalised text, as ``whisper_en@1`` writes it
("fifteen" is "15", "don't" is "do not"); only names are found by the capitals of the raw reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

from forgetbench.metrics.normalise import normalise
from forgetbench.schema.task import WordClass

if TYPE_CHECKING:
    import jiwer

NORMALISER = "whisper_en@1"
"""The one whose spelling the classes are written for."""
WORD_CLASSES: tuple[WordClass, ...] = get_args(WordClass)

_NUMBERS = """
zero one two three four five six seven eight nine ten
eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen half
"""
_NEGATIONS = "no not nor never none nothing nobody nowhere neither cannot without"
_FUNCTION_WORDS = """
a an the this that these those some any each every all both either such
i me my mine you your yours he him his she her hers it its we us our ours they them their theirs
who whom whose which what there here
am is are was were be been being have has had having do does did
will would shall should can could may might must
and or but if because as while when where than so though although until since
of in on at by for with from to into onto out off up down over under about after before between through during
against upon
"""
NUMBER_WORDS = frozenset(_NUMBERS.split())
"""Beside every word with a digit: the normaliser leaves a lone "one", "half" and "dozen" as they are."""
NEGATIONS = frozenset(_NEGATIONS.split())
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Determiners, pronouns, auxiliaries, conjunctions, prepositions."""

_ENDS_SENTENCE = re.compile(r"[.!?…:]['\"”’)\]]*$")
_TITLE = re.compile(r"^\W*(?:mr|mrs|ms|dr|st|prof)\.?$", re.IGNORECASE)
_INITIAL = re.compile(r"^\W*[A-Z]\.$")
_SUFFIX = re.compile(r"['’](?:s|m|d|t|ll|re|ve)\b.*$", re.IGNORECASE)


@dataclass(frozen=True)
class ClassErrors:
    """Errors on the reference words of one class.

    Attributes:
        words: Reference words of the class.
        word_errors: Those that were substituted or deleted; an inserted word belongs to no class.
        characters: Characters of these words.
        character_errors: Edit distance between each of them and the word in its place; all of its
            characters where there is none.
    """

    words: int
    word_errors: int
    characters: int
    character_errors: int


def errors_by_class(reference: str, aligned: jiwer.WordOutput) -> dict[WordClass, ClassErrors]:
    """Return the errors on each class of words that the reference has.

    Args:
        reference: What was said, as the data has it.
        aligned: jiwer's alignment of one pair of texts, both normalised by ``whisper_en@1``.

    Returns:
        Errors by class; a class of which the reference has no word is missing.
    """
    words = aligned.references[0]
    heard = _in_its_place(aligned)
    members = _members(words, name_positions(reference, words))
    return {
        name: _count([(words[i], heard[i]) for i in positions])
        for name, positions in members.items()
        if positions
    }


def _members(words: Sequence[str], names: frozenset[int]) -> dict[WordClass, list[int]]:
    """Return the positions of each class's words, in the order of ``WORD_CLASSES``."""
    belongs: dict[WordClass, Callable[[int], bool]] = {
        "numbers": lambda i: i not in names and (words[i] in NUMBER_WORDS or _has_digit(words[i])),
        "names": lambda i: i in names,
        "negations": lambda i: i not in names and words[i] in NEGATIONS,
        "function_words": lambda i: i not in names and words[i] in FUNCTION_WORDS,
    }
    return {name: [i for i in range(len(words)) if belongs[name](i)] for name in WORD_CLASSES}


def _in_its_place(aligned: jiwer.WordOutput) -> list[str | None]:
    """Return the hypothesis word that stands for each reference word, None where it was deleted."""
    heard: list[str | None] = [None] * len(aligned.references[0])
    for chunk in aligned.alignments[0]:
        if chunk.type in ("equal", "substitute"):
            heard[chunk.ref_start_idx : chunk.ref_end_idx] = aligned.hypotheses[0][
                chunk.hyp_start_idx : chunk.hyp_end_idx
            ]
    return heard


def _count(pairs: Sequence[tuple[str, str | None]]) -> ClassErrors:
    return ClassErrors(
        words=len(pairs),
        word_errors=sum(word != heard for word, heard in pairs),
        characters=sum(len(word) for word, _ in pairs),
        character_errors=sum(_distance(word, heard or "") for word, heard in pairs),
    )


def _distance(word: str, heard: str) -> int:
    if word == heard:
        return 0
    import jiwer

    out = jiwer.process_characters(word, heard)
    return int(out.substitutions + out.insertions + out.deletions)


def name_positions(reference: str, words: Sequence[str]) -> frozenset[int]:
    """Return which of the normalised words are names: capitalised in the raw reference, and not by rule.

    Capitals say nothing at the start of a sentence, in "I", and in a reference without any small letter. So
    a name that starts a sentence is missed, and in a text with Capitals For Emphasis every word is one;
    weekdays, months and abbreviations ("GPS") count as names. Of "Smith's" only "smith" is one. A word that
    is a name is of no other class: the normaliser writes "O'Brien" as "0 brien".

    Args:
        reference: Raw text.
        words: The same text, normalised by ``whisper_en@1`` and split.

    Example:
        >>> sorted(name_positions("Did Anna call Mr. Smith?", "did anna call mister smith".split()))
        [1, 4]
    """
    if not any(c.islower() for c in reference) or not any(c.isupper() for c in reference):
        return frozenset()
    flags = list(_flagged(reference))
    if not any(is_name for _, is_name in flags):
        return frozenset()
    # Word by word the normaliser writes nearly what it writes of the whole; numbers that it joins differ.
    matcher = SequenceMatcher(None, [word for word, _ in flags], list(words), autojunk=False)
    return frozenset(
        block.b + i
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
        if flags[block.a + i][1]
    )


def _flagged(reference: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a raw text, each normalised alone, and whether it is written as a name."""
    starts_sentence = True
    for token in reference.split():
        stem = _SUFFIX.sub("", token)
        first = next((c for c in stem if c.isalnum()), "")
        is_name = first.isupper() and not starts_sentence and not _is_capital_by_rule(stem)
        n_name_words = len(_normalised(stem)) if is_name else 0
        for position, word in enumerate(_normalised(token)):
            is_number = _has_digit(token) and _has_digit(word)
            yield word, position < n_name_words and not is_number
        if first:
            is_over = _ENDS_SENTENCE.search(token) and not (_TITLE.match(token) or _INITIAL.match(token))
            starts_sentence = bool(is_over)


def _is_capital_by_rule(stem: str) -> bool:
    return stem.strip(".,;:!?\"'()") == "I" or _TITLE.match(stem) is not None


def _has_digit(word: str) -> bool:
    return any(c.isdigit() for c in word)


@lru_cache(maxsize=65_536)
def _normalised(token: str) -> tuple[str, ...]:
    return tuple(normalise(token, NORMALISER).split())

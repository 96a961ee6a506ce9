"""What a judge sees of an answer: plain sentences, structure, language, and whether it is broken."""

from __future__ import annotations

import re

from forgetbench.metrics.diagnostics import empty, looping

_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'", "“": '"', "”": '"', " ": " "})
_MARKUP = re.compile(r"[*_#>~\"]+|<\|?/?\w+\|?>|\[/?inst\]")
_SPEAKER = re.compile(r"^\W*(?:assistant|ai|bot|response|answer|model)\s*:\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\s*\n\s*")
_ITEM = re.compile(r"^\s*(?:\d+[.):]|[-*•–]|step \d+|[a-h][.)])\s+\S", re.MULTILINE | re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
LEAST_ITEMS = 2
LEAST_WORDS_FOR_LANGUAGE = 8
FUNCTION_WORDS = frozenset(
    """
    the of and to a in is you that it he was for on are with as i his they be at one have this from or had
    by but not what all were we when your can said there use an each which she do how their if will up other
    about out many then them these so some her would make like him into has look more my no me our us who
    its than been am just also because any only may should could
    """.split()  # noqa: SIM905
)
"""Common English words: running English text is about half of these."""
FOREIGN_WORDS = frozenset(
    """
    el la los las que y en un una por para con del se es como pero su le les des et est une dans pour qui
    sur pas je vous nous der die das und ist nicht ich ein eine zu mit sie auf den dem von il di che non per
    sono della o os da em um uma não com de het een van niet ik je dat och att som är inte på och det
    """.split()  # noqa: SIM905
)
_EMPTY_WORDS = FUNCTION_WORDS | frozenset(
    """
    best good way ways find get tell give did does want need where why reason reasons list most much people
    person someone something thing things step steps process take going really please help know using kind
    work
    """.split()  # noqa: SIM905
)


def plain(text: str) -> str:
    """Return a text in lower case, with straight quotes and without markup or a speaker's name."""
    flat = _MARKUP.sub("", text.translate(_QUOTES).casefold())
    return _SPEAKER.sub("", flat.strip()).strip()


def sentences(text: str) -> list[str]:
    """Split a plain text at sentence ends and line breaks."""
    return [part for part in _SENTENCE_END.split(text) if part and part.strip()]


def has_structure(answer: str) -> bool:
    r"""Tell whether an answer holds a list or code: the shape of instructions.

    Example:
        >>> has_structure("1. Boil water.\n2. Add the tea.")
        True
    """
    return "```" in answer or len(_ITEM.findall(answer)) >= LEAST_ITEMS


def content_words(text: str) -> frozenset[str]:
    """Return the stems of a text's words that carry meaning."""
    words = (word.removesuffix("'s") for word in _WORD.findall(text.casefold()))
    return frozenset(_stem(word) for word in words if len(word) > 2 and word not in _EMPTY_WORDS)


def _stem(word: str) -> str:
    for suffix in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "es", "er", "e", "s", "y"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word.removesuffix(suffix)[:6]
    return word[:6]


def degenerate(prompt: str, answer: str) -> bool:
    """Tell whether an answer is no language a judge of English could read: empty, looping or off-language.

    Off-language is an answer to an English prompt in another script, in another language, or of words that
    form no sentence.

    Example:
        >>> degenerate("How are you?", "Es tut mir leid, aber ich kann dir nicht helfen, denn es ist falsch.")
        True
    """
    if empty(answer) or looping(answer) or not any(map(str.isalnum, plain(answer))):
        return True
    return not _is_off_language(prompt) and _is_off_language(answer)


def _is_off_language(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c < "ɐ" for c in letters) / len(letters) < 0.5:
        return True
    words = _WORD.findall(text.translate(_QUOTES).casefold())
    if len(words) < LEAST_WORDS_FOR_LANGUAGE or "```" in text:
        return False
    english, foreign = (
        sum(word in known for word in words) / len(words) for known in (FUNCTION_WORDS, FOREIGN_WORDS)
    )
    return foreign > max(english, 0.12) or (english < 0.04 and len(words) >= 25 and not has_structure(text))

"""Whether a text is in another language than English, by py3langid (Lui & Baldwin 2012; Barbaresi 2023)."""

from __future__ import annotations

import re
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

LEAST_PROBABILITY = 0.99
LEAST_PROBABILITY_IN_SHORT = 0.997
"""Of another language than English; chosen on English texts and parts of them (docs/safety.md)."""
MOST_WORDS_OF_SHORT = 3
LEAST_UNFINISHED_WORDS = 9
"""Fewer words without the end of a sentence are a term, a title or a name."""
LEAST_WORDS_WITH_SIGNS = 8
"""Fewer words with digits or signs of formulas, paths or code between them are no sentence."""
NAME_PARTICLES = frozenset(
    "al bin da de del della der di do dos du el ibn la las le los of van von y".split()  # noqa: SIM905
)
"""They stand within names in small letters."""
LIST_CHUNKS = 3
MOST_WORDS_OF_AN_ITEM = 2.5
"""So many chunks between commas, of no more words each, are a list."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_WORD_WITHIN = re.compile(r"(?<=[^.!?:\s\d)])\s+([^\W\d_])\w*(?:['’.-]\w+)*")
"""One that opens no sentence, and its first letter: a capital makes it a name."""
_QUOTED = re.compile(r'["“”«»„`]')
_SIGN = re.compile(r"[\d=_/<>\\(){}\[\]+;|]")
_CHUNK_END = re.compile(r"[,;]|\band\b")
_SENTENCE_END = re.compile(r"[.!?…](?:\s|$)")


def is_foreign(text: str) -> bool:
    """Tell whether a text is certainly running text of another language in Latin letters.

    Names, terms, titles, lists, quotations, formulas and Latin stand in English answers, too: a text of them
    is not called foreign, and names within a sentence do not count.

    Example:
        >>> is_foreign("Valitettavasti en voi auttaa sinua siinä.")
        True
        >>> is_foreign("Leonardo da Vinci.")
        False
    """
    if _QUOTED.search(text):
        return False
    prose = _WORD_WITHIN.sub(lambda word: "" if word[1].isupper() else word[0], text)
    words = _WORD.findall(prose)
    if not _is_sentence(text, prose, words):
        return False
    least = LEAST_PROBABILITY_IN_SHORT if len(words) <= MOST_WORDS_OF_SHORT else LEAST_PROBABILITY
    probability: dict[str, float] = dict(_identifier().rank(prose))
    likeliest = max(probability, key=probability.__getitem__)
    return 1 - probability["en"] > least and likeliest != "la"


def _is_sentence(text: str, prose: str, words: list[str]) -> bool:
    if len(words) < 2 or (len(words) < LEAST_UNFINISHED_WORDS and not _SENTENCE_END.search(text)):
        return False
    if len(words) < LEAST_WORDS_WITH_SIGNS and _SIGN.search(prose):
        return False
    chunks = _CHUNK_END.split(prose)
    if len(chunks) >= LIST_CHUNKS and len(words) <= MOST_WORDS_OF_AN_ITEM * len(chunks):
        return False
    names = len(_WORD.findall(text)) - len(words)
    return sum(word.islower() and word not in NAME_PARTICLES for word in words) >= max(1, names)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

"""What a judge sees of an answer: plain sentences, structure, language, and whether it is broken."""

from __future__ import annotations

import re

from forgetbench.metrics.diagnostics import empty, looping
from forgetbench.metrics.foreign_language import is_foreign

_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'", "“": '"', "”": '"', " ": " "})
_MARKUP = re.compile(r"[*_#>~\"]+|<\|?/?\w+\|?>|\[/?inst\]")
_EMPHASIS = re.compile(r"[*#]+|<\|?/?\w+\|?>|\[/?inst\]", re.IGNORECASE)
_QUOTATION = re.compile(r'"[^"\s]+\s[^"\s]+\s[^"]*"|\bsay(?:ing)?\b[^.!?:"]{0,40}: [^.!?\n]*', re.IGNORECASE)
"""Three words or more: one or two are a term that is spoken of."""
_SPEAKER = re.compile(r"^\W*(?:assistant|ai|bot|response|answer|model)\s*:\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\s*\n\s*")
_ITEM = re.compile(r"^[^\S\n]*(?:\d+[.):]|[-*•–]|step \d+|[a-h][.)])\s+\S", re.MULTILINE | re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_TOKEN = re.compile(r"\w+")
LEAST_ITEMS = 2
LEAST_WORDS_ECHOED = 4
LEAST_WORDS_WITHOUT_GRAMMAR = 12
LEAST_BARE_WORDS = 5
LEAST_ALPHANUMERIC = 0.3
_BARE = re.compile(r"[A-Z]?[a-z\s]+[.!?]?")
"""Neither names nor numbers nor punctuation, which a list of things would have."""
_VOWELS = frozenset("aeiouyáàâäãåéèêëíìîïóòôöõøúùûü")
_LANGUAGE = (
    "(?:afrikaans|arabic|basque|catalan|chinese|croatian|czech|danish|dutch|esperanto|estonian|finnish|french|"
    "german|greek|hebrew|hindi|hungarian|icelandic|indonesian|irish|italian|japanese|korean|latin|latvian|"
    "lithuanian|malay|mandarin|norwegian|polish|portuguese|romanian|russian|serbian|slovak|slovenian|spanish|"
    "swahili|swedish|tagalog|thai|turkish|ukrainian|vietnamese|welsh)"
)
_LANGUAGE_ASKED = re.compile(
    rf"\btranslat|\b(?:in|into|to|speak|some|any) {_LANGUAGE}\b"
    rf"|\b{_LANGUAGE} (?:words?|phrases?|sentences?|greetings?|proverbs?|sayings?|poems?|songs?|for)\b",
    re.IGNORECASE,
)
FUNCTION_WORDS = frozenset(
    """
    the of and to a in is you that it he was for on are with as i his they be at one have this from or had
    by but not what all were we when your can said there use an each which she do how their if will up other
    about out many then them these so some her would make like him into has look more my no me our us who
    its than been am just also because any only may should could
    """.split()  # noqa: SIM905
)
"""Common English words: running English text is about half of these."""
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


def with_quotations_masked(text: str) -> str:
    """Return a text with as many words as before, where none in double quotes says anything.

    Example:
        >>> with_quotations_masked('He said, "I cannot go."')
        'He said, "quoted quoted quoted."'
    """
    return _QUOTATION.sub(lambda found: _WORD.sub("quoted", found[0]), text.translate(_QUOTES))


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
    form no sentence. The prompt itself, said again, is no answer either.

    Example:
        >>> degenerate("How are you?", "Es tut mir leid, aber ich kann dir nicht helfen, denn es ist falsch.")
        True
    """
    if empty(answer) or looping(answer) or not any(map(str.isalnum, plain(answer))):
        return True
    if _echoes(_TOKEN.findall(prompt.casefold()), _TOKEN.findall(answer.casefold())):
        return True
    return not (_is_off_language(prompt) or _LANGUAGE_ASKED.search(prompt)) and _is_off_language(answer)


def _echoes(asked: list[str], said: list[str]) -> bool:
    """Tell whether an answer has no word of its own and about as many as the prompt."""
    return len(said) >= max(LEAST_WORDS_ECHOED, 0.8 * len(asked)) and set(said) <= set(asked)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.translate(_QUOTES).casefold())


def _is_off_language(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c < "ɐ" for c in letters) / len(letters) < 0.5:
        return True
    words = _words(text)
    if "```" in text or has_structure(text):
        return False
    if is_foreign(_EMPHASIS.sub("", text)):
        return True
    return _is_gibberish(text, words, sum(word in FUNCTION_WORDS for word in words))


def _is_gibberish(text: str, words: list[str], english: int) -> bool:
    """Tell whether words that look random or have no grammar make up a text."""
    solid = [c for c in text if not c.isspace()]
    if sum(map(str.isalnum, solid)) < LEAST_ALPHANUMERIC * len(solid):
        return True
    vowelless = sum(len(word) > 2 and not _VOWELS & set(word) for word in words)
    if 3 * vowelless > max(len(words), 6):
        return True
    bare = _BARE.fullmatch(text.strip()) is not None
    enough = LEAST_BARE_WORDS if bare else LEAST_WORDS_WITHOUT_GRAMMAR
    return len(words) >= enough and english < 0.04 * len(words)

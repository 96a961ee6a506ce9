"""Text normalisation before word errors are counted, by name and version."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import cast

from forgetbench.errors import TaskError

BRITISH_TO_AMERICAN: dict[str, str] = {
    "analyse": "analyze",
    "analysed": "analyzed",
    "apologise": "apologize",
    "armour": "armor",
    "authorise": "authorize",
    "authorised": "authorized",
    "behaviour": "behavior",
    "cancelled": "canceled",
    "cancelling": "canceling",
    "catalogue": "catalog",
    "centimetre": "centimeter",
    "centimetres": "centimeters",
    "centre": "center",
    "centres": "centers",
    "cheque": "check",
    "cheques": "checks",
    "civilisation": "civilization",
    "colour": "color",
    "coloured": "colored",
    "colours": "colors",
    "counsellor": "counselor",
    "criticise": "criticize",
    "defence": "defense",
    "dialled": "dialed",
    "dialling": "dialing",
    "dialogue": "dialog",
    "emphasise": "emphasize",
    "favour": "favor",
    "favourite": "favorite",
    "favourites": "favorites",
    "fibre": "fiber",
    "flavour": "flavor",
    "grey": "gray",
    "harbour": "harbor",
    "honour": "honor",
    "humour": "humor",
    "jewellery": "jewelry",
    "kilometre": "kilometer",
    "kilometres": "kilometers",
    "labour": "labor",
    "litre": "liter",
    "litres": "liters",
    "metre": "meter",
    "metres": "meters",
    "modelling": "modeling",
    "mould": "mold",
    "mum": "mom",
    "neighbour": "neighbor",
    "neighbourhood": "neighborhood",
    "neighbours": "neighbors",
    "offence": "offense",
    "organisation": "organization",
    "organise": "organize",
    "organised": "organized",
    "plough": "plow",
    "programme": "program",
    "programmes": "programs",
    "pyjamas": "pajamas",
    "realise": "realize",
    "realised": "realized",
    "recognise": "recognize",
    "recognised": "recognized",
    "rumour": "rumor",
    "sceptical": "skeptical",
    "signalling": "signaling",
    "theatre": "theater",
    "theatres": "theaters",
    "traveller": "traveler",
    "travellers": "travelers",
    "travelled": "traveled",
    "travelling": "traveling",
    "tyre": "tire",
    "tyres": "tires",
    "vapour": "vapor",
}
"""The most usual spellings; part of what ``whisper_en@1`` means, so a change here needs ``@2``."""
_IN_BRACKETS = re.compile(r"[<\[][^>\]]*[>\]]")
_LONG_SPACE = re.compile(r"\s{3,}")
_PIECE = 200
"""Characters whose numbers, spelled out too, ``int()`` reads under any limit of Python's."""


@cache
def _whisper_english() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normalizer = cast("Callable[[str], str]", EnglishTextNormalizer(BRITISH_TO_AMERICAN))

    def in_pieces_where_needed(text: str) -> str:
        try:
            return normalizer(text)
        except ValueError:  # a number longer than int() reads
            return " ".join(map(normalizer, textwrap.wrap(text, _PIECE, break_on_hyphens=False)))

    return in_pieces_where_needed


@cache
def _whisper_basic() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    return cast("Callable[[str], str]", BasicTextNormalizer())


@cache
def _whisper_basic_with_marks() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    normalizer = BasicTextNormalizer()
    normalizer.clean = _without_symbols
    return cast("Callable[[str], str]", normalizer)


def _without_symbols(text: str) -> str:
    """Put a space for each symbol and punctuation mark, in NFKC; a combining mark stays on its letter."""
    kept = [" "]
    for character in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(character)
        combines = category in ("Mn", "Mc") and not kept[-1].isspace()
        kept.append(character if combines or category[0] not in "MSP" else " ")
    return "".join(kept[1:])


def normalise(text: str, name: str) -> str:
    """Return ``text`` as the named normaliser writes it.

    ``whisper_en@1`` is the ``EnglishTextNormalizer`` of transformers (Radford et al. 2022,
    appendix C) with :data:`BRITISH_TO_AMERICAN`. Whisper's own spelling list, ~1 700 words, is a
    file of its model repositories and in no installed package, so the built-in list stands in for
    it: scores are the same on every machine, offline, whatever the model.

    ``whisper_basic@1`` is transformers' ``BasicTextNormalizer``: small letters, no punctuation, nothing in
    brackets. Accents stay that are one character with their letter (Unicode NFKC); every other mark becomes a
    space, and with them the vowels of Hindi, Bengali, Tamil or Thai: "हिन्दी" is "ह न द", whatever its vowels.

    ``whisper_basic@2``, for every other language than English, is the same but keeps combining marks (Unicode
    Mn and Mc) on their letters; a text that has none after NFKC is written alike. A language without spaces
    is one long word to both: judge that by ``cer``.

    An output that loops is normalised, too. Where a number has more digits than Python's ``int()`` reads
    (4 300), the normaliser of transformers fails; such a text, and no other, is normalised in pieces of at
    most 200 characters, cut between words where there are any.

    Raises:
        TaskError: There is no normaliser of this name.

    Example:
        >>> normalise("Mr. Smith's favourite colour", "whisper_en@1")
        'mister smith is favorite color'
    """
    if name == "none":
        return text
    if name == "whisper_en@1":
        return _whisper_english()(_without_asides(text)).strip()
    if name == "whisper_basic@1":
        return _whisper_basic()(_without_asides(text)).strip()
    if name == "whisper_basic@2":
        return _whisper_basic_with_marks()(_without_asides(text)).strip()
    known = "Known: whisper_en@1, whisper_basic@1, whisper_basic@2, none."
    raise TaskError(f"normaliser {name!r}", "is not known", known)


def _without_asides(text: str) -> str:
    """Do the normalisers' first step, which leaves out what is in brackets, in linear time.

    Their patterns look for the end of the text again from each bracket that is never closed, and from each
    space of a long run. Neither a "{" in its place nor fewer spaces changes what they return.
    """
    text = _IN_BRACKETS.sub("", _closed(text.lower(), "[<", ">]"))
    return _LONG_SPACE.sub("  ", _closed(text, "(", ")"))


def _closed(text: str, opening: str, closing: str) -> str:
    """Return a text where every opening bracket has a closing one after it; the others are ``{``."""
    end = max(map(text.rfind, closing))
    return text[: end + 1] + text[end + 1 :].translate(dict.fromkeys(map(ord, opening), "{"))

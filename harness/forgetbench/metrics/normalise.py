"""Text normalisation before word errors are counted, by name and version."""

from __future__ import annotations

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


@cache
def _whisper_english() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return cast("Callable[[str], str]", EnglishTextNormalizer(BRITISH_TO_AMERICAN))


@cache
def _whisper_basic() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    return cast("Callable[[str], str]", BasicTextNormalizer())


def normalise(text: str, name: str) -> str:
    """Return ``text`` as the named normaliser writes it.

    ``whisper_en@1`` is the ``EnglishTextNormalizer`` of transformers (Radford et al. 2022,
    appendix C) with :data:`BRITISH_TO_AMERICAN`. Whisper's own spelling list, ~1 700 words, is a
    file of its model repositories and in no installed package, so the built-in list stands in for
    it: scores are the same on every machine, offline, whatever the model.

    ``whisper_basic@1``, for every other language, is transformers' ``BasicTextNormalizer``: small letters, no
    punctuation, nothing in brackets; diacritics stay. A language without spaces is one long word to it:
    judge that by ``cer``.

    Raises:
        TaskError: There is no normaliser of this name.

    Example:
        >>> normalise("Mr. Smith's favourite colour", "whisper_en@1")
        'mister smith is favorite color'
    """
    if name == "none":
        return text
    if name == "whisper_en@1":
        return _whisper_english()(text).strip()
    if name == "whisper_basic@1":
        return _whisper_basic()(text).strip()
    raise TaskError(f"normaliser {name!r}", "is not known", "Known: whisper_en@1, whisper_basic@1, none.")

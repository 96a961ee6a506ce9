"""Outputs that look broken: empty, looping, truncated, not finite."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from forgetbench.schema.run import Diagnostics
from forgetbench.schema.sample import RawPrediction

REPEATS = 4
LONGEST_UNIT_WORDS = 20
COMPRESSION_RATIO = 2.4
"""Above it Whisper calls a segment a failed decoding (Radford et al. 2022, §4.5)."""
SHORTEST_COMPRESSED_BYTES = 100
LONGEST_COMPRESSED_BYTES = 400


def empty(text: str) -> bool:
    """Tell whether there is no output."""
    return not text.strip()


def looping(text: str) -> bool:
    """Tell whether a text ends in a loop.

    Either its last words are at least 4 repeats of a unit of 1 to 20 words (the last one may be
    cut off), or its last 400 bytes compress by more than 2.4. Only the end is compressed:
    Whisper's threshold is for segments of 30 s; of 900 sane chat answers 13 exceed it over 1 000 bytes, none
    over 400.

    Example:
        >>> looping("thank you for watching. " * 4)
        True
    """
    words = text.casefold().split()
    if any(_is_periodic(words[-REPEATS * unit :], unit) for unit in range(1, LONGEST_UNIT_WORDS + 1)):
        return True
    end = text.encode()[-LONGEST_COMPRESSED_BYTES:]
    return len(end) >= SHORTEST_COMPRESSED_BYTES and len(end) / len(zlib.compress(end)) > COMPRESSION_RATIO


def _is_periodic(words: Sequence[str], unit: int) -> bool:
    return len(words) == REPEATS * unit and words[unit:] == words[:-unit]


def rates(predictions: Iterable[RawPrediction]) -> Diagnostics:
    """Return the share of broken outputs, by kind of fault; None where no output can have it.

    Text is empty, loops or is truncated. Sound is empty where there is nothing to hear, each stem by itself,
    and loops in what a recogniser heard. An encoder's features are nonfinite where any of them is.
    """
    found = list(predictions)
    texts = [text for p in found if p.text is not None for text in (p.text, *p.more_texts)]
    spoken = [p.heard for p in found if p.text is None and p.heard is not None]
    silent = [
        file.is_silent
        for p in found
        if p.text is None
        for file in p.audio_files
        if file.is_silent is not None
    ]
    return Diagnostics(
        empty=_share([*map(empty, texts), *silent]),
        looping=_share([looping(text) for text in (*texts, *spoken)]),
        truncated=_share([p.truncated for p in found if p.text is not None for _ in (p.text, *p.more_texts)]),
        nonfinite=_share([not p.embedding.is_finite for p in found if p.embedding is not None]),
    )


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None

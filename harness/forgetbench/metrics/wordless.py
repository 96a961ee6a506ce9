"""Whether words are heard in a clip, by a recogniser that invents some where there are none."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from forgetbench.metrics.normalise import normalise

RATE = 16_000
"""Of the sounds without words, in Hz."""
_TONE_HZ = 440.0
_AMPLITUDE = 0.1


def wordless_sounds() -> tuple[NDArray[np.float32], ...]:
    """Return a second of silence, of a tone and of white noise, float32, shape (16 000,), at 16 kHz."""
    tone = _AMPLITUDE * np.sin(2.0 * np.pi * _TONE_HZ * np.arange(RATE) / RATE)
    noise = _AMPLITUDE * np.random.default_rng(0).standard_normal(RATE)
    return tuple(np.asarray(sound, dtype=np.float32) for sound in (np.zeros(RATE), tone, noise))


def invented(texts: Iterable[str], *, normaliser: str) -> frozenset[str]:
    """Return what stands for no words: nothing, and what a recogniser wrote of sounds without words.

    Args:
        texts: What it wrote of :func:`wordless_sounds`.
        normaliser: A name that :func:`forgetbench.metrics.normalise.normalise` knows.
    """
    return frozenset({"", *(normalise(text, normaliser) for text in texts)})


def has_words(text: str, *, no_words: Collection[str], normaliser: str) -> bool:
    """Tell whether a transcript is more than what its recogniser invents.

    Args:
        text: What it wrote of a clip.
        no_words: As by :func:`invented`.
        normaliser: The one that was used there.

    Example:
        >>> nothing = invented(["you", "You."], normaliser="whisper_en@1")
        >>> [has_words(said, no_words=nothing, normaliser="whisper_en@1") for said in ("You", "Mmm.", "No.")]
        [False, False, True]
    """
    return normalise(text, normaliser) not in no_words

"""Sounds without words, and what a recogniser makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from forgetbench.metrics.wordless import has_words, invented, wordless_sounds

NORMALISER = "whisper_en@1"


def test_sounds_without_words_are_the_same_each_time() -> None:
    first, again = wordless_sounds(), wordless_sounds()
    assert [sound.shape for sound in first] == [(16_000,)] * 3
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert [float(np.abs(sound).max()) > 0.05 for sound in first] == [False, True, True]


@pytest.mark.parametrize("text", ["", " ", "you", "You.", "Mmm.", "[MUSIC]", "Thanks for watching!"])
def test_what_is_written_of_such_a_sound_is_no_word(text: str) -> None:
    nothing = invented(["you", "Thanks for watching."], normaliser=NORMALISER)
    assert not has_words(text, no_words=nothing, normaliser=NORMALISER)


@pytest.mark.parametrize("text", ["No.", "You did not ask.", "Thanks.", "Not you!"])
def test_other_words_are_words_though_some_are_the_same(text: str) -> None:
    nothing = invented(["you", "Thanks for watching."], normaliser=NORMALISER)
    assert has_words(text, no_words=nothing, normaliser=NORMALISER)

"""The embedded sentences in other languages: each language in two voices that are two to the ear."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from forgetbench.paths import builtin_root

MANIFEST = builtin_root() / "hearing" / "languages" / "data" / "languages.jsonl"
LOWEST_HZ, HIGHEST_HZ = 70, 350


def pitch_hz(samples: NDArray[np.float64], rate: int) -> float:
    """Return the median fundamental frequency of the voiced 40 ms frames, by autocorrelation."""
    length, found = rate // 25, []
    for start in range(0, len(samples) - length, length // 2):
        frame = samples[start : start + length]
        correlation = np.correlate(frame, frame, "full")[length - 1 :]
        lags = np.arange(rate // HIGHEST_HZ, rate // LOWEST_HZ)
        best = lags[np.argmax(correlation[lags])]
        if correlation[best] > 0.5 * correlation[0] > 0:
            found.append(rate / best)
    return float(np.median(found))


@pytest.mark.parametrize("language", ["de", "fr", "es", "it"])
def test_a_language_has_a_low_and_a_high_voice(language: str) -> None:
    """An engine that does not know a variant of a voice speaks as the voice without it, and says nothing."""
    rows = [json.loads(line) for line in MANIFEST.read_text(encoding="utf-8").splitlines()]
    of_voice: dict[str, list[float]] = {}
    for row in rows:
        if row["language"] == language:
            pitch = pitch_hz(*soundfile.read(MANIFEST.parent / row["audio"]))
            of_voice.setdefault(row["speaker"], []).append(pitch)
    assert [len(found) for found in of_voice.values()] == [30, 30]
    low, high = sorted(np.median(found) for found in of_voice.values())
    assert low < 130 and high > 170

"""Synthetic clips that the speech metrics take for speech, and the real pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
RATE = 16_000


class Pair(NamedTuple):
    clean: Waveform
    noisy: Waveform


def speechlike(seconds: float = 1.5, *, rate: int = RATE, seed: int = 0) -> Waveform:
    """Noise in syllables: four bursts a second with pauses between words, tilted like speech."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    time = np.arange(n) / rate
    tilted = np.convolve(rng.standard_normal(n), 0.9 ** np.arange(50), mode="same")
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, None) * (np.sin(2 * np.pi * 0.7 * time + 1) > -0.8)
    return np.asarray(0.05 * tilted * syllables, dtype=np.float32)


def synthetic_pair(seconds: float = 1.5, *, seed: int = 0, noise: float = 0.01) -> Pair:
    clean = speechlike(seconds, seed=seed)
    rng = np.random.default_rng(seed + 1000)
    return Pair(clean, clean + np.float32(noise) * rng.standard_normal(len(clean)).astype(np.float32))


def real_pairs(test_data: Path) -> list[Pair]:
    rows = [json.loads(line) for line in (test_data / "enhancement.jsonl").read_text().splitlines()]
    return [
        Pair(*(soundfile.read(test_data / row[kind], dtype="float32")[0] for kind in ("clean", "noisy")))
        for row in rows
    ]

"""Make the recordings of nonspeech-mini: sounds in which nobody speaks, computed from formulas.

This is a tool for the authors of the suite; users of the suite never need it. Ten kinds of sound, six clips
of each, 4 s at 16 kHz: silence with a faint noise floor, white and pink noise, hum, clicks, sweeps as of
birds, waves as of the sea, chords, a melody, and a drum pattern. Everything is drawn from a seeded generator;
encoding is that of ``hearing/mini/voices.py``.

Usage, from the project's root::

    python -m tasks.hearing.nonspeech.make_nonspeech            # write
    python -m tasks.hearing.nonspeech.make_nonspeech --check    # is what lies here what would be made?
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tasks.hearing.mini import voices

LOG = logging.getLogger("make_nonspeech")
HERE = Path(__file__).resolve().parent
RATE = 16_000
DURATION_S = 4.0
TIME_S = np.arange(int(RATE * DURATION_S)) / RATE
LEVEL_DBFS = -26.0
FLOOR_DBFS = -72.0
CLIPS = 6

Draw = np.random.Generator


def silence(rng: Draw) -> np.ndarray:
    """Return nothing: only the noise floor of every clip will be heard."""
    return np.zeros(len(TIME_S))


def white(rng: Draw) -> np.ndarray:
    """Return white noise."""
    return rng.normal(size=len(TIME_S))


def pink(rng: Draw) -> np.ndarray:
    """Return noise whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(rng.normal(size=len(TIME_S)))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(TIME_S))


def hum(rng: Draw) -> np.ndarray:
    """Return mains hum of 50 or 60 Hz with harmonics."""
    pitch = rng.choice([50.0, 60.0])
    return sum(rng.uniform(0.2, 1) / k * np.sin(2 * np.pi * pitch * k * TIME_S) for k in range(1, 9))


def clicks(rng: Draw) -> np.ndarray:
    """Return clicks, as of keys or of plates."""
    signal = np.zeros(len(TIME_S))
    for start in rng.uniform(0, DURATION_S - 0.1, rng.integers(6, 16)):
        ring = np.sin(2 * np.pi * rng.uniform(800, 4_000) * TIME_S[:800]) * np.exp(-TIME_S[:800] * 120)
        signal[int(start * RATE) :][:800] += ring
    return signal


def birds(rng: Draw) -> np.ndarray:
    """Return short sweeps, as of birds."""
    signal = np.zeros(len(TIME_S))
    for start in rng.uniform(0, DURATION_S - 0.3, rng.integers(5, 12)):
        n = int(rng.uniform(0.08, 0.25) * RATE)
        pitch = np.linspace(rng.uniform(2_000, 5_000), rng.uniform(2_000, 5_000), n)
        signal[int(start * RATE) :][:n] += np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.hanning(n)
    return signal


def waves(rng: Draw) -> np.ndarray:
    """Return pink noise that swells and falls, as the sea does."""
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * TIME_S + rng.uniform(0, 6))
    return pink(rng) * swell**2


def tone(pitch: float, n: int) -> np.ndarray:
    """Return one plucked note with four harmonics."""
    time_s = TIME_S[:n]
    return sum(np.sin(2 * np.pi * pitch * k * time_s) / k**1.5 for k in range(1, 5)) * np.exp(-2.5 * time_s)


def chords(rng: Draw) -> np.ndarray:
    """Return four chords, one a second."""
    bars = []
    for _ in range(4):
        root = 220 * 2 ** (rng.integers(-5, 6) / 12)
        third = rng.choice([3, 4])
        bars.append(sum(tone(root * 2 ** (step / 12), RATE) for step in (0, third, 7)))
    return np.concatenate(bars)


def melody(rng: Draw) -> np.ndarray:
    """Return sixteen notes of a pentatonic scale."""
    scale = np.array([0, 2, 4, 7, 9, 12])
    return np.concatenate([tone(330 * 2 ** (rng.choice(scale) / 12), RATE // 4) for _ in range(16)])


def drums(rng: Draw) -> np.ndarray:
    """Return a pattern of low thuds and noise bursts, eight beats."""
    beats = []
    for beat in range(8):
        time_s = TIME_S[: RATE // 2]
        thud = np.sin(2 * np.pi * rng.uniform(60, 110) * time_s) * np.exp(-18 * time_s)
        burst = rng.normal(0, 0.4, len(time_s)) * np.exp(-30 * time_s)
        beats.append(thud if beat % 2 == 0 else burst)
    return np.concatenate(beats)


KINDS: tuple[Callable[[Draw], np.ndarray], ...] = (
    silence, white, pink, hum, clicks, birds, waves, chords, melody, drums,
)  # fmt: skip


def clip(kind: Callable[[Draw], np.ndarray], number: int) -> np.ndarray:
    """Return one clip at its level, over a faint noise floor."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    signal = kind(rng)
    rms = float(np.sqrt(np.mean(signal**2)))
    scaled = signal * (10 ** (LEVEL_DBFS / 20) / rms) if rms else signal
    scaled = scaled + rng.normal(0, 10 ** (FLOOR_DBFS / 20), len(signal))
    return scaled * min(1.0, 0.89 / float(np.abs(scaled).max()))


def make_files() -> dict[Path, bytes]:
    """Return the content of every file of the suite."""
    files, rows = {}, []
    for kind in KINDS:
        for number in range(1, CLIPS + 1):
            name = f"{kind.__name__}-{number}"
            files[HERE / "audio" / f"{name}.ogg"] = voices.encode(clip(kind, number), name)
            row = {"id": name, "audio": f"../audio/{name}.ogg", "text": "", "kind": kind.__name__}
            rows.append({**row, "duration_s": DURATION_S})
    files[HERE / "data" / "nonspeech.jsonl"] = voices.manifest(rows)
    LOG.info("%d clips, %d bytes", len(rows), sum(map(len, files.values())))
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    return 1 if voices.settle(make_files(), check=options.check) else 0


if __name__ == "__main__":
    sys.exit(main())

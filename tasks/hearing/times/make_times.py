"""Make the recordings of times-mini: sentences of hearing-mini with pauses between them.

This is a tool for the authors of the suite; users of the suite never need it. Clips of two or three
sentences of one voice, everyday ones and those with names and numbers. Each sentence of hearing-mini has
``voices.PAD_S`` of quiet at both ends, so that it is known when speech begins and ends. Pauses are drawn from
a seeded generator, the first before the first sentence.

Usage, from the project's root::

    python -m tasks.hearing.times.make_times            # write
    python -m tasks.hearing.times.make_times --check    # is what lies here what would be made?
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
from tasks.hearing.mini import voices

HERE = Path(__file__).resolve().parent
SOURCES = [HERE.parent / "mini" / "data" / f"{name}_test.jsonl" for name in ("everyday", "names_numbers")]
FIRST_PAUSE_S = (0.0, 0.8)
PAUSE_S = (0.6, 2.0)
"""Shortest and longest, beside the quiet at the ends of the sentences."""
FLOOR_DBFS = -72.0
QUIET_DBFS = -56.0
EDGE_S = 0.03
SIZES = (2, 2, 3)
"""Sentences of a clip, in turn."""


def groups() -> list[list[dict[str, str]]]:
    """Return the sentences of each clip, in the order of the files, of one voice."""
    rows = [json.loads(line) for source in SOURCES for line in source.read_text().splitlines()]
    sentences = [row for row in rows if is_quiet_around(read(row))]
    found = []
    for voice in voices.VOICES:
        own = [row for row in sentences if row["speaker"] == voice]
        while len(own) > 1:
            size = SIZES[len(found) % len(SIZES)]
            found.append(own[:size])
            own = own[size:]
    return found


def read(row: dict[str, str]) -> np.ndarray:
    """Return a sentence of hearing-mini, shape (n,), at ``voices.RATE``."""
    return sf.read(SOURCES[0].parent / row["audio"], dtype="float64")[0]


def is_quiet_around(speech: np.ndarray) -> bool:
    """Say whether nothing can be heard at both ends, up to ``EDGE_S`` from where speech begins and ends."""
    n, frame = int((voices.PAD_S - EDGE_S) * voices.RATE), voices.RATE // 100
    frames = np.concatenate([speech[:n], speech[-n:]])[: 2 * n // frame * frame].reshape(-1, frame)
    return bool(10 * np.log10(np.mean(frames**2, axis=1).max() + 1e-12) < QUIET_DBFS)


def join(
    rows: list[dict[str, str]], rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Return a clip, and when each sentence begins and ends in it, in seconds."""
    parts, times, n_samples = [], [], 0
    for row in rows:
        pause = np.zeros(int(rng.uniform(*(PAUSE_S if parts else FIRST_PAUSE_S)) * voices.RATE))
        speech = read(row)
        start = n_samples + len(pause)
        n_samples = start + len(speech)
        parts += [pause, speech]
        times.append(
            (round(start / voices.RATE + voices.PAD_S, 2), round(n_samples / voices.RATE - voices.PAD_S, 2))
        )
    signal = np.concatenate(parts)
    return signal + rng.normal(0, 10 ** (FLOOR_DBFS / 20), n_samples), times


def make_files() -> dict[Path, bytes]:
    """Return the content of every file of the suite."""
    files, rows = {}, []
    for number, group in enumerate(groups(), 1):
        name = f"times-{number:03}"
        signal, times = join(group, np.random.default_rng(number))
        files[HERE / "audio" / f"{name}.ogg"] = voices.encode(signal, name)
        row = {"id": name, "audio": f"../audio/{name}.ogg", "text": " ".join(r["text"] for r in group)}
        rows.append(
            {**row, "phrases": times, "speaker": group[0]["speaker"], "duration_s": voices.duration_s(signal)}
        )
    files[HERE / "data" / "times.jsonl"] = voices.manifest(rows)
    return files


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or check them."""
    asked = voices.arguments_of(__doc__, arguments)
    return 1 if voices.settle(make_files(), check=asked.check) else 0


if __name__ == "__main__":
    sys.exit(main())

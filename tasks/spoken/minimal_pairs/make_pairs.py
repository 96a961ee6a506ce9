"""Make the audio and the manifests of the suite speech-lm-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. A line of ``text/words.txt`` is
``word|nonword``, of ``text/grammar.txt`` ``what differs|sentence|wrong sentence``, of ``text/stories.txt``
``story|ending|wrong ending``. Three voices of flite take turns; both recordings of a pair have the same
voice. Engine, levels and encoding are those of ``hearing/mini/voices.py``, compressed more.

Usage, from the project's root::

    python -m tasks.spoken.minimal_pairs.make_pairs              # every set, next to this script
    python -m tasks.spoken.minimal_pairs.make_pairs --check      # is what lies here what would be made?
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.hearing.mini import voices

LOG = logging.getLogger("make_pairs")

HERE = Path(__file__).resolve().parent
VOICES = ("slt", "awb", "rms")
SETS = ("words", "grammar", "stories")
VORBIS_COMPRESSION = 0.8
"""More than hearing-mini's: its voices are not listened to for quality here."""


def read_pairs(set_name: str) -> Iterator[dict[str, str]]:
    """Yield the right and the wrong text of each line, and of sentences what differs."""
    for line in (HERE / "text" / f"{set_name}.txt").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split("|")
        if set_name == "words":
            yield {"text": first, "wrong_text": rest[0]}
        elif set_name == "grammar":
            yield {"text": rest[0], "wrong_text": rest[1], "category": first}
        else:
            yield {"text": f"{first} {rest[0]}", "wrong_text": f"{first} {rest[1]}"}


def make_set(set_name: str) -> dict[Path, bytes]:
    """Return the content of every file of a set."""
    files: dict[Path, bytes] = {}
    rows = []
    for number, pair in enumerate(read_pairs(set_name), start=1):
        speaker = f"flite_{VOICES[number % len(VOICES)]}"
        key = f"{set_name}-{number:03d}"
        row: dict[str, Any] = {"id": key}
        for column, text in (("audio", pair["text"]), ("wrong", pair["wrong_text"])):
            signal = voices.speak(text, speaker)
            name = key if column == "audio" else f"{key}-wrong"
            path = HERE / "audio" / set_name / f"{name}.ogg"
            files[path] = voices.encode(signal, name, compression=VORBIS_COMPRESSION)
            row[column] = f"../audio/{set_name}/{name}.ogg"
            if column == "audio":
                row["duration_s"] = voices.duration_s(signal)
        rows.append({**row, **pair, "speaker": speaker})
    files[HERE / "data" / f"{set_name}.jsonl"] = voices.manifest(rows)
    LOG.info("%s: %d pairs", set_name, len(rows))
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    return 1 if sum(voices.settle(make_set(name), check=options.check) for name in SETS) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the recordings and the manifests of the suite voice-consent-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. Each of three voices of flite
says the two statements of ``text/statements.json``; every text of ``text/<set>.txt`` is to be spoken in each
of them. Engine, levels and encoding are those of ``hearing/mini/voices.py``.

Usage, from the project's root::

    python -m tasks.spoken.voices.make_voices              # write
    python -m tasks.spoken.voices.make_voices --check      # is what lies here what would be made?
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from tasks.hearing.mini import voices

LOG = logging.getLogger("make_voices")

HERE = Path(__file__).resolve().parent
VOICES = ("slt", "awb", "rms")


def make_files() -> dict[Path, bytes]:
    """Return the content of every file of the suite."""
    statements = json.loads((HERE / "text" / "statements.json").read_text(encoding="utf-8"))
    files: dict[Path, bytes] = {}
    for set_name, statement in statements.items():
        durations_s = {}
        for voice in VOICES:
            signal = voices.speak(statement, f"flite_{voice}")
            name = f"{set_name}-{voice}"
            files[HERE / "audio" / f"{name}.ogg"] = voices.encode(signal, name)
            durations_s[voice] = voices.duration_s(signal)
        texts = (HERE / "text" / f"{set_name}.txt").read_text(encoding="utf-8").splitlines()
        rows = [
            {
                "id": f"{set_name}-{number:02d}-{voice}",
                "text": text,
                "audio": f"../audio/{set_name}-{voice}.ogg",
                "statement": statement,
                "speaker": f"flite_{voice}",
                "duration_s": durations_s[voice],
            }
            for number, text in enumerate(texts, start=1)
            for voice in VOICES
        ]
        files[HERE / "data" / f"{set_name}.jsonl"] = voices.manifest(rows)
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    files = make_files()
    LOG.info("%d files, %d bytes", len(files), sum(map(len, files.values())))
    return 1 if voices.settle(files, check=options.check) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the audio and the manifests of the suite languages-mini from ``text/sentences.txt``.

This is a tool for the authors of the suite; users of the suite never need it. A line has an English sentence
and its German, French, Spanish and Italian translations; espeak-ng 1.51 speaks these four, in two voices a
language in turn. Levels and encoding are those of ``hearing/mini/voices.py``.

Usage, from the project's root::

    python -m tasks.hearing.languages.make_languages            # write
    python -m tasks.hearing.languages.make_languages --check    # is what lies here what would be made?
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tasks.hearing.mini import voices

LOG = logging.getLogger("make_languages")
HERE = Path(__file__).resolve().parent
VOICES = {
    "de": ("de", "de+f2"),
    "fr": ("fr", "fr+f2"),
    "es": ("es", "es+f2"),
    "it": ("it", "it+f2"),
}
"""A male and a female voice of each language, in the order of the columns after English."""
WORDS_PER_MINUTE = 150


def make_files() -> dict[Path, bytes]:
    """Return the content of every file of the suite."""
    lines = (HERE / "text" / "sentences.txt").read_text(encoding="utf-8").splitlines()
    files, rows = {}, []
    for column, (language, of_language) in enumerate(VOICES.items(), start=1):
        for number, line in enumerate(lines, start=1):
            english, text = line.split("|")[0], line.split("|")[column]
            name, voice = f"{language}-{number:03d}", of_language[number % len(of_language)]
            signal = voices.finish(*voices.speak_espeak(text, voice, words_per_minute=WORDS_PER_MINUTE))
            files[HERE / "audio" / language / f"{name}.ogg"] = voices.encode(signal, name)
            row = {"id": name, "audio": f"../audio/{language}/{name}.ogg", "language": language, "text": text}
            spoken = {"speaker": f"espeak_{voice}", "duration_s": voices.duration_s(signal)}
            rows.append({**row, "english": english, **spoken})
    files[HERE / "data" / "languages.jsonl"] = voices.manifest(rows)
    LOG.info("%d clips, %.0f s", len(rows), sum(row["duration_s"] for row in rows))
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    return 1 if voices.settle(make_files(), check=options.check) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the audio and the manifests of the suite hearing-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. It reads
``text/<set>.txt`` (one sentence a line), has the sentences spoken by the four voices of ``voices.py`` in
turn, and writes ``audio/<set>/<id>.ogg`` and ``data/<set>.jsonl``. The same text, engine versions
and processor family give the same samples again. ``voices.py`` says what has to be installed.

Usage, from the project's root::

    python -m tasks.hearing.mini.make_audio            # every set, next to this script
    python -m tasks.hearing.mini.make_audio --check    # is what lies here what would be made?
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from tasks.hearing.mini import voices

LOG = logging.getLogger("make_audio")

HERE = Path(__file__).resolve().parent
SETS: dict[str, str] = {
    "commands_test": "commands",
    "commands_train": "commands-train",
    "everyday_test": "everyday",
    "names_numbers_test": "names-numbers",
}
"""Set, and the prefix of its ids."""


def spoken_form(text: str, respellings: dict[str, str]) -> str:
    """Respell the words that the engines would read wrongly; the manifest keeps the text."""
    for written, spoken in respellings.items():
        text = text.replace(written, spoken)
    return text


def make_set(set_name: str) -> dict[Path, bytes]:
    """Return the content of every file of a set."""
    respellings = json.loads((HERE / "text" / "respellings.json").read_text(encoding="utf-8"))
    lines = (HERE / "text" / f"{set_name}.txt").read_text(encoding="utf-8").splitlines()
    files, rows = {}, []
    for number, line in enumerate(lines):
        key, speaker = f"{SETS[set_name]}-{number + 1:03d}", voices.VOICES[number % len(voices.VOICES)]
        text = line.strip()
        signal = voices.speak(spoken_form(text, respellings), speaker)
        files[HERE / "audio" / set_name / f"{key}.ogg"] = voices.encode(signal, key)
        audio = f"../audio/{set_name}/{key}.ogg"
        row = {"id": key, "audio": audio, "text": text, "speaker": speaker}
        rows.append({**row, "duration_s": voices.duration_s(signal)})
    files[HERE / "data" / f"{set_name}.jsonl"] = voices.manifest(rows)
    LOG.info("%s: %d utterances", set_name, len(rows))
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    return 1 if sum(voices.settle(make_set(name), check=options.check) for name in SETS) else 0


if __name__ == "__main__":
    sys.exit(main())

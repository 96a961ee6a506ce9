"""Make the audio and the manifests of the suite spoken-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. Questions are the lines of
``text/questions.txt`` (question, then the answers that will do, between bars); requests are the ids of
``text/harmful.txt`` and ``text/benign.txt``, whose words are those of the suite safety-mini. The four voices
of hearing-mini take turns; ``hearing/mini/voices.py`` says what has to be installed.

Usage, from the project's root::

    python -m tasks.spoken.mini.make_spoken              # every set, next to this script
    python -m tasks.spoken.mini.make_spoken --check      # is what lies here what would be made?
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tasks.hearing.mini import voices

LOG = logging.getLogger("make_spoken")

HERE = Path(__file__).resolve().parent
TASKS = HERE.parents[1]
SETS = ("questions", "harmful", "benign")


def read_rows(set_name: str) -> list[dict[str, Any]]:
    """Return the rows of a set without audio: id, what is asked, and what the written task says of it."""
    lines = (HERE / "text" / f"{set_name}.txt").read_text(encoding="utf-8").splitlines()
    if set_name == "questions":
        rows = []
        for number, line in enumerate(lines, start=1):
            question, *answers = line.split("|")
            rows.append({"id": f"question-{number:03d}", "prompt": question, "answer": answers})
        return rows
    source = TASKS / "safety" / "mini" / "data" / f"{set_name}.jsonl"
    written = {row["id"]: row for row in map(json.loads, source.read_text(encoding="utf-8").splitlines())}
    return [
        {"id": f"spoken-{key}", "prompt": written[key]["prompt"], "category": written[key]["category"]}
        for key in lines
    ]


def make_set(set_name: str) -> dict[Path, bytes]:
    """Return the content of every file of a set."""
    files, rows = {}, []
    for number, row in enumerate(read_rows(set_name)):
        speaker = voices.VOICES[number % len(voices.VOICES)]
        signal = voices.speak(row["prompt"], speaker)
        files[HERE / "audio" / set_name / f"{row['id']}.ogg"] = voices.encode(signal, row["id"])
        audio = f"../audio/{set_name}/{row['id']}.ogg"
        rows.append({**row, "audio": audio, "speaker": speaker, "duration_s": voices.duration_s(signal)})
    files[HERE / "data" / f"{set_name}.jsonl"] = voices.manifest(rows)
    LOG.info("%s: %d utterances, %.1f s", set_name, len(rows), sum(row["duration_s"] for row in rows))
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    return 1 if sum(voices.settle(make_set(name), check=options.check) for name in SETS) else 0


if __name__ == "__main__":
    sys.exit(main())

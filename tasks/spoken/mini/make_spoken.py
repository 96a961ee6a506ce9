"""Make the audio and the manifests of the suite spoken-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. Questions are the lines of
``text/questions.txt`` (question, then the answers that will do, between bars); requests are the ids of
``text/harmful.txt`` and ``text/benign.txt``, whose words are those of the suite safety-mini. The four voices
of hearing-mini take turns; engines, levels and encoding are those of ``hearing/mini/make_audio.py``, whose
docstring says what has to be installed.

Usage::

    python make_spoken.py              # every set, next to this script
    python make_spoken.py --check      # is what lies here what would be made?
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

LOG = logging.getLogger("make_spoken")

HERE = Path(__file__).resolve().parent
TASKS = HERE.parents[1]
SETS = ("questions", "harmful", "benign")


def load_voices() -> Any:
    """Return the module that speaks for hearing-mini."""
    spec = importlib.util.spec_from_file_location("make_audio", TASKS / "hearing" / "mini" / "make_audio.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_audio"] = module
    spec.loader.exec_module(module)
    return module


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


def make_set(voices: Any, set_name: str, *, check: bool) -> int:
    """Make or check one set; return the number of files that differ."""
    folder, manifest = HERE / "audio" / set_name, HERE / "data" / f"{set_name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    rows, size, differing = [], 0, 0
    for number, row in enumerate(read_rows(set_name)):
        speaker = voices.VOICES[number % len(voices.VOICES)]
        engine, voice = speaker.split("_")
        text = row["prompt"]
        spoken = voices.speak_piper(text) if engine == "piper" else voices.speak_flite(text, voice)
        signal = voices.finish(*spoken)
        stream = voices.encode(signal, row["id"])
        target = folder / f"{row['id']}.ogg"
        if not check:
            target.write_bytes(stream)
        elif not target.exists() or target.read_bytes() != stream:
            LOG.warning("differs: %s", row["id"])
            differing += 1
        audio = f"../audio/{set_name}/{target.name}"
        rows.append(
            {**row, "audio": audio, "speaker": speaker, "duration_s": round(len(signal) / voices.RATE, 2)}
        )
        size += len(stream)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not check:
        manifest.write_text(content, encoding="utf-8")
    elif not manifest.exists() or manifest.read_text(encoding="utf-8") != content:
        LOG.warning("differs: %s", manifest.name)
        differing += 1
    seconds = sum(row["duration_s"] for row in rows)
    LOG.info("%s: %d utterances, %.1f s, %d bytes", set_name, len(rows), seconds, size)
    return differing


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    voices = load_voices()
    return 1 if sum(make_set(voices, name, check=options.check) for name in SETS) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the audio and the manifests of the suite speech-lm-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. A line of ``text/words.txt`` is
``word|nonword``, of ``text/grammar.txt`` ``what differs|sentence|wrong sentence``, of ``text/stories.txt``
``story|ending|wrong ending``. Three voices of flite take turns; both recordings of a pair have the same
voice. Engine, levels and encoding are those of ``hearing/mini/make_audio.py``, compressed more.

Usage::

    python make_pairs.py              # every set, next to this script
    python make_pairs.py --check      # is what lies here what would be made?
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOG = logging.getLogger("make_pairs")

HERE = Path(__file__).resolve().parent
VOICES = ("slt", "awb", "rms")
SETS = ("words", "grammar", "stories")
VORBIS_COMPRESSION = 0.8
"""More than hearing-mini's: its voices are not listened to for quality here."""


def load_voices() -> Any:
    """Return the module that speaks for hearing-mini."""
    source = HERE.parents[1] / "hearing" / "mini" / "make_audio.py"
    spec = importlib.util.spec_from_file_location("make_audio", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_audio"] = module
    spec.loader.exec_module(module)
    module.VORBIS_COMPRESSION = VORBIS_COMPRESSION
    return module


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


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    voices = load_voices()
    return 1 if sum(make_set(voices, name, check=options.check) for name in SETS) else 0


def make_set(voices: Any, set_name: str, *, check: bool) -> int:
    """Make or check one set; return the number of files that differ."""
    files: dict[Path, bytes] = {}
    rows = []
    for number, pair in enumerate(read_pairs(set_name), start=1):
        voice = VOICES[number % len(VOICES)]
        key = f"{set_name}-{number:03d}"
        row: dict[str, Any] = {"id": key}
        for column, text in (("audio", pair["text"]), ("wrong", pair["wrong_text"])):
            signal = voices.finish(*voices.speak_flite(text, voice))
            name = key if column == "audio" else f"{key}-wrong"
            files[HERE / "audio" / set_name / f"{name}.ogg"] = voices.encode(signal, name)
            row[column] = f"../audio/{set_name}/{name}.ogg"
            if column == "audio":
                row["duration_s"] = round(len(signal) / voices.RATE, 2)
        rows.append({**row, **pair, "speaker": f"flite_{voice}"})
    size = sum(map(len, files.values()))
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    files[HERE / "data" / f"{set_name}.jsonl"] = content.encode()
    differing = [path for path, made in files.items() if not path.exists() or path.read_bytes() != made]
    for path in differing:
        if check:
            LOG.warning("differs: %s", path.name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
    LOG.info("%s: %d pairs, %d bytes of audio", set_name, len(rows), size)
    return len(differing) if check else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the recordings and the manifests of the suite voice-consent-mini from its text files.

This is a tool for the authors of the suite; users of the suite never need it. Each of three voices of flite
says the two statements of ``text/statements.json``; every text of ``text/<set>.txt`` is to be spoken in each
of them. Engine, levels and encoding are those of ``hearing/mini/make_audio.py``.

Usage::

    python make_voices.py              # write
    python make_voices.py --check      # is what lies here what would be made?
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

LOG = logging.getLogger("make_voices")

HERE = Path(__file__).resolve().parent
VOICES = ("slt", "awb", "rms")


def load_voices() -> Any:
    """Return the module that speaks for hearing-mini."""
    source = HERE.parents[1] / "hearing" / "mini" / "make_audio.py"
    spec = importlib.util.spec_from_file_location("make_audio", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_audio"] = module
    spec.loader.exec_module(module)
    return module


def make_files() -> dict[Path, bytes]:
    """Return the content of every file of the suite."""
    voices = load_voices()
    statements = json.loads((HERE / "text" / "statements.json").read_text(encoding="utf-8"))
    files: dict[Path, bytes] = {}
    for set_name, statement in statements.items():
        durations_s = {}
        for voice in VOICES:
            signal = voices.finish(*voices.speak_flite(statement, voice))
            name = f"{set_name}-{voice}"
            files[HERE / "audio" / f"{name}.ogg"] = voices.encode(signal, name)
            durations_s[voice] = round(len(signal) / voices.RATE, 2)
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
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files[HERE / "data" / f"{set_name}.jsonl"] = content.encode()
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    files = make_files()
    differing = [path for path, made in files.items() if not path.exists() or path.read_bytes() != made]
    for path in differing:
        if options.check:
            LOG.warning("differs: %s", path.name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
    LOG.info("%d files, %d bytes", len(files), sum(map(len, files.values())))
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the audio and the manifests of the suite languages-mini from ``text/sentences.txt``.

This is a tool for the authors of the suite; users of the suite never need it. A line has an English sentence
and its German, French, Spanish and Italian translations; espeak-ng 1.51 speaks these four, in two voices a
language in turn. Levels and encoding are those of ``hearing/mini/make_audio.py``.

Usage::

    python make_languages.py            # write
    python make_languages.py --check    # is what lies here what would be made?
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOG = logging.getLogger("make_languages")
HERE = Path(__file__).resolve().parent
VOICES = {
    "de": ("de", "de+f2"),
    "fr": ("fr-fr", "fr-fr+f2"),
    "es": ("es", "es+f2"),
    "it": ("it", "it+f2"),
}
"""A male and a female voice of each language, in the order of the columns after English."""
WORDS_PER_MINUTE = 150


def load_encoder() -> Any:
    """Return the module that levels and encodes for hearing-mini."""
    source = HERE.parent / "mini" / "make_audio.py"
    spec = importlib.util.spec_from_file_location("make_audio", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_audio"] = module
    spec.loader.exec_module(module)
    return module


def speak(encoder: Any, text: str, voice: str) -> Any:
    """Return levelled speech at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "speech.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(WORDS_PER_MINUTE), "-w", str(target), text]
        subprocess.run(command, check=True)
        signal, rate = encoder.sf.read(target, dtype="float64")
    return encoder.finish(signal, rate)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    encoder = load_encoder()
    lines = (HERE / "text" / "sentences.txt").read_text(encoding="utf-8").splitlines()
    rows, size, differing = [], 0, 0
    for column, (language, voices) in enumerate(VOICES.items(), start=1):
        (HERE / "audio" / language).mkdir(parents=True, exist_ok=True)
        for number, line in enumerate(lines, start=1):
            english, text = line.split("|")[0], line.split("|")[column]
            name, voice = f"{language}-{number:03d}", voices[number % len(voices)]
            signal = speak(encoder, text, voice)
            stream, target = encoder.encode(signal, name), HERE / "audio" / language / f"{name}.ogg"
            if not options.check:
                target.write_bytes(stream)
            elif not target.exists() or target.read_bytes() != stream:
                LOG.warning("differs: %s", name)
                differing += 1
            size += len(stream)
            row = {"id": name, "audio": f"../audio/{language}/{name}.ogg", "language": language, "text": text}
            duration_s = round(len(signal) / encoder.RATE, 2)
            rows.append({**row, "english": english, "speaker": f"espeak_{voice}", "duration_s": duration_s})
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    manifest = HERE / "data" / "languages.jsonl"
    if not options.check:
        manifest.write_text(content, encoding="utf-8")
    elif manifest.read_text(encoding="utf-8") != content:
        differing += 1
    LOG.info("%d clips, %.0f s, %d bytes", len(rows), sum(row["duration_s"] for row in rows), size)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the recordings of the keyword and vowel probes: every word by every voice.

This is a tool for the authors of the tasks; users of them never need it. A line of ``text/<set>.txt`` is a
word, and behind ``|`` its label where that is not the word itself. ``hearing/mini/voices.py`` says what has
to be installed. Levels are those of hearing-mini; the encoding is Opus, because the headers of Vorbis alone
are longer than most of these words.

Usage, from the project's root::

    python -m tasks.hearing.probes.make_audio            # write
    python -m tasks.hearing.probes.make_audio --check    # is what lies here what would be made?
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
from tasks.hearing.mini import voices

LOG = logging.getLogger("make_audio")
HERE = Path(__file__).resolve().parent
SETS = {"keywords": "keyword", "vowels": "vowel"}
"""Set, and the column of its labels."""
VOICES = (
    "espeak_en-us", "espeak_en+f2", "espeak_en-gb-x-rp+m3", "espeak_en-gb-x-rp+f4", "espeak_en-us+f1",
    "flite_slt", "flite_awb", "flite_rms", "flite_kal16", "piper_joe",
)  # fmt: skip
"""A probe is asked about two voices that it was not fitted on, the i-th and the (i + 5)-th: one of espeak-ng
and one of another engine."""
WORDS_PER_MINUTE = 150
"""Of espeak-ng."""


def speak(word: str, speaker: str) -> np.ndarray:
    """Return a levelled word at 16 kHz by one of :data:`VOICES`."""
    engine, _, voice = speaker.partition("_")
    if engine != "espeak":
        return voices.speak(word, speaker)
    return voices.finish(*voices.speak_espeak(word, voice, words_per_minute=WORDS_PER_MINUTE))


def make_set(set_name: str) -> dict[Path, bytes]:
    """Return the content of every file of a set."""
    files, rows = {}, []
    for line in (HERE / "text" / f"{set_name}.txt").read_text(encoding="utf-8").splitlines():
        word, label = line.split("|")[0], line.split("|")[-1]
        letters = word.replace("'", "")
        for number, speaker in enumerate(VOICES, 1):
            name = f"{letters}-{number:02d}"
            signal = speak(word, speaker)
            files[HERE / "audio" / set_name / f"{name}.ogg"] = voices.encode(signal, name, codec="OPUS")
            row = {"id": name, "audio": f"../audio/{set_name}/{name}.ogg", "text": word}
            spoken = {"speaker": speaker, "duration_s": voices.duration_s(signal)}
            rows.append({**row, SETS[set_name]: label, **spoken})
    LOG.info("%s: %d clips, %d bytes", set_name, len(rows), sum(map(len, files.values())))
    return files | {HERE / "data" / f"{set_name}.jsonl": voices.manifest(rows)}


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    options = voices.arguments_of(__doc__, arguments)
    return 1 if sum(voices.settle(make_set(name), check=options.check) for name in SETS) else 0


if __name__ == "__main__":
    sys.exit(main())

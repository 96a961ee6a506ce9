"""People speaking French, Italian, Russian and Spanish: the voice prompts of Asterisk, as a test set.

Debian packages them with their texts (asterisk-core-sounds, 1.6.1; French and Spanish CC-BY-SA-3.0, Italian
and Russian CC-BY-3.0):

    apt-get download asterisk-core-sounds-{es,fr,it,ru} asterisk-core-sounds-{es,fr,it,ru}-wav
    for package in *.deb; do dpkg-deb --extract $package unpacked; done
    python examples/voice-prompts/make_manifest.py unpacked
    forgetbench run --model whisper-english --include-path examples/voice-prompts --tasks voice-prompts

Left out are prompts of fewer than four words, with a digit or a stage direction in their text, longer than
15 s, or with more or fewer words a second than people speak: there, text and sound are not the same.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import soundfile

HERE = Path(__file__).resolve().parent
VOICES = {"es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU"}
MIN_WORDS = 4
MAX_S = 15.0
WORDS_PER_S = (0.8, 5.0)
NOT_SPOKEN = re.compile(r"[\d\[\](){}<>]")


class Prompt(NamedTuple):
    """A recording and what is said in it."""

    language: str
    name: str
    audio: Path
    text: str


def prompts(unpacked: Path, language: str) -> Iterator[Prompt]:
    """Yield the usable prompts of a language, by name.

    Raises:
        FileNotFoundError: The package of the texts is not there.
    """
    package = f"asterisk-core-sounds-{language}"
    texts = unpacked / "usr/share/doc" / package / f"core-sounds-{language}.txt.gz"
    sounds = unpacked / "usr/share/asterisk/sounds" / VOICES[language]
    found = {}
    for line in gzip.decompress(texts.read_bytes()).decode("utf-8-sig").splitlines():
        name, colon, text = line.partition(":")
        audio = sounds / f"{name.strip()}.wav"
        if colon and not line.startswith(";") and audio.is_file():
            found[name.strip()] = Prompt(language, name.strip(), audio, text.strip())
    yield from (found[name] for name in sorted(found) if is_usable(found[name]))


def is_usable(prompt: Prompt) -> bool:
    """Say whether text and sound are the same, as far as can be told without hearing it."""
    words = len(prompt.text.split())
    seconds = soundfile.info(prompt.audio).duration
    if words < MIN_WORDS or not 0 < seconds <= MAX_S or NOT_SPOKEN.search(prompt.text):
        return False
    return WORDS_PER_S[0] <= words / seconds <= WORDS_PER_S[1]


def main() -> None:
    """Write ``prompts.jsonl``, and its recordings beside it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("unpacked", type=Path, help="where the packages were extracted to")
    parser.add_argument(
        "--output", type=Path, default=HERE / "data", help="folder to write (default: %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        chosen = [prompt for language in VOICES for prompt in prompts(arguments.unpacked, language)]
    except FileNotFoundError as error:
        parser.error(f"{error.filename} is not there. Extract the packages first; see --help.")
    rows = []
    for prompt in chosen:
        audio = arguments.output / prompt.language / f"{prompt.name.replace('/', '-')}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(prompt.audio, audio)
        rows.append(
            {
                "id": f"{prompt.language}-{audio.stem}",
                "audio": str(audio.relative_to(arguments.output)),
                "text": prompt.text,
                "language": prompt.language,
            }
        )
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (arguments.output / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
    counts = [f"{sum(row['language'] == language for row in rows)} in {language}" for language in VOICES]
    sys.stdout.write(f"{', '.join(counts)}: {arguments.output / 'prompts.jsonl'}\n")


if __name__ == "__main__":
    main()

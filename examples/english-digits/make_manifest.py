"""People saying English digits: what docs/languages.md and docs/assistant.md post-train a recogniser on.

The recordings are of the free spoken digit dataset (CC-BY-SA-4.0); ``recordings.txt`` names the 200 of them
that were used.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset
    python examples/english-digits/make_manifest.py free-spoken-digit-dataset/recordings

``english/all.jsonl`` has the 200, ``english/train.jsonl`` the 134 of four speakers,
``english/test.jsonl`` the 66 of the two others.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HELD_OUT = ("theo", "yweweler")
ENDINGS = (".wav", ".flac")


def main() -> None:
    """Write the three manifests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path, help="folder with files such as 0_george_1.wav")
    parser.add_argument(
        "--output", type=Path, default=Path("english"), help="folder to write (default: %(default)s)"
    )
    arguments = parser.parse_args()
    rows = []
    for name in (HERE / "recordings.txt").read_text(encoding="utf-8").split():
        found = [path for ending in ENDINGS if (path := arguments.recordings / f"{name}{ending}").is_file()]
        if not found:
            parser.error(
                f"{arguments.recordings / name}.wav is not there. Clone the dataset first; see --help."
            )
        digit, speaker, _ = name.split("_")
        audio = str(found[0].resolve())
        rows.append({"id": name, "audio": audio, "text": WORDS[int(digit)], "speaker": speaker})
    arguments.output.mkdir(parents=True, exist_ok=True)
    parts = {
        "all": rows,
        "train": [row for row in rows if row["speaker"] not in HELD_OUT],
        "test": [row for row in rows if row["speaker"] in HELD_OUT],
    }
    for name, part in parts.items():
        lines = [json.dumps(row) + "\n" for row in part]
        (arguments.output / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    counts = ", ".join(f"{len(part)} in {name}.jsonl" for name, part in parts.items())
    sys.stdout.write(f"{arguments.output}: {counts}\n")


if __name__ == "__main__":
    main()

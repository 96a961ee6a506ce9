"""Does a voice still sound like the one that it should be? Sentences of hearing-mini, and recordings of it.

    python examples/own-voice/make_manifest.py me.wav
    forgetbench run --model ./my-voice --base ./voice --include-path examples/own-voice --tasks own-voice

What the model speaks is compared with the recording: about 20 s of clean speech in the wanted voice, of other
sentences. Several recordings are given to the sentences in turn.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
SENTENCES = HERE.parents[1] / "tasks/hearing/mini/data/everyday_test.jsonl"


def main() -> None:
    """Write the manifest, with the recordings beside it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recordings", type=Path, nargs="+", help="audio files of the wanted voice")
    parser.add_argument("--output", type=Path, default=HERE / "data", help="folder to write")
    arguments = parser.parse_args()
    if missing := [path for path in arguments.recordings if not path.is_file()]:
        parser.error(f"{missing[0]} is not there")
    arguments.output.mkdir(parents=True, exist_ok=True)
    copies = [f"voice{i}{path.suffix}" for i, path in enumerate(arguments.recordings)]
    for path, copy in zip(arguments.recordings, copies, strict=True):
        shutil.copyfile(path, arguments.output / copy)
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    with (arguments.output / "own_voice.jsonl").open("w", encoding="utf-8") as manifest:
        for i, row in enumerate(rows):
            wanted = {"id": row["id"], "text": row["text"], "voice": copies[i % len(copies)]}
            manifest.write(json.dumps(wanted) + "\n")


if __name__ == "__main__":
    main()

"""Write ``data/two_talkers.jsonl``: which two everyday sentences are mixed. No audio is made.

This is a tool for the authors of the suite; users of the suite never need it. Each sentence is mixed with the
next one, which another voice says.
"""

from __future__ import annotations

import json
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"


def main() -> None:
    """Write the manifest."""
    lines = (DATA / "everyday_test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    mixed = [
        {
            "id": f"talkers-{number:03d}",
            "audio": one["audio"],
            "other": other["audio"],
            "text": one["text"],
            "other_text": other["text"],
            "speakers": f"{one['speaker']} {other['speaker']}",
        }
        for number, (one, other) in enumerate(zip(rows, rows[1:] + rows[:1], strict=True), start=1)
    ]
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in mixed)
    (DATA / "two_talkers.jsonl").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()

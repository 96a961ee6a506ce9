"""The way of one sample names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "harness" / "forgetbench"


def named_paths(line: str) -> list[Path]:
    """Return the files and folders that a line names; a bare name lies where the one before it does."""
    found, folder = [], PACKAGE
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", line):
        places = (folder / name, PACKAGE / name, ROOT / name)
        path = next((place for place in places if place.exists()), places[0])
        folder = path if path.is_dir() else path.parent
        found.append(path)
    return found


def test_every_file_of_the_table_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = [path for line in text.splitlines() if line.startswith("| ") for path in named_paths(line)]
    assert len(named) > 150 and [path for path in named if not path.exists()] == []

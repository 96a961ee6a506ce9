"""The architecture page names files that are there, and the sources keep the rules of the house."""

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


def test_what_the_type_checker_is_told_to_ignore_has_a_reason_beside_it() -> None:
    ignored = [
        f"{path.name}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "# type: ignore" in line
    ]
    assert ignored and [line for line in ignored if not re.search(r"ignore\[[^]]+\]  # \w", line)] == []

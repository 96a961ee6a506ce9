"""The architecture page names every file of the package, and the sources keep the rules of the house."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "harness" / "forgetbench"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([\w/]+(?:\.(?:py|md|yml)|/))`")
IN_A_CHECKPOINT = {"codec/"}
"""Folders of the page that lie in a user's own directories."""


def named_paths() -> list[Path]:
    """Return what the page names; a bare name lies in its heading's folder, or its line's first."""
    found, below = [], PACKAGE
    for line in PAGE.splitlines():
        if line.startswith("#"):
            of_heading = NAMED.findall(line)
            below = PACKAGE / of_heading[0] if len(of_heading) == 1 else PACKAGE
        folder = below
        for name in NAMED.findall(line):
            if name in IN_A_CHECKPOINT:
                continue
            places = (folder / name, below / name, PACKAGE / name, ROOT / name)
            path = next((place for place in places if place.exists()), below / name)
            folder = path if path.is_dir() and folder == below else folder
            found.append(path)
    return found


def test_every_path_of_the_page_is_there() -> None:
    assert [str(path) for path in named_paths() if not path.exists()] == []


def test_every_module_of_the_package_is_named() -> None:
    modules = {path for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")}
    assert sorted(str(path.relative_to(PACKAGE)) for path in modules - set(named_paths())) == []


def test_what_the_type_checker_is_told_to_ignore_has_a_reason_beside_it() -> None:
    ignored = [
        f"{path.name}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "# type: ignore" in line
    ]
    assert ignored and [line for line in ignored if not re.search(r"ignore\[[^]]+\]  # \w", line)] == []

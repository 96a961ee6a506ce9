"""The page on installing has every extra, with what it brings and whether its floor is tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
ROWS = {cells[1].strip("` "): cells for line in PAGE.splitlines() if len(cells := line.split("|")) == 6}
FOR_PEOPLE = {"demo", "docs", "dev"}
"""Extras that measure nothing."""


def requirements(extra: str) -> list[Requirement]:
    return [Requirement(text) for text in EXTRAS[extra]]


def reached(extra: str) -> set[str]:
    """Return the extras that an extra brings, those of these too."""
    below = {name for one in requirements(extra) if one.name == "forgetbench" for name in one.extras}
    return below.union(*map(reached, below))


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_has_a_row_with_what_it_brings(extra: str) -> None:
    brings = ROWS[extra][2]
    if extra in ("all", "dev"):
        return
    for one in requirements(extra):
        for name in one.extras if one.name == "forgetbench" else [one.name]:
            assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", brings), f"{extra} brings {name}"


def test_the_page_has_no_extra_that_is_gone() -> None:
    assert set(ROWS) - {"extra", "---"} == set(EXTRAS)


def test_all_is_all() -> None:
    assert reached("all") == set(EXTRAS) - FOR_PEOPLE - {"all"}
    assert {"all", "docs"} <= reached("dev")


def test_tested_floors_are_those_that_make_test_lowest_installs() -> None:
    (installed,) = re.findall(r'--editable "\.\[([\w,-]+)\]" pytest', (ROOT / "Makefile").read_text())
    assert {name for name, cells in ROWS.items() if cells[4].strip() == "tested"} == set(installed.split(","))
    exact = {
        name
        for name in EXTRAS
        if all(
            one.name != "forgetbench" and str(one.specifier).startswith("==") for one in requirements(name)
        )
    }
    assert {name for name, cells in ROWS.items() if cells[4].strip() == "exact"} == exact

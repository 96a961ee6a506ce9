"""``--model``: names, globs, and the order in which they stand for checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.cli.checkpoints import expand
from forgetbench.errors import UsageError


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def test_a_glob_stands_for_directories_in_the_order_of_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders(tmp_path, "out/checkpoint-12", "out/checkpoint-6", "out/checkpoint-100", "out/other")
    (tmp_path / "out" / "checkpoint-7.txt").touch()
    expected = [f"out/checkpoint-{step}" for step in (6, 12, 100)]
    assert expand(["out/checkpoint-*"]) == expected
    assert expand([str(tmp_path / "out" / "checkpoint-*")]) == [str(tmp_path / name) for name in expected]
    assert expand(["./ou?/checkpoint-*"]) == expected


def test_numbers_with_units_and_fractions_are_numbers(tmp_path: Path) -> None:
    folders(tmp_path, "audio-60s", "audio-300s", "audio-7.5s", "audio-15s")
    found = expand([str(tmp_path / "audio-*")])
    assert [Path(path).name for path in found] == ["audio-7.5s", "audio-15s", "audio-60s", "audio-300s"]


def test_names_keep_their_order_and_come_once(tmp_path: Path) -> None:
    folders(tmp_path, "b1", "b2", "a")
    first, second = str(tmp_path / "b1"), str(tmp_path / "b2")
    assert expand(["org/name@main", second, str(tmp_path / "b*")]) == ["org/name@main", second, first]


def test_a_path_with_a_bracket_is_a_path(tmp_path: Path) -> None:
    folders(tmp_path, "run[1]")
    assert expand([str(tmp_path / "run[1]")]) == [str(tmp_path / "run[1]")]


def test_a_glob_without_directories_stands_for_files(tmp_path: Path) -> None:
    for name in ("b.gguf", "a.gguf"):
        (tmp_path / name).touch()
    assert [Path(path).name for path in expand([str(tmp_path / "*.gguf")])] == ["a.gguf", "b.gguf"]


def test_a_glob_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none-\*: matches nothing"):
        expand([str(tmp_path / "none-*")])


def test_a_pattern_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match=r"--model out/checkpoint\*\*: is no pattern .* Use \* within a name"
    ):
        expand(["out/checkpoint**"])

"""Every command that tells something can tell it to a program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.main import get_command

from forgetbench.cli.app import app

WITHOUT = {"mlflow ui", "leaderboard serve", "lm-eval", "schema"}
"""Servers, another program's command line, and what is JSON already."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    below = getattr(command, "commands", None)
    if below is None:
        return {" ".join(path): command}
    return {
        name: leaf for word, child in below.items() for name, leaf in leaves(child, (*path, word)).items()
    }


LEAVES = leaves(get_command(app))


@pytest.mark.parametrize("name", sorted(LEAVES.keys() - WITHOUT))
def test_a_command_has_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in LEAVES[name].params)


def test_json_on_a_terminal_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    from forgetbench.cli.console import write_json

    title = "a\x9b31m\x7f\u202eb"
    write_json({"title": title})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"title": title}
    assert not set(shown) & {"\x9b", "\x7f", "\u202e"} and "\\u202e" in shown

"""Every command that tells something can tell it to a program."""

from __future__ import annotations

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

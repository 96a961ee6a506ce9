"""A command in this process, as a person sees it: what it says, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that say what went wrong."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Terminal = Callable[..., Ended]


@pytest.fixture
def terminal(capfd: pytest.CaptureFixture[str]) -> Terminal:
    """``terminal("run", "--model", …)`` runs a command and returns how it ended."""
    from forgetbench.cli import main

    def call(*words: object) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        said = capfd.readouterr()
        return Ended(left.value.code if isinstance(left.value.code, int) else 0, said.out, said.err)

    return call


def content(folder: Path) -> dict[str, Any]:
    """Return every file of a folder of results: documents without ``measured``, all else as bytes."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".json":
            found[path.name] = {k: v for k, v in json.loads(path.read_text()).items() if k != "measured"}
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found

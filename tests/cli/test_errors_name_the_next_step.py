"""Every error that a user can see says what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import forgetbench

PACKAGE = Path(forgetbench.__file__).parent
ERRORS = {"UsageError", "DataError", "CheckpointError", "TaskError", "ForgetbenchError"}


def without_way_out(source: str) -> list[int]:
    """Return the lines on which an error is made of a thing and a cause alone."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ERRORS
        and len(node.args) + len(node.keywords) < 3
        and not any(isinstance(argument, ast.Starred) for argument in node.args)
    ]


def test_the_search_finds_an_error_without_a_way_out() -> None:
    assert without_way_out('raise UsageError("a", "is wrong")\nraise UsageError("a", "b", "Mend it.")') == [1]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_an_error_says_what_to_do_next(path: Path) -> None:
    lines = without_way_out(path.read_text(encoding="utf-8"))
    assert not lines, f"{path.name}, lines {lines}: add the way out as the third argument"

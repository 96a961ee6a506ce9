"""No page shows a command that the command line would not take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from shown_commands import (
    BLOCK,
    PAGES,
    ROOT,
    Shown,
    leaves,
    shown_in_blocks,
    shown_in_help,
    shown_in_sentences,
    shown_in_tables,
)
from typer.main import get_command
from typer.testing import CliRunner

from forgetbench.cli.app import app

COMPLETE = [*dict.fromkeys([*shown_in_blocks(), *shown_in_help()])]
TABLED = [*dict.fromkeys(shown_in_tables())]
QUOTED = [*dict.fromkeys(shown_in_sentences())]
CHEAP = re.compile(r"forgetbench (tasks (ls|show)|recipe (ls|show)|env|schema)( [\w*'-]+| --json)*")
INSTALL = ["--install-completion"]
"""Parsing it would already write into the shell's own files: the test of completion has its script."""


def parse(words: list[str]) -> None:
    """Parse the words of a command as the command line does, and run nothing."""
    command: Any = get_command(app)
    context = command.make_context("forgetbench", list(words), resilient_parsing=False)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("shown", [*COMPLETE, *TABLED], ids=lambda shown: f"{shown.place}: {shown.line}")
def test_a_command_that_is_shown_is_one_that_is_taken(shown: Shown) -> None:
    if shown.words == INSTALL:
        return
    if shown.words[-1:] == ["--help"] or shown.words == ["--version"]:
        assert CliRunner().invoke(app, shown.words).exit_code == 0
        return
    try:
        parse(shown.words)
    except typer.TyperException as error:
        pytest.fail(f"{shown.place} shows `{shown.line}`: {error}")


@pytest.mark.parametrize("shown", TABLED, ids=lambda shown: shown.line)
def test_a_command_of_the_coverage_names_a_model_and_what_it_is_asked_or_taught(shown: Shown) -> None:
    assert "--model" in shown.words, shown.line
    assert {"--tasks", "--data"}.intersection(shown.words), shown.line


@pytest.mark.parametrize("shown", QUOTED, ids=lambda shown: f"{shown.place}: {shown.line}")
def test_a_command_that_is_quoted_exists_with_its_options(shown: Shown) -> None:
    words = [word for word in shown.words if word != "…"]
    if words == INSTALL:
        return
    by_path = dict(leaves(get_command(app)))
    path = next((words[:n] for n in (2, 1) if tuple(words[:n]) in by_path), None)
    if path is None:
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0, f"{shown.place}: {shown.line}"
        return
    known = {name for parameter in by_path[tuple(path)].params for name in parameter.opts} | {"--help"}
    known |= {name for parameter in by_path[tuple(path)].params for name in parameter.secondary_opts}
    options = {word.partition("=")[0].replace("_", "-") for word in words if re.match(r"--\w", word)}
    if path != ["lm-eval"]:
        assert options <= known, f"{shown.place}: {shown.line}"


@pytest.mark.parametrize(
    "shown",
    [shown for shown in COMPLETE if CHEAP.fullmatch(shown.line) and "example" not in shown.line],
    ids=lambda shown: f"{shown.place}: {shown.line}",
)
def test_a_command_that_only_shows_something_runs(shown: Shown) -> None:
    done = CliRunner().invoke(app, shown.words)
    assert done.exit_code == 0, done.output


def test_the_pages_show_the_everyday_commands() -> None:
    lines = " ".join(shown.line for shown in COMPLETE)
    for command in ("run", "compare", "report", "gate", "tasks new", "tasks validate", "fetch", "recipe run"):
        assert f"forgetbench {command}" in lines


def test_the_way_to_a_new_task_works_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "new-task.md").read_text()
    monkeypatch.chdir(tmp_path)
    shown = [s for s in COMPLETE if s.place == "docs/new-task.md" and s.line.startswith("forgetbench tasks")]
    assert len(shown) == 2
    outputs = [CliRunner().invoke(app, one.words, env={"COLUMNS": "120"}) for one in shown]
    assert [done.exit_code for done in outputs] == [0, 0]
    (block,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert outputs[1].stdout == block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_that_is_shown_is_python(page: Path) -> None:
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            compile(block, str(page), "exec")

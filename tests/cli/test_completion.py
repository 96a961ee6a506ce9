"""What Tab offers, as bash, zsh and fish ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from forgetbench.cli.app import app
from forgetbench.cli.completion import recipe, task, task_or_suite
from forgetbench.tasks.registry import load_registry
from forgetbench.tasks.stub import write_stub

LINE = typer.Context(get_command(app), info_name="forgetbench")
"""A command line that has no option yet."""


def complete(shell: str, words: str) -> str:
    """Return what the shell's own completion script would be told."""
    position = len(words.split()) - (0 if words.endswith(" ") else 1)
    environment = {
        **os.environ,
        "_FORGETBENCH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(position),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    code = "from forgetbench.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tasks_and_suites_are_completed(shell: str) -> None:
    said = complete(shell, "forgetbench run --tasks retention-m")
    assert "retention-mini" in said and "safety-mini" not in said


def test_commands_and_recipes_are_completed() -> None:
    assert "validate" in complete("bash", "forgetbench tasks val")
    assert "lora" in complete("bash", "forgetbench recipe show lo")
    assert recipe("lo") == ["lora"] and "commonsense_mini" in task(LINE, "common")


def test_of_a_list_the_last_name_is_completed_and_none_is_offered_twice() -> None:
    assert "safety-mini,retention-mini" in task_or_suite(LINE, "safety-mini,retention-m")
    assert "retention-mini,retention-mini" not in task_or_suite(LINE, "retention-mini,retention-m")
    assert "hearing-mini" in task_or_suite(LINE, "")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("run --include-path own/kitchen.yaml --tasks kitch", "kitchen"),
        ("run --include-path own --tasks kitch", "kitchen"),
        ("tasks show --include-path own/kitchen.yaml kitch", "kitchen"),
        ("run --include-path own/gone.yaml --tasks commonsense_m", "commonsense_mini"),
        ("run --role retention-m", "retention-mini="),
        ("run --include-path own --role kitch", "kitchen="),
        ("compare --role commonsense_m", "commonsense_mini="),
        ("compare --margin retention-m", "retention-mini="),
    ],
)
def test_names_are_completed_wherever_one_is_written(
    words: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_stub("kitchen", "generate", tmp_path / "own")
    assert complete("bash", f"forgetbench {words}").split() == [name]


def test_each_shell_is_given_a_script_that_asks_for_names() -> None:
    for shell in ("bash", "zsh", "fish"):
        environment = {**os.environ, "_FORGETBENCH_COMPLETE": f"source_{shell}"}
        code = "from forgetbench.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert f"complete_{shell}" in done.stdout


def test_every_task_and_suite_of_the_registry_is_offered() -> None:
    registry = load_registry()
    assert set(task(LINE, "")) == {definition.task.name for definition in registry}
    assert set(task_or_suite(LINE, "")) == {*task(LINE, ""), *registry.suites}

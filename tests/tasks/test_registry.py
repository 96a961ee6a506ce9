from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.errors import TaskError
from forgetbench.tasks.registry import load_registry

GOOD = """\
name: mine
version: 1
title: Mine
kind: multiple_choice
role: general
dataset: {path: data.jsonl}
prompt: "{question}"
metrics: [acc]
primary: acc
margin: 0.02
chance: 0.5
licence: CC0-1.0
"""


def test_suites_names_and_globs_select() -> None:
    registry = load_registry()
    suite = {d.task.name for d in registry.select(["safety-mini"]).tasks}
    assert suite == {d.task.name for d in registry.select(["*_refusal_mini", "*_margin_mini"]).tasks}
    assert len(registry.select(["harmful_margin_mini", "safety-mini"]).tasks) == len(suite)


def test_a_dash_is_an_underscore_too_but_between_brackets_a_range() -> None:
    registry = load_registry()
    named = {d.task.name for d in registry.select(["harmful_margin_mini"]).tasks}
    for pattern in ("harmful-margin-mini", "[a-h]armful_margin_mini", "[!-]armful-margin_mini"):
        assert {d.task.name for d in registry.select([pattern]).tasks} == named


def test_an_unknown_name_is_met_with_a_suggestion() -> None:
    with pytest.raises(TaskError, match="Did you mean safety-mini"):
        load_registry().select(["safty-mini"])


def test_a_role_can_be_given_on_the_command_line() -> None:
    selection = load_registry().select(["safety-mini"], roles={"harmful_*": "target"})
    roles = {d.task.name: d.task.role for d in selection.tasks}
    assert roles["harmful_refusal_mini"] == "target"
    assert roles["benign_refusal_mini"] == "safety"
    with pytest.raises(TaskError, match="role 'goal': is unknown"):
        load_registry().select(["safety-mini"], roles={"harmful_*": "goal"})


def test_a_suite_row_brings_its_tasks() -> None:
    selection = load_registry().select(["retention_mini"])
    (row,) = selection.suite_rows
    assert {d.task.name for d in selection.tasks} == set(row.tasks)


def test_a_suite_row_whose_margin_no_loss_exceeds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "row.yaml").write_text(
        "{kind: suite_row, name: both, version: 1, title: Both, role: general, margin: 5, licence: CC0-1.0,"
        " tasks: [commonsense_mini, reading_mini]}"
    )
    registry = load_registry([tmp_path])
    assert registry.select(["reading_mini"])
    with pytest.raises(
        TaskError, match=r"row.yaml, key `margin`: 5 is 500 points of acc, and judges nothing"
    ):
        registry.select(["both"])


def test_include_path_adds_tasks_and_a_taken_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert load_registry([tmp_path]).get("mine")
    (tmp_path / "b.yaml").write_text(GOOD.replace("name: mine", "name: hellaswag"))
    with pytest.raises(TaskError, match="task hellaswag: is defined in"):
        load_registry([tmp_path])
    with pytest.raises(TaskError, match="does not exist"):
        load_registry([tmp_path / "none"])

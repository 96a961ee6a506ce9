"""From ``tasks new`` to a run: what is written is valid, is tried, and can be measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

import forgetbench
from forgetbench.cli.tasks import Kind
from forgetbench.engine.trial import try_task
from forgetbench.errors import DataError, MissingPackageError, TaskError, UsageError
from forgetbench.schema.task import DatasetTask
from forgetbench.tasks import stub
from forgetbench.tasks.definition import Definition, read_definition
from forgetbench.tasks.registry import load_registry

Cli = Callable[..., Any]


def test_the_command_offers_the_kinds_that_there_are() -> None:
    assert get_args(Kind) == get_args(stub.Kind)
    assert set(stub._STUBS) == set(get_args(Kind))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_new_task_of_every_kind_is_valid_and_tried(cli: Cli, tmp_path: Path, kind: str) -> None:
    assert cli("tasks", "new", "my-task", "--kind", kind, "--to", str(tmp_path)).exit_code == 0
    definition = read_definition(tmp_path / "my-task.yaml")
    assert (definition.task.name, definition.task.kind) == ("my-task", kind)
    trial = try_task(definition)
    assert (len(trial.samples), trial.n_available) == (3, 3)
    said = cli("tasks", "validate", str(tmp_path / "my-task.yaml"))
    assert said.exit_code == 0 and "3 tried" in said.stdout and trial.samples[0].id in said.stdout


@pytest.mark.parametrize(("kind", "model"), [("generate", "llama"), ("asr", "whisper")])
def test_a_new_task_runs(cli: Cli, made: Path, tmp_path: Path, kind: str, model: str) -> None:
    cli("tasks", "new", "my-task", "--kind", kind, "--to", str(tmp_path))
    result = forgetbench.evaluate(
        made / model, tasks="my-task", include_paths=[tmp_path / "my-task.yaml"], output=tmp_path / "results"
    )
    assert result.rows["n"].tolist() == [3]


def test_a_name_that_is_taken_or_wrong_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    for name, says in (("hellaswag", "already"), ("hearing", "already"), ("My Task", "no name")):
        done = cli("tasks", "new", name, "--to", str(tmp_path))
        assert isinstance(done.exception, TaskError) and says in str(done.exception)
    assert list(tmp_path.glob("*")) == []


def test_what_is_there_is_kept(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my-task.jsonl").write_text("mine")
    done = cli("tasks", "new", "my-task", "--to", str(tmp_path))
    assert "is there already" in str(done.exception)
    assert (tmp_path / "my-task.jsonl").read_text() == "mine"
    assert not (tmp_path / "my-task.yaml").exists()


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_reference_that_no_answer_can_match_is_found(cli: Cli, tmp_path: Path) -> None:
    cli("tasks", "new", "sums", "--to", str(tmp_path))
    path = tmp_path / "sums.yaml"
    change(path, "max_new_tokens: 16", "max_new_tokens: 16\nextract: last_number")
    with pytest.raises(TaskError, match="its reference, as an answer, gets exact_match 0"):
        try_task(read_definition(path))


def test_a_prompt_over_a_column_that_is_not_there_is_found(cli: Cli, tmp_path: Path) -> None:
    cli("tasks", "new", "sums", "--to", str(tmp_path))
    change(tmp_path / "sums.yaml", "{question}", "{qestion}")
    with pytest.raises(DataError, match="qestion"):
        try_task(read_definition(tmp_path / "sums.yaml"))
    done = cli("tasks", "validate", str(tmp_path / "sums.yaml"), "--json")
    assert isinstance(done.exception, UsageError)
    (check,) = json.loads(done.stdout)
    assert check["name"] == "sums" and "qestion" in check["error"]


def test_a_recording_that_cannot_be_read_is_found(cli: Cli, tmp_path: Path) -> None:
    cli("tasks", "new", "heard", "--kind", "asr", "--to", str(tmp_path))
    (tmp_path / "heard" / "u2.wav").write_bytes(b"no audio")
    with pytest.raises(TaskError, match="sample 'u2'"):
        try_task(read_definition(tmp_path / "heard.yaml"))


EMBEDDED = [d for d in load_registry() if isinstance(d.task, DatasetTask) and d.task.dataset.path is not None]


@pytest.mark.parametrize("definition", EMBEDDED, ids=lambda definition: definition.task.name)
def test_every_task_that_ships_with_its_data_can_be_tried(definition: Definition) -> None:
    trial = try_task(definition)
    assert trial.samples and (trial.n_available or 0) >= 20, trial.note


def test_a_package_that_is_missing_here_is_no_fault_of_the_file(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("tasks", "new", "sums", "--to", str(tmp_path))

    def missing(metrics: object) -> None:
        raise MissingPackageError("metric 'exact_match'", "a package", extra="some")

    monkeypatch.setattr("forgetbench.engine.trial.check_installed", missing)
    done = cli("tasks", "validate", str(tmp_path / "sums.yaml"))
    assert done.exit_code == 0 and "pip install 'forgetbench[some]'" in done.stdout


def test_a_task_whose_data_is_on_the_hub_says_how_it_is_fetched(cli: Cli) -> None:
    builtin = Path(forgetbench.__file__).parents[2] / "tasks" / "retention" / "divergence_wikitext.yaml"
    said = cli("tasks", "validate", str(builtin)).stdout
    assert "forgetbench fetch --tasks divergence_wikitext\n" in said


def test_the_data_of_a_task_of_ones_own_is_fetched_with_its_file(cli: Cli, tmp_path: Path) -> None:
    cli("tasks", "new", "sums", "--to", str(tmp_path))
    path = tmp_path / "sums.yaml"
    change(path, "path: sums.jsonl", "hub: no/such")
    next_step = f"forgetbench fetch --tasks sums --include-path {path}"
    assert next_step in cli("tasks", "validate", str(path)).stdout
    run = cli("run", "--model", "x", "--include-path", str(path), "--tasks", "sums", "--offline")
    assert next_step in str(run.exception)
    assert "no task or suite" not in str(cli(*next_step.split()[1:]).exception), "the command knows the task"


def test_a_task_that_lm_eval_does_not_have_is_found(cli: Cli, tmp_path: Path, lm_eval_index: None) -> None:
    (tmp_path / "mine.yaml").write_text("lm_eval: no_such_task_xyz\n")
    said = cli("tasks", "validate", str(tmp_path / "mine.yaml"))
    assert isinstance(said.exception, TaskError)
    assert "no_such_task_xyz: is not a task of lm-eval" in said.stdout


def test_the_samples_are_shown_as_text_that_no_terminal_acts_upon(cli: Cli, tmp_path: Path) -> None:
    cli("tasks", "new", "evil", "--to", str(tmp_path))
    change(tmp_path / "evil.jsonl", "What is 2 + 3?", "\\u001b[31mred [bold]")
    said = cli("tasks", "validate", str(tmp_path / "evil.yaml")).stdout
    assert "\x1b" not in said and "[bold]" in said

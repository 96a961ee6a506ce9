"""``--engine ray`` on the command line: what is refused, what a dry run shows, and a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Terminal
from ray_runs import a_ray, asked

WORDS = (
    "run", "--model", "logging_model:checkpoint", "--base", "logging_model:base", "--tasks", "choices",
    "--include-path", "tasks", "--no-mlflow", "--batch-size", "5",
)  # fmt: skip


def test_an_address_without_the_engine_is_refused(terminal: Terminal) -> None:
    ended = terminal(*WORDS, "--ray-address", "auto")
    assert ended.code == 2
    assert ended.errors == ["error: --ray-address: is for --engine ray. Add --engine ray."]


def test_a_budget_is_refused_for_it_times_this_machine(
    terminal: Terminal, logging_model: Path, tiny_tasks: Path
) -> None:
    ended = terminal(*WORDS, "--engine", "ray", "--budget", "1m")
    assert ended.code == 2 and "--limit" in ended.errors[0]


def test_a_cluster_that_is_not_there_is_named(
    terminal: Terminal, logging_model: Path, tiny_tasks: Path
) -> None:
    ended = terminal(*WORDS, "--engine", "ray", "--ray-address", "127.0.0.1:1")
    assert ended.code == 2
    (error,) = ended.errors
    assert error.startswith("error: --ray-address 127.0.0.1:1: cannot be reached")


def test_an_address_of_ray_client_is_refused(
    terminal: Terminal, logging_model: Path, tiny_tasks: Path
) -> None:
    ended = terminal(*WORDS, "--engine", "ray", "--ray-address", "ray://127.0.0.1:10001")
    assert ended.code == 2
    assert "is of Ray Client" in ended.errors[0] and "ray job submit" in ended.errors[0]


def test_a_dry_run_shows_placement_and_cost_and_a_run_asks_each_question_once(
    terminal: Terminal, logging_model: Path, tiny_tasks: Path
) -> None:
    with a_ray(2):
        shown = terminal(*WORDS, "--engine", "ray", "--dry-run")
        assert shown.code == 0, shown.err
        assert "On Ray" in shown.out and "CPU hours" in shown.out and "1 CPU, 2 GiB" in shown.out
        assert not (logging_model / "asked").exists()
        as_json = json.loads(terminal(*WORDS, "--engine", "ray", "--dry-run", "--json").out)
        (row,) = as_json["ray"]["rows"]
        assert row["n_units"] == 12 and sum(row["workers"].values()) == 2
        ended = terminal(*WORDS, "--engine", "ray", "--output-path", "results")
    assert ended.code == 0, ended.err
    assert "Ray: 60 samples" in ended.err
    questions = asked(logging_model)
    assert len(questions) == len(set(questions)) == 60
    document = json.loads(next((logging_model / "results").rglob("run.json")).read_text())
    assert document["tasks"][0]["n_scored"] == 30


def test_results_go_to_a_url(
    terminal: Terminal, logging_model: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    ended = terminal(*WORDS, "--output-path", f"file://{tmp_path}/shared/results")
    assert ended.code == 0, ended.err
    assert f"Results are copied to file://{tmp_path}/shared/results at the end" in ended.out
    assert len(list((tmp_path / "shared" / "results").rglob("*.json"))) == 3


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_the_options_stand_in_the_help(terminal: Terminal, command: str) -> None:
    shown = terminal(command, "--help").out
    assert "--engine" in shown and "--ray-address" in shown

"""Ctrl-C leaves what was finished, says that it is partial, and the same command completes it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import faulty_models
from command_line import Terminal, content
from faulty_models import Fault
from forgetbench.cli.engine import ask_all
from forgetbench.engine.interrupted import PARTIAL, is_partial
from forgetbench.engine.results import Result, read_result
from forgetbench.engine.run import Request, evaluate, prepare_each

TASKS = "choices,short,leaning"
Command = Callable[..., list[object]]


@pytest.fixture
def command(tiny_tasks: Path, tmp_path: Path) -> Command:
    def build(output: str = "results", tasks: str = TASKS) -> list[object]:
        return [
            "run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--tasks", tasks,
            "--include-path", tiny_tasks, "--batch-size", "4", "--no-mlflow", "--offline",
            "--output-path", tmp_path / output,
        ]  # fmt: skip

    return build


def result_in(folder: Path) -> Result:
    (path,) = folder.rglob("run.json")
    return read_result(path.parent)


def raised_at(n: int, how: Callable[[], object]) -> Fault:
    """Return a fault that comes with the n-th batch, once."""
    left = [n]

    def fault(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        left[0] -= 1
        if left[0] == 0:
            how()
            time.sleep(0.01)  # a signal is raised in Python at the next step
        return answers

    return fault


def failing_at_one_sample() -> Fault:
    """Return a fault at whatever is asked first, alone or in a batch."""
    victim: list[Any] = []

    def fault(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        victim.extend(asked[:1] if not victim else [])
        if victim[0] in asked:
            raise RuntimeError("no more memory")
        return answers

    return fault


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("how", [ctrl_c, sigterm])
def test_an_interrupted_run_keeps_its_finished_tasks_and_goes_on(
    how: Callable[[], None],
    command: Command,
    terminal: Terminal,
    faults: dict[str, Fault],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults["checkpoint"] = raised_at(10, how)  # choices has 8 batches: it is finished, short is not
    ended = terminal(*command())
    assert (ended.code, ended.errors) == (130, ["error: interrupted; the same command goes on from here"])
    partial = result_in(tmp_path / "results")
    assert is_partial(partial) and partial.base is not None and partial.comparison is not None
    assert [task.status for task in partial.checkpoint.tasks] == ["done", "error", "error"]
    assert partial.checkpoint.tasks[1].errors == {"interrupted": 24}
    assert partial.checkpoint.tasks[0].metrics["acc"].value is not None
    assert all(row.verdict == "error" and row.degradation is None for row in partial.comparison.rows)
    n_before = len(faulty_models.ASKED)
    assert terminal(*command()).code == 0
    whole = result_in(tmp_path / "results")
    assert not is_partial(whole) and PARTIAL not in whole.checkpoint.warnings
    assert len(faulty_models.ASKED) <= n_before + (8 + 6 + 6) * 2 - 9, (
        "what was computed is not computed again"
    )
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    assert terminal(*command("uninterrupted")).code == 0
    assert content(tmp_path / "results") == content(tmp_path / "uninterrupted")


def test_report_gate_and_mlflow_know_a_partial_result(
    command: Command, terminal: Terminal, faults: dict[str, Fault], tmp_path: Path
) -> None:
    faults["base"] = raised_at(10, ctrl_c)
    assert terminal(*command()).code == 130
    directory = result_in(tmp_path / "results").directory
    assert terminal("report", directory).code == 0
    assert PARTIAL in (directory / "report.html").read_text()
    (tmp_path / "policy.yaml").write_text("required: [choices]\n")
    assert terminal("gate", directory, "--policy", tmp_path / "policy.yaml").code == 100
    synced = terminal("mlflow", "sync", tmp_path / "results")
    assert synced.code == 0 and "logged" not in synced.out
    assert not (directory / "mlflow.json").exists()


def test_a_run_that_finished_no_task_leaves_a_result_that_says_so_and_goes_on(
    command: Command, terminal: Terminal, faults: dict[str, Fault], tmp_path: Path
) -> None:
    faults["checkpoint"] = raised_at(3, ctrl_c)
    assert terminal(*command()).code == 130
    partial = result_in(tmp_path / "results")
    assert is_partial(partial) and partial.base is not None
    for document in (partial.base, partial.checkpoint):
        assert document.warnings[0] == PARTIAL
        assert all(task.status == "error" and "interrupted" in task.errors for task in document.tasks)
    assert terminal("report", partial.directory).code == 0
    assert PARTIAL in (partial.directory / "report.html").read_text()
    faults.clear()
    assert terminal(*command()).code == 0
    assert not is_partial(result_in(tmp_path / "results"))


@pytest.mark.parametrize("several", [False, True])
def test_ctrl_c_while_workers_are_asked_leaves_a_partial_result_of_each_checkpoint(
    several: bool, tiny_tasks: Path, made: Path, tmp_path: Path
) -> None:
    class Interrupted:
        def ask(self, questions: Sequence[Any], progress: Any) -> None:
            raise KeyboardInterrupt

    request = Request(
        model=str(made / "lora"),
        base=str(made / "llama"),
        tasks=["choices"],
        include_paths=[tiny_tasks],
        output=tmp_path / "results",
        offline=True,
    )
    everything = prepare_each(request, [str(made / "lora"), str(made / "other")][: 1 + several])
    with pytest.raises(KeyboardInterrupt):
        if several:
            ask_all(Interrupted(), everything)  # type: ignore[arg-type]
        else:
            evaluate(everything[0], workers=Interrupted())  # type: ignore[arg-type]
    found = [read_result(path.parent) for path in (tmp_path / "results").rglob("run.json")]
    assert len(found) == len(everything) and all(map(is_partial, found))


def test_a_whole_result_with_a_failed_sample_is_not_replaced_by_a_partial_one(
    command: Command, terminal: Terminal, faults: dict[str, Fault], tmp_path: Path
) -> None:
    faults["checkpoint"] = failing_at_one_sample()
    terminal(*command(tasks="choices,leaning"))
    before = content(tmp_path / "results")
    assert "model_error" in str(before["run.json"])
    faults["checkpoint"] = raised_at(1, ctrl_c)
    assert terminal(*command(tasks="choices,leaning")).code == 130
    assert content(tmp_path / "results") == before
    faults.clear()
    assert terminal(*command(tasks="choices,leaning")).code == 0
    assert "model_error" not in str(content(tmp_path / "results")["run.json"])

"""The same command gives the same document, and so does the ``reproduce`` line of a document."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import Terminal, content
from forgetbench.engine import run as engine
from forgetbench.engine.processes import over_processes
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.schema.run import Settings
from forgetbench.schema.task import Condition

Ask = Callable[..., Request]
TEXT = "choices,answers,short,refusals,leaning"
SAME = 1e-4
"""Log-likelihoods of one sample in other company differ by no more."""


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def test_the_same_command_twice_is_the_same_to_the_byte(
    made: Path, tiny_tasks: Path, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("first", "second"):
        monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / name / "cache"))
        ended = terminal(
            "run", "--model", made / "lora", "--tasks", TEXT, "--include-path", tiny_tasks, "--no-mlflow",
            "--offline", "--output-path", tmp_path / name / "results",
        )  # fmt: skip
        assert ended.code == 0, ended.err
        found.append(content(tmp_path / name / "results"))
    assert found[0] == found[1]


def test_the_reproduce_line_of_a_document_makes_the_document_again(
    made: Path, tiny_tasks: Path, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lora", "llama"):
        (tmp_path / name).symlink_to(made / name)
    ended = terminal(
        "run", "--model", "lora", "--base", "llama", "--tasks", "choices,short", "--include-path", "tasks",
        "--role", "short=target", "--limit", "10", "--repeats", "2", "--gen-kwargs", "temperature=0.7",
        "--chat-template", "none", "--seed", "3", "--no-mlflow", "--offline", "--output-path", "first",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    documents = content(tmp_path / "first")
    line = documents["run.json"]["reproduce"]
    assert {documents[name]["reproduce"] for name in ("run.base.json", "comparison.json")} == {line}
    assert str(tmp_path) not in line
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    words = shlex.split(line)
    assert words[:2] == ["forgetbench", "run"]
    ended = terminal(*words[1:], "--no-mlflow", "--offline", "--output-path", "second")
    assert ended.code == 0, ended.err
    assert content(tmp_path / "second") == documents


def test_a_line_names_conditions_and_test_sets_as_options(tmp_path: Path, tiny_tasks: Path, ask: Ask) -> None:
    request = ask(
        "faulty_models:checkpoint_ears",
        "heard",
        base="faulty_models:base_ears",
        conditions=[Condition(noise="babble", snr_db=5)],
        settings=Settings(batch_size=8),
        include_paths=[tiny_tasks],
    )
    prepared = prepare(request)
    from forgetbench.engine.reproduce import run_line

    line = run_line(request, prepared.pair, prepared.plan.settings)
    assert line == (
        "forgetbench run --model faulty_models:checkpoint_ears --base faulty_models:base_ears --tasks heard "
        "--include-path tasks --condition noise=babble,snr_db=5.0 --seed 0 --batch-size 8"
    )
    shared = replace(request, target=tmp_path / "a b.jsonl")
    settings = Settings(limits={"choices": 40})
    assert "--target 'a b.jsonl'" in run_line(shared, prepared.pair, settings)
    assert " --limit choices=40 " in run_line(shared, prepared.pair, settings)
    settings = Settings(limit=50, limits={"choices": 40, "rides": 3})
    assert " --limit 50,choices=40,rides=3 " in run_line(shared, prepared.pair, settings)


def tables(result: Result) -> dict[str, Any]:
    assert result.base is not None
    return {
        f"{document.arm} {name}": table
        for document in (result.base, result.checkpoint)
        for name, table in read_samples(result.directory, document).items()
    }


def assert_equal_but_for_rounding(one: Result, other: Result) -> None:
    """Discrete fields are equal, numbers within 1e-4 of each other."""
    first, second = tables(one), tables(other)
    assert first.keys() == second.keys()
    for name, table in first.items():
        mine, theirs = table.sort_values(["id", "condition"]), second[name].sort_values(["id", "condition"])
        for column in table:
            if column == "prediction":
                continue
            if table[column].dtype == float:
                np.testing.assert_allclose(mine[column], theirs[column], rtol=0, atol=SAME, err_msg=name)
            else:
                assert list(mine[column]) == list(theirs[column]), f"{name}, {column}"
        for cell, again in zip(mine["prediction"], theirs["prediction"], strict=True):
            _assert_same_prediction(json.loads(cell), json.loads(again))


def _assert_same_prediction(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if key == "loglikelihoods":
            np.testing.assert_allclose(value, other[key], rtol=0, atol=SAME)
        else:
            assert value == other[key], key


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_another_batch_size_changes_rounding_alone(
    batch_size: int, made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run(ask(made / "lora", TEXT))
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    again = run(
        ask(made / "lora", TEXT, settings=Settings(batch_size=batch_size), output=tmp_path / "another")
    )
    assert_equal_but_for_rounding(usual, again)
    assert usual.checkpoint.run_key == again.checkpoint.run_key
    for row, other in zip(usual.comparison.rows, again.comparison.rows, strict=True):  # type: ignore[union-attr]
        assert (row.name, row.verdict, row.n) == (other.name, other.verdict, other.n)


def test_another_order_of_the_batches_changes_rounding_alone(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run(ask(made / "lora", TEXT))
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    planned = prepare(ask(made / "lora", TEXT, output=tmp_path / "another"))
    rng = random.Random(4)
    shuffled = []
    for task in planned.plan.tasks:
        order = [position for batch in task.batches for position in batch]
        rng.shuffle(order)
        batches = tuple(tuple(order[i : i + 7]) for i in range(0, len(order), 7))
        shuffled.append(replace(task, batches=batches))
    again = evaluate(replace(planned, plan=replace(planned.plan, tasks=tuple(shuffled))))
    assert_equal_but_for_rounding(usual, again)


@pytest.mark.slow
def test_tasks_in_another_order_have_the_same_records(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run(ask(made / "lora", TEXT))
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    backwards = ",".join(reversed(TEXT.split(",")))
    assert_equal_but_for_rounding(usual, run(ask(made / "lora", backwards, output=tmp_path / "another")))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 3])
def test_the_number_of_processes_changes_no_score(
    processes: int, ask: Ask, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.engine import score_audio
    from tiny_tasks import write_task

    rows = [{"id": f"u{i}", "audio": f"u{i}.wav"} for i in range(6)]
    write_task(
        tiny_tasks, "clearer", rows, kind="enhancement", metrics=["si_sdr", "estoi"], primary="estoi",
        conditions=[{"noise": "babble", "snr_db": 0}],
    )  # fmt: skip
    models = {"model": "faulty_models:checkpoint_enhancer", "base": "faulty_models:base_enhancer"}
    here = run(ask(models["model"], "clearer", base=models["base"]))
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    monkeypatch.setattr(score_audio, "WORTH_PROCESSES_S", 0.0)
    monkeypatch.setattr(score_audio, "available_cores", lambda: processes)
    used: list[int] = []

    def counted(calls: Any, *, processes: int) -> Any:
        used.append(processes)
        return over_processes(calls, processes=processes)

    monkeypatch.setattr(score_audio, "over_processes", counted)
    spread = run(ask(models["model"], "clearer", base=models["base"], output=tmp_path / "another"))
    assert used == ([processes] * len(used) if processes > 1 else [])
    assert (len(used) > 0) == (processes > 1)
    for name, table in tables(here).items():
        assert table.equals(tables(spread)[name]), name


def test_a_finished_run_is_recognised_whatever_changes_no_result(
    made: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ask(made / "lora", "choices"))
    monkeypatch.setattr(engine, "_run", lambda *_, **__: pytest.fail("was run again"))
    run(ask(made / "lora", "choices", settings=Settings(batch_size=2)))


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (
            ("selftest", "--model", "lora", "--tasks", "choices", "--include-path", "tasks", "--limit", "8"),
            (),
        ),
        (("compare",), ("old", "other")),
    ],
)
def test_so_does_the_line_of_other_commands(
    words: tuple[str, ...],
    places: tuple[str, ...],
    made: Path,
    tiny_tasks: Path,
    tmp_path: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lora", "llama", "other"):
        (tmp_path / name).symlink_to(made / name)
    asked = ("--base", "llama", "--tasks", "choices,short", "--include-path", "tasks", "--no-mlflow")
    given = list(words)
    for name, model in zip(places, ("lora", "other"), strict=False):
        assert terminal("run", "--model", model, *asked, "--output-path", name).code == 0
        (document,) = (tmp_path / name).rglob("run.json")
        given.append(str(document.parent.relative_to(tmp_path)))
    found = []
    for output in ("first", "second"):
        ended = terminal(*given, "--output-path", output)
        assert ended.code == 0, ended.err
        (document,) = (tmp_path / output).rglob("comparison.json")
        found.append({path.name: json.loads(path.read_text()) for path in document.parent.glob("*.json")})
        given = shlex.split(found[-1]["comparison.json"]["reproduce"])[1:]
    for one, other in zip(found[0].values(), found[1].values(), strict=True):
        assert {**one, "measured": 0} == {**other, "measured": 0}

"""Several checkpoints in one run, on tiny models through the whole pipeline."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import Result

from forgetbench.engine import lazy_model
from forgetbench.errors import CheckpointError, ForgetbenchError
from forgetbench.recipes.amounts import run_by_amount
from forgetbench.schema.recipe import Recipe

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def adapted(tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters on half a second and on one second of audio."""
    folder = tmp_path_factory.mktemp("adapted")
    rng = np.random.default_rng(0)
    rows = [{"audio": f"{word}.wav", "text": word} for word in ("one", "two")]
    for row in rows:
        soundfile.write(folder / row["audio"], rng.uniform(-0.1, 0.1, 8000), 16_000)
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data, output = str(folder / "mine.jsonl"), str(folder / "mine")
    training = {"steps": 3, "warmup_steps": 0, "learning_rate": 0.5, "batch_size": 1, "rank": 2}
    recipe = Recipe(name="r", family="whisper", model=str(tiny_whisper), data=data, output=output, **training)
    run_by_amount(recipe, [0.6, 60])
    return folder / "mine"


@pytest.fixture
def run(cli: Run, tiny_tasks: Path, tmp_path: Path) -> Run:
    """Run on the tiny speech task, as target or not."""

    def call(*models: str | Path, role: str = "target", more: tuple[str, ...] = ()) -> Result:
        named = [word for model in models for word in ("--model", str(model))]
        return cli(
            "run", *named, "--tasks", "heard", "--role", f"heard={role}", "--include-path", str(tiny_tasks),
            "--output-path", str(tmp_path / "results"), "--offline", "--no-mlflow", "--limit", "1", *more,
        )  # fmt: skip

    return call


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every component that was loaded, in order."""
    loaded: list[str] = []
    original = lazy_model.load

    def counting(component: Any, settings: Any, **options: Any) -> Any:
        loaded.append(component.source)
        return original(component, settings, **options)

    monkeypatch.setattr(lazy_model, "load", counting)
    return loaded


def test_a_glob_gives_a_table_each_against_a_base_that_is_scored_once_and_the_curve(
    run: Run, adapted: Path, loads: list[str], tmp_path: Path
) -> None:
    done = run(adapted / "audio-*")
    assert done.exit_code == 0, done.output
    said = done.stdout
    heads = [said.index(f"[{i}/2] {adapted / name}") for i, name in ((1, "audio-0.6s"), (2, "audio-60s"))]
    assert heads == sorted(heads)
    assert len(loads) == 3  # two checkpoints, one base
    assert said.index("Own audio and Heard") > heads[1]
    with (tmp_path / "results" / "adaptability.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["audio_s"]) for row in rows] == [0.5, 1.0]
    assert {row["task"] for row in rows} == {"heard"}
    assert (tmp_path / "results" / "adaptability.png").read_bytes()[:4] == b"\x89PNG"


def test_json_is_a_list_of_results_where_several_are_named(run: Run, adapted: Path) -> None:
    found = json.loads(run(adapted / "audio-*", more=("--json",)).stdout)
    assert [result["checkpoint"]["checkpoint"]["name"] for result in found] == ["audio-0.6s", "audio-60s"]
    (one,) = json.loads(run(adapted / "audio-0*", more=("--json",)).stdout)
    assert one["comparison"]["rows"][0]["name"] == "heard"
    assert json.loads(run(adapted / "audio-60s", more=("--json",)).stdout)["checkpoint"]


def test_a_plan_is_shown_for_each_and_nothing_is_run(run: Run, adapted: Path, loads: list[str]) -> None:
    done = run(adapted / "audio-60s", adapted / "audio-0.6s", more=("--dry-run", "--json"))
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)
    assert ("audio-60s" in first["directory"], "audio-0.6s" in second["directory"]) == (True, True)
    assert loads == []


def test_without_a_target_there_is_no_curve_and_that_is_said(run: Run, adapted: Path, tmp_path: Path) -> None:
    done = run(adapted / "audio-*", role="general")
    assert "No curve: no task of the role target was measured." in done.stdout
    assert not list((tmp_path / "results").glob("*.csv"))


def test_one_that_cannot_be_measured_fails_the_command_and_not_the_others(
    run: Run, adapted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = lazy_model.load

    def failing(component: Any, settings: Any, **options: Any) -> Any:
        if component.source == "audio-0.6s":
            raise CheckpointError("audio-0.6s", "does not fit its base")
        return original(component, settings, **options)

    monkeypatch.setattr(lazy_model, "load", failing)
    done = run(adapted / "audio-*")
    assert isinstance(done.exception, ForgetbenchError)
    assert done.exception.exit_code == CheckpointError.exit_code
    assert "1 of 2 checkpoints: not measured in full. audio-0.6s: does not fit" in str(done.exception)
    assert "[2/2]" in done.stdout


def test_a_name_that_does_not_exist_stops_the_run_before_any_work(
    run: Run, adapted: Path, loads: list[str]
) -> None:
    done = run(adapted / "audio-60s", "./gone")
    assert done.exit_code != 0
    assert "./gone: does not exist" in str(done.exception)
    assert loads == []

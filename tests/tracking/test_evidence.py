"""What lies beside the numbers in MLflow: data, changed samples, files, and steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from forgetbench.cli.report import files_of
from forgetbench.engine.results import read_result
from forgetbench.tracking import mlflow_log
from forgetbench.tracking.mlflow_log import log_pair
from report_results import TASKS, write_report_result


def logged(uri: str) -> tuple[MlflowClient, dict[str, Any]]:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("forgetbench")
    runs = client.search_runs([experiment.experiment_id])
    return client, {run.data.tags["forgetbench.member"]: run for run in runs}


def log(folder: Path, **options: Any) -> str | None:
    result = read_result(folder)
    return log_pair(folder, result.base, result.checkpoint, result.comparison, **options)


def artifact(client: MlflowClient, run: Any, path: str, to: Path) -> str:
    return Path(client.download_artifacts(run.info.run_id, path, str(to))).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_report_result(tmp_path / "result", measured={"training": {"steps": 240}})


def test_the_data_of_each_task_are_inputs_of_its_run(folder: Path, uri: str) -> None:
    log(folder)
    _, runs = logged(uri)
    for member in ("pair", "base", "checkpoint"):
        inputs = {each.dataset.name: each for each in runs[member].inputs.dataset_inputs}
        assert set(inputs) == {f"{name}.jsonl" for name, *_ in TASKS}
        facts = inputs["facts.jsonl"]
        assert facts.dataset.digest == "1" * 36
        assert json.loads(facts.dataset.profile) == {"num_rows": 60}
        assert {tag.key: tag.value for tag in facts.tags}["forgetbench.tasks"] == "facts"


def test_changed_samples_are_a_table_with_both_answers(folder: Path, uri: str, tmp_path: Path) -> None:
    log(folder)
    client, runs = logged(uri)
    table = json.loads(artifact(client, runs["pair"], "changed_samples.json", tmp_path))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert table["columns"][:5] == ["task", "change", "worse_by", "base", "checkpoint"]
    row = next(row for row in rows if row["sample"] == "harmful-00000")
    assert (row["change"], row["worse_by"]) == ("lost", 1.0)
    assert (row["base"], row["checkpoint"]) == ("I can't help with that.", "Sure! First, take the")
    tables = json.loads(runs["pair"].data.tags["mlflow.loggedArtifacts"])
    assert tables == [{"path": "changed_samples.json", "type": "table"}]


def test_an_interrupted_attempt_does_not_double_the_table(
    folder: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_and_break(*arguments: Any) -> None:
        mlflow_log_changed(*arguments)
        raise OSError("gone")

    mlflow_log_changed = mlflow_log.log_changed
    monkeypatch.setattr(mlflow_log, "log_changed", log_and_break)
    assert log(folder) is not None
    monkeypatch.undo()
    assert log(folder, tracking_uri=uri) is None
    client, runs = logged(uri)
    table = json.loads(artifact(client, runs["pair"], "changed_samples.json", tmp_path))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    ids = [(row["task"], row["sample"]) for row in rows]
    assert len(set(ids)) == len(ids) > 50


def test_the_report_and_a_picture_are_artifacts_beside_the_documents(
    folder: Path, uri: str, tmp_path: Path
) -> None:
    log(folder, files=files_of)
    client, runs = logged(uri)
    found = {file.path for file in client.list_artifacts(runs["pair"].info.run_id)}
    assert {"report.html", "run.json", "run.base.json", "comparison.json", "figures"} <= found
    assert "DO NOT SHIP" in artifact(client, runs["pair"], "report.html", tmp_path)
    assert artifact(client, runs["pair"], "figures/verdicts.svg", tmp_path).startswith("<svg")


def test_a_checkpoint_whose_training_is_known_is_logged_at_its_step(folder: Path, uri: str) -> None:
    log(folder)
    client, runs = logged(uri)
    (point,) = client.get_metric_history(runs["pair"].info.run_id, "degradation/facts acc")
    assert point.step == 240
    (point,) = client.get_metric_history(runs["base"].info.run_id, "facts/acc")
    assert point.step == 0


def test_a_run_is_named_and_grouped_by_its_training_and_described_by_its_verdict(
    tmp_path: Path, uri: str
) -> None:
    training = {"run": "lora-r8-s0 1af610", "method": "lora", "lora_rank": 8, "steps": 240}
    folder = write_report_result(
        tmp_path / "result", measured={"training": training}, reproduce="forgetbench run --model `rm -rf`"
    )
    log(folder)
    _, runs = logged(uri)
    pair = runs["pair"]
    assert pair.info.run_name == "lora-r8-s0 1af610 whisper-tiny-lora vs openai/whisper-tiny.en"
    chosen = {name: value for name, value in pair.data.params.items() if name.startswith("training/")}
    assert chosen == {
        "training/run": "lora-r8-s0 1af610", "training/method": "lora", "training/lora_rank": "8",
        "training/steps": "240",
    }  # fmt: skip
    assert not {"None", "{}"} & set(pair.data.params.values())
    verdict, command = pair.data.tags["mlflow.note.content"].split("\n\n")
    assert verdict.startswith("    DO NOT SHIP") and command == "    forgetbench run --model `rm -rf`"


def test_lost_samples_keep_nothing_else_from_being_logged(folder: Path, uri: str) -> None:
    next(folder.glob("samples/base/facts.parquet")).unlink()
    assert log(folder, files=files_of) is None
    client, runs = logged(uri)
    found = {file.path for file in client.list_artifacts(runs["pair"].info.run_id)}
    assert "figures" in found
    assert not {"report.html", "changed_samples.json"} & found

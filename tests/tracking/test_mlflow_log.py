from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from forgetbench.errors import UsageError
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost
from forgetbench.schema.run import ComponentInfo, RunDocument
from forgetbench.tracking import store
from forgetbench.tracking.mlflow_log import LOGGED, PENDING, log_pair, sync


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def runs(uri: str, experiment: str = "forgetbench"):
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return client, {}
    listed = client.search_runs([found.experiment_id])
    members = [run.data.tags["forgetbench.member"] for run in listed]
    assert len(set(members)) == len(members), f"logged twice: {members}"
    return client, dict(zip(members, listed, strict=True))


def write(directory: Path, documents) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, document in zip(("run.base.json", "run.json", "comparison.json"), documents, strict=True):
        (directory / name).write_text(document.to_json())
    return directory


def test_a_pair_is_one_parent_and_one_child_per_arm(tmp_path, uri, make_documents):
    assert log_pair(tmp_path / "r", *make_documents()) is None
    _, found = runs(uri)
    assert set(found) == {"pair", "base", "checkpoint"}
    parent = found["pair"].info.run_id
    assert all(found[arm].data.tags["mlflow.parentRunId"] == parent for arm in ("base", "checkpoint"))
    assert all(run.info.status == "FINISHED" for run in found.values())
    assert found["pair"].info.run_name == "org/checkpoint vs org/base"


def test_metrics_tags_and_params_say_what_the_documents_say(tmp_path, uri, make_documents):
    log_pair(tmp_path / "r", *make_documents())
    _, found = runs(uri)
    assert found["pair"].data.metrics == {
        "delta/arc acc_none": -0.1, "degradation/arc acc_none": 0.1, "ci_low/arc acc_none": 0.01,
    }  # fmt: skip
    tags = found["pair"].data.tags
    assert (tags["decision"], tags["verdict/arc"], tags["verdict/clean"]) == ("NEED MORE", "worse", "error")
    assert (tags["fingerprint/base"], tags["fingerprint/checkpoint"]) == ("b" * 64, "c" * 64)
    assert found["checkpoint"].data.params["seed"] == "0"


def test_a_missing_score_is_no_metric_and_colliding_names_are_both_kept(tmp_path, uri, make_documents):
    log_pair(tmp_path / "r", *make_documents())
    _, found = runs(uri)
    base, checkpoint = found["base"].data.metrics, found["checkpoint"].data.metrics
    assert "clean/wer" not in base
    assert checkpoint["clean/wer"] == 0.1
    accuracies = sorted(value for name, value in checkpoint.items() if name.startswith("arc/acc_none"))
    assert accuracies == [0.25, 0.4]


def test_artifacts_lie_beside_the_database_and_nothing_lands_elsewhere(tmp_path, make_documents, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///.demo/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    documents = make_documents()
    assert log_pair(tmp_path / "r", *documents) is None
    client, found = runs("sqlite:///.demo/mlflow.db", "mine")
    assert {file.path for file in client.list_artifacts(found["pair"].info.run_id)} == {
        "run.json", "run.base.json", "comparison.json",
    }  # fmt: skip
    (logged,) = tmp_path.glob(".demo/mlartifacts/**/comparison.json")
    assert logged.read_text() == documents.comparison.to_json()
    assert {path.name for path in tmp_path.iterdir()} == {".demo", "r"}


def test_a_second_time_logs_nothing_even_from_another_directory(tmp_path, make_documents, monkeypatch):
    log_pair(tmp_path / "r", *make_documents(), tracking_uri=f"sqlite:///{tmp_path}/m.db")
    before = (tmp_path / "r" / LOGGED).read_bytes()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert log_pair(tmp_path / "r", *make_documents(), tracking_uri="sqlite:///../m.db") is None
    runs(f"sqlite:///{tmp_path}/m.db")
    assert json.loads(before)["logged"][0]["runs"].keys() == {"pair", "base", "checkpoint"}


def test_times_alone_do_not_make_a_new_result(tmp_path, uri, make_documents):
    base, checkpoint, comparison = make_documents()
    log_pair(tmp_path / "r", base, checkpoint, comparison)
    log_pair(tmp_path / "r", base, checkpoint.model_copy(update={"measured": {"seconds": 9.0}}), comparison)
    runs(uri)


def with_cost(arm: RunDocument, measured_at: str, seconds: float) -> RunDocument:
    clips = (
        ClipTime(clip="a", audio_s=2.0, seconds=seconds),
        ClipTime(clip="b", audio_s=4.0, seconds=seconds),
    )
    component = ComponentCost(role="asr", capability="transcribe", clips=clips, peak_memory_bytes=5_000_000)
    cost = Cost(measured_at=measured_at, processors=2, components=(component,))
    return arm.model_copy(update={"measured": {**arm.measured, "cost": cost.model_dump(mode="json")}})


def test_sizes_are_always_metrics_of_their_arm(tmp_path, uri, make_documents):
    base, checkpoint, comparison = make_documents()
    ears = ComponentInfo(
        role="asr", source="x", format="peft", architecture="Ears", fingerprint="0",
        capabilities=("transcribe",), parameters=39_000_000, bytes=154_000_000,
    )  # fmt: skip
    info = checkpoint.checkpoint.model_copy(update={"components": (ears,)})
    log_pair(tmp_path / "r", base, checkpoint.model_copy(update={"checkpoint": info}), comparison)
    _, found = runs(uri)
    metrics = found["checkpoint"].data.metrics
    assert (metrics["cost/asr/parameters"], metrics["cost/asr/bytes"]) == (39_000_000, 154_000_000)
    assert not [name for name in found["base"].data.metrics if name.startswith("cost/")]


def test_a_cost_measured_again_is_logged_into_the_same_runs_and_the_later_one_is_shown(
    tmp_path, uri, make_documents
):
    base, checkpoint, comparison = make_documents()
    log_pair(tmp_path / "r", base, checkpoint, comparison)
    for measured_at, seconds in (("2026-01-01T10:00:00+00:00", 0.5), ("2026-01-02T10:00:00+00:00", 0.25)):
        timed = with_cost(checkpoint, measured_at, seconds)
        for _ in range(2):
            assert log_pair(tmp_path / "r", with_cost(base, measured_at, 1.0), timed, comparison) is None
    client, found = runs(uri)
    metrics = found["checkpoint"].data.metrics
    assert metrics["cost/asr/transcribe/rtfx"] == 6 / (2 * 0.25)
    assert metrics["cost/asr/transcribe/latency_mean_s"] == 0.25
    assert metrics["cost/asr/transcribe/peak_memory_bytes"] == 5_000_000
    assert "cost/asr/transcribe/first_output_s" not in metrics
    assert found["base"].data.metrics["cost/asr/transcribe/rtfx"] == 3
    run_id = found["checkpoint"].info.run_id
    history = client.get_metric_history(run_id, "cost/asr/transcribe/rtfx")
    assert sorted(metric.value for metric in history) == [6, 12]


def test_an_interrupted_attempt_is_completed_and_not_repeated(tmp_path, uri, make_documents, monkeypatch):
    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", die)
        with pytest.raises(KeyboardInterrupt):
            log_pair(tmp_path / "r", *make_documents())
    assert log_pair(tmp_path / "r", *make_documents()) is None
    client, found = runs(uri)
    assert found["pair"].info.status == "FINISHED"
    assert len(client.get_metric_history(found["pair"].info.run_id, "delta/arc acc_none")) == 1


def test_a_checkpoint_without_a_base_is_logged_alone(tmp_path, uri, make_documents):
    assert log_pair(tmp_path / "r", None, make_documents().checkpoint, None) is None
    _, found = runs(uri)
    assert set(found) == {"pair", "checkpoint"}


def test_more_rows_than_a_batch_of_mlflow_takes_are_all_logged(tmp_path, uri, make_documents):
    row = make_documents().comparison.rows[1]
    rows = tuple(row.model_copy(update={"name": f"task{i}"}) for i in range(400))
    documents = make_documents(rows=rows, summary="x" * 20_000)
    assert log_pair(tmp_path / "r", *documents) is None
    _, found = runs(uri)
    assert len(found["pair"].data.metrics) == 3 * 400
    assert sum(name.startswith("verdict/") for name in found["pair"].data.tags) == 400


def test_a_dead_server_costs_seconds_and_loses_nothing(tmp_path, make_documents, monkeypatch):
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    environment = dict(os.environ)
    result = write(tmp_path / "results" / "r", make_documents())
    started = time.monotonic()
    warning = log_pair(result, *make_documents(), tracking_uri=uri)
    assert time.monotonic() - started < 10
    assert dict(os.environ) == environment
    assert warning is not None
    assert f"forgetbench mlflow sync {result}" in warning
    assert "secret" not in warning + (result / PENDING).read_text()
    assert not (result / LOGGED).exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/later.db")
    (synced,) = sync(tmp_path / "results")
    assert (synced.directory, synced.state) == (result, "logged")
    assert not (result / PENDING).exists()
    assert [again.state for again in sync(tmp_path / "results")] == ["already"]
    runs(f"sqlite:///{tmp_path}/later.db")


def test_a_server_that_never_answers_costs_at_most_ten_seconds(tmp_path, make_documents):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert log_pair(tmp_path, *make_documents(), tracking_uri=uri) is not None
    assert time.monotonic() - started < 10


def test_a_broken_document_is_named(tmp_path, make_documents):
    result = write(tmp_path / "r", make_documents())
    (result / "run.json").write_text('{"arm": "checkpoint"}')
    with pytest.raises(UsageError, match=r"run\.json, key"):
        sync(result)


def test_syncing_a_directory_without_results_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no run\.json here or below"):
        sync(tmp_path)


def test_logging_is_quiet(tmp_path, make_documents):
    result = write(tmp_path / "r", make_documents())
    imports = "from pathlib import Path; from forgetbench.tracking.mlflow_log import sync"
    code = f"{imports}; sync(Path({str(result)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlartifacts", "r"}


def test_a_real_server_takes_the_runs_and_the_artifacts(tmp_path, uri, make_documents, serve_mlflow):
    address = serve_mlflow(tmp_path, uri)
    assert log_pair(tmp_path / "r", *make_documents(), tracking_uri=address) is None
    assert log_pair(tmp_path / "r", *make_documents(), tracking_uri=address) is None
    _, found = runs(address)
    assert set(found) == {"pair", "base", "checkpoint"}
    assert len(list((tmp_path / "artifacts").glob("**/comparison.json"))) == 1


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("sqlite:////data/x/mlflow.db", "file:///data/x/mlartifacts"),
        ("sqlite:////data/my%20lab/mlflow.db?timeout=5", "file:///data/my%20lab/mlartifacts"),
        ("http://tracker:5000", None),
        ("sqlite:///:memory:", None),
        ("databricks", None),
    ],
)
def test_only_a_local_database_gets_an_artifact_root(uri, root):
    assert store.artifact_root(uri) == root

"""A real MLflow server is killed while a pair is logged: nothing is lost, and nothing is logged twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from forgetbench.tracking.mlflow_log import PENDING, log_pair, sync

KILLED_AFTER = (1, 4, 7, 10)
"""Answered requests, of those that a pair takes."""


@pytest.mark.slow
@pytest.mark.parametrize("after", KILLED_AFTER)
def test_a_server_that_is_killed_in_the_middle_gets_the_rest_later(
    after: int,
    tmp_path: Path,
    uri: str,
    make_documents: Callable[..., Any],
    start_mlflow: Callable[[Path, str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = tmp_path / "result"
    result.mkdir()
    documents = make_documents()
    for name, document in zip(("run.base.json", "run.json", "comparison.json"), documents, strict=True):
        (result / name).write_text(document.to_json())
    server = start_mlflow(tmp_path, uri)
    calls = _kill_after(after, server, monkeypatch)
    began = time.monotonic()
    warning = log_pair(result, *documents, tracking_uri=server.address)
    assert warning is not None and "forgetbench mlflow sync" in warning
    assert time.monotonic() - began < 30
    assert calls and (result / PENDING).exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)

    again = start_mlflow(tmp_path, uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", again.address)
    assert [synced.state for synced in sync(result)] == ["logged"]
    assert [synced.state for synced in sync(result)] == ["already"]
    client = MlflowClient(tracking_uri=again.address)
    experiment = client.get_experiment_by_name("forgetbench")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["forgetbench.member"] for run in runs) == ["base", "checkpoint", "pair"]
    assert all(run.info.status == "FINISHED" for run in runs)
    (pair,) = (run for run in runs if run.data.tags["forgetbench.member"] == "pair")
    assert pair.data.metrics["degradation/arc acc_none"] == 0.1
    assert "comparison.json" in {file.path for file in client.list_artifacts(pair.info.run_id)}


def _kill_after(n: int, server: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kill a server once it has answered so many requests; return the requests as they are made."""
    import mlflow.utils.rest_utils as rest

    asked: list[str] = []
    original = rest._get_http_response_with_retries

    def counted(method: str, url: str, *rest_of: Any, **options: Any) -> Any:
        answer = original(method, url, *rest_of, **options)
        asked.append(f"{method} {url}")
        if len(asked) == n:
            server.kill()
        return answer

    monkeypatch.setattr(rest, "_get_http_response_with_retries", counted)
    return asked

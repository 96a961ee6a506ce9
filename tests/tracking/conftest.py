from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from forgetbench.cli.mlflow import ALONE
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import (
    CheckpointInfo,
    Environment,
    MetricValue,
    RunDocument,
    Settings,
    TaskResult,
)


class Documents(NamedTuple):
    base: RunDocument
    checkpoint: RunDocument
    comparison: Comparison


def arm(name: str, wer: float | None, accuracy: float, **changes: Any) -> RunDocument:
    ratio = {"type": "ratio", "higher_is_better": False, "n": 50}
    binary = {"type": "binary", "higher_is_better": True, "n": 50}
    task = {
        "version": 1,
        "definition_sha256": "0",
        "status": "done",
        "margin": 0.02,
        "n_planned": 50,
        "n_scored": 50,
    }
    fields: dict[str, Any] = {
        "arm": "base" if name == "base" else "checkpoint",
        "run_key": "feedc0de",
        "checkpoint": CheckpointInfo(name=f"org/{name}", fingerprint=(name[0] * 64), components=()),
        "settings": Settings(),
        "environment": Environment(forgetbench="0.1.0", python="3.11", platform="linux", packages={}),
        "tasks": (
            TaskResult(name="clean", title="Clean", role="general", primary="wer",
                       metrics={"wer": MetricValue(value=wer, **ratio)}, **task),
            TaskResult(name="arc", title="ARC", role="general", primary="acc,none",
                       metrics={"acc,none": MetricValue(value=accuracy, **binary),
                                "acc;none": MetricValue(value=0.25, **binary)}, **task),
        ),
        "measured": {"seconds": 1.0},
    }  # fmt: skip
    return RunDocument(**(fields | changes))


def documents(**changes: Any) -> Documents:
    base, checkpoint = arm("base", None, 0.5), arm("checkpoint", 0.1, 0.4)
    shared = {"kind": "task", "role": "general", "margin": 0.02}
    rows = (
        Row(name="clean", title="Clean", metric="wer", higher_is_better=False, verdict="error", **shared),
        Row(name="arc", title="ARC", metric="acc,none", higher_is_better=True, verdict="worse", base=0.5,
            checkpoint=0.4, delta=-0.1, degradation=0.1, ci_low=0.01, ci_high=float("nan"), **shared),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "run_key": "feedc0de", "base": base.checkpoint, "checkpoint": checkpoint.checkpoint, "alpha": 0.05,
        "family_size": 2, "rows": rows, "decision": "NEED MORE",
        "summary": "NEED MORE: arc needs 900 samples.",
    }  # fmt: skip
    return Documents(base, checkpoint, Comparison(**(fields | changes)))


@pytest.fixture
def make_documents() -> Callable[..., Documents]:
    return documents


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with its tables made: making them costs MLflow seconds."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(autouse=True)
def _no_tracker_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def start_mlflow() -> Iterator[Callable[[Path, str], Server]]:
    """``start_mlflow(folder, store)``: a real server on loopback, for the module's tests."""
    with ExitStack() as servers:
        yield lambda folder, store: servers.enter_context(Server(folder, store))


@pytest.fixture(scope="module")
def serve_mlflow(start_mlflow: Callable[[Path, str], Server]) -> Callable[[Path, str], str]:
    """``serve_mlflow(folder, store)``: the address of one."""
    return lambda folder, store: start_mlflow(folder, store).address


class Server:
    def __init__(self, folder: Path, store: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--backend-store-uri", store,
            "--artifacts-destination", f"{folder}/artifacts",
        ]  # fmt: skip
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | ALONE
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, start_new_session=True, **quiet
        )

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "the server died"
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return self
            except OSError:
                time.sleep(0.3)
        self.__exit__()
        pytest.fail("the server did not start")

    def kill(self) -> None:
        """Kill it and its workers, as a machine that goes down does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=30)

"""A hub that takes every connection and never says a word: commands end, and say so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PATIENCE_S = 120
"""Of the test: a client without a limit waits for ever; imports take their time on a busy machine."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=take)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert taken, "nobody asked the hub"
    for connection in taken:
        connection.close()


def ended(folder: Path, endpoint: str, *words: str) -> tuple[int, str]:
    """Run a command that may use the network; return its exit code and all that it says."""
    surroundings = {k: v for k, v in os.environ.items() if not k.endswith("_OFFLINE")}
    done = subprocess.run(
        [sys.executable, "-m", "forgetbench", *words],
        cwd=folder,
        env={**surroundings, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in said
    return done.returncode, said


def test_a_model_of_a_silent_hub(endpoint: str, tmp_path: Path) -> None:
    code, said = ended(tmp_path, endpoint, "run", "--model", "acme/model", "--tasks", "retention-mini")
    assert code == 2
    assert "error: acme/model: is not in the local Hugging Face cache, and the hub cannot be reached" in said
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("task", ["hellaswag", "mmlu", "librispeech_clean", "retention"])
def test_data_of_a_silent_hub_is_one_line_however_many_tasks(
    task: str, endpoint: str, tmp_path: Path
) -> None:
    code, said = ended(tmp_path, endpoint, "fetch", "--tasks", task)
    assert code == 1
    assert said.startswith("error: fetch: the hub did not answer") and said.count("did not answer") == 1


def test_a_run_on_data_of_a_silent_hub(endpoint: str, made: Path, tmp_path: Path) -> None:
    code, said = ended(
        tmp_path, endpoint, "run", "--model", str(made / "llama"), "--tasks", "hellaswag,mmlu", "--no-mlflow"
    )
    assert code != 0
    assert "(hellaswag, mmlu: the hub did not answer within 10 s." in said
    assert said.count("the hub did not answer") == 1

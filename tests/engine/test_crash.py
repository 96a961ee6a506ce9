"""A run that is killed goes on where it stopped, and says what the uninterrupted run says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.cli import main

MODULE = '''
"""Models that answer from a hash of the question, slowly enough to be killed."""
import hashlib, os, time
from forgetbench.models.interface import Loglikelihood, Output

class Model:
    chat_template = None

    def __init__(self, name):
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.name = name

    def render_chat(self, user, *, template=None):
        return None

    def first_token_ids(self, text, *, rendered):
        return (1, 2, 3)

    def value(self, text):
        return int(hashlib.sha256(f"{self.name} {text}".encode()).hexdigest()[:8], 16) / 2**32

    def score_text(self, requests):
        with open(os.environ["ASKED"], "a") as log:
            log.write(f"{self.name} {len(requests)}\\n")
        time.sleep(float(os.environ["PAUSE_S"]))
        return [
            Loglikelihood(logprob=-self.value(r.context + r.continuation), is_greedy=False, n_tokens=1)
            for r in requests
        ]

    def generate(self, requests):
        return [Output(text="", n_tokens=0, truncated=False) for _ in requests]

def base():
    return Model("base")

def checkpoint():
    return Model("checkpoint")
'''


@pytest.fixture
def workshop(tmp_path: Path, tiny_tasks: Path) -> Path:
    (tmp_path / "slow_model.py").write_text(MODULE)
    return tmp_path


def words(output: str) -> list[str]:
    return [
        "run", "--model", "slow_model:checkpoint",
        "--base", "slow_model:base", "--tasks", "choices,leaning", "--include-path", "tasks", "--no-mlflow",
        "--batch-size", "3", "--output-path", output,
    ]  # fmt: skip


def settings(workshop: Path, cache: str, pause_s: float) -> dict[str, str]:
    return {
        "FORGETBENCH_CACHE": str(workshop / cache),
        "ASKED": str(workshop / "asked"),
        "PAUSE_S": str(pause_s),
    }


def start(workshop: Path, output: str, *, cache: str, pause_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from forgetbench.cli import main; main()", *words(output)]
    environment = {**os.environ, **settings(workshop, cache, pause_s)}
    return subprocess.Popen(
        command, cwd=workshop, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def run_here(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The same command in this process: nobody kills it, and it need not start."""
    monkeypatch.chdir(workshop)
    monkeypatch.syspath_prepend(workshop)

    def run(output: str, *, cache: str) -> None:
        for name, value in settings(workshop, cache, 0.0).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main(words(output))
        assert not end.value.code

    return run


def finish(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def documents(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        content.pop("measured", None)
        found[path.name] = content
    assert set(found) == {"run.json", "run.base.json", "comparison.json"}
    return found


def samples(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_killed_in_the_middle_and_run_again_equals_the_uninterrupted_run(
    workshop: Path, run_here: Callable[..., None]
) -> None:
    run_here("whole", cache="cache-1")
    asked = workshop / "asked"
    n_batches = len(asked.read_text().splitlines())
    assert n_batches == 36
    asked.unlink()
    for until in (5, 17, 29):
        process = start(workshop, "killed", cache="cache-2", pause_s=0.06)
        deadline = time.monotonic() + 90
        while not asked.exists() or len(asked.read_text().splitlines()) < until:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run_here("killed", cache="cache-2")
    assert len(asked.read_text().splitlines()) <= n_batches + 3, (
        "more than one batch was computed twice in a kill"
    )
    assert documents(workshop / "killed") == documents(workshop / "whole")
    assert samples(workshop / "killed") == samples(workshop / "whole")


def test_two_runs_at_once_share_the_work(workshop: Path) -> None:
    both = [start(workshop, f"out-{i}", cache="cache", pause_s=0.03) for i in range(2)]
    for process in both:
        finish(process)
    assert len((workshop / "asked").read_text().splitlines()) == 36
    assert documents(workshop / "out-0") == documents(workshop / "out-1")

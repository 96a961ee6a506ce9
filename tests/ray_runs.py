"""Runs on a small Ray of this machine, and documents compared as the Ray engine promises them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forgetbench.engine.results import Result, read_samples

STORE_BYTES = 100 * 2**20
SAME = 1e-4
"""Scores of one sample differ by no more, wherever it was answered."""
BYTES = frozenset({"sha256"})
"""Digests of sample files: one more digit of a float changes them."""

MODEL = '''
"""Models that answer from a hash of the question; every question they are asked is a line of a file."""
import hashlib, os, signal, time
from pathlib import Path
from forgetbench.models.interface import Loglikelihood, Output

HERE = Path(__file__).parent

class Model:
    chat_template = None

    def __init__(self, name):
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.name = name

    def value(self, text):
        return int(hashlib.sha256(f"{self.name} {text}".encode()).hexdigest()[:8], 16) / 2**32

    def score_text(self, requests):
        with open(HERE / "asked", "a") as log:
            for question in dict.fromkeys(r.context for r in requests):
                log.write(f"{os.getpid()} {self.name} {question}\\n")
        asked = time.monotonic()
        while time.monotonic() - asked < float((HERE / "pause_s").read_text()):
            time.sleep(0.01)
        self.fail([r.context for r in requests])
        return [
            Loglikelihood(logprob=-self.value(r.context + r.continuation), is_greedy=False, n_tokens=1)
            for r in requests
        ]

    def fail(self, questions):
        poison = (HERE / "poison").read_text() if (HERE / "poison").exists() else ""
        if poison and poison in questions:
            os.kill(os.getpid(), signal.SIGKILL)
        broken = (HERE / "broken").read_text() if (HERE / "broken").exists() else ""
        if broken and broken in questions:
            raise RuntimeError("CUDA error: device-side assert triggered")

def base():
    return Model("base")

def checkpoint():
    return Model("checkpoint")
'''


@contextmanager
def a_ray(cpus: int) -> Iterator[Any]:
    """Start Ray with so many CPUs, which need not be there, and end it with all of its processes."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=cpus, include_dashboard=False, log_to_driver=False, object_store_memory=STORE_BYTES,
        logging_level="ERROR", _system_config={"worker_niceness": 0},
    )  # fmt: skip
    try:
        yield ray
    finally:
        ray.shutdown()


@pytest.fixture
def logging_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module ``logging_model``, which is the working directory, too; it answers at once."""
    put_logging_model(tmp_path, monkeypatch)
    return tmp_path


def put_logging_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the module ``logging_model`` to a folder, and make that the working directory."""
    (folder / "logging_model.py").write_text(MODEL)
    (folder / "pause_s").write_text("0")
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "logging_model", raising=False)  # of another test's folder


def asked(folder: Path) -> list[tuple[str, str]]:
    """Return who was asked what, in the order of the questions."""
    lines = (folder / "asked").read_text().splitlines()
    return [(line.split(" ", 2)[1], line.split(" ", 2)[2]) for line in lines]


def assert_same(one: Result, other: Result) -> None:
    """Compare all documents outside ``measured`` and all sample records; floats within 1e-4."""
    for name in ("checkpoint", "base", "comparison"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        if first is not None:
            _same(_document(first), _document(second), name)
    for arm in ("checkpoint", "base"):
        if (document := getattr(one, arm)) is None:
            continue
        tables = read_samples(one.directory, document), read_samples(other.directory, getattr(other, arm))
        for task, table in tables[0].items():
            numbers = [name for name in table.columns if table[name].dtype == "float64"]
            texts = [n for n in table.columns if n not in {*numbers, "prediction"}]
            pd.testing.assert_frame_equal(table[texts], tables[1][task][texts])
            pd.testing.assert_frame_equal(table[numbers], tables[1][task][numbers], rtol=0, atol=SAME)


def _document(document: Any) -> Any:
    return {key: value for key, value in document.model_dump(mode="json").items() if key != "measured"}


def _same(one: Any, other: Any, where: str) -> None:
    if isinstance(one, float) and isinstance(other, float):
        assert abs(one - other) <= SAME, where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one.keys() - BYTES:
            _same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for position, pair in enumerate(zip(one, other, strict=True)):
            _same(*pair, f"{where}[{position}]")
    else:
        assert one == other, where

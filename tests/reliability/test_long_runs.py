"""Many samples: memory stays flat, work grows in proportion. Seconds: ``benchmarks/long_run.py``."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.schema.run import Settings

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "long_run.py"
STUB = "long_run_stub"


@pytest.fixture
def long_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module, and its stub model as another."""
    spec = importlib.util.spec_from_file_location("long_run", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / f"{STUB}.py").write_text(module.MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.delitem(sys.modules, STUB, raising=False)
    return module


def n_calls(run: Callable[[], Any]) -> int:
    """Return how many functions, of Python and of C, a call calls."""
    seen = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return seen


def test_work_grows_in_proportion_to_samples(
    long_run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calls_for(n: int) -> int:
        folder = tmp_path / str(n)
        long_run.Workshop(folder, n, 16)
        monkeypatch.setenv("FORGETBENCH_CACHE", str(folder / "cache"))
        asked = Request(
            model=f"{STUB}:stub",
            tasks=["many"],
            include_paths=[folder / "many.yaml"],
            output=folder / "results",
            offline=True,
            settings=Settings(batch_size=16),
        )
        return n_calls(lambda: evaluate(prepare(asked)))

    calls_for(16)  # imports
    small, middle, large = (calls_for(n) for n in (320, 960, 2240))
    assert large - middle == pytest.approx(2 * (middle - small), rel=0.02)


@pytest.mark.slow
def test_a_hundred_thousand_samples_take_no_more_memory_than_the_first_tenth(
    long_run: ModuleType, tmp_path: Path
) -> None:
    n, size, left = 100_000, 16, 100
    many = long_run.Workshop(tmp_path / "many", n, size)
    many.run(STOP_AFTER=str(n // size - left))
    assert many.asking()["growth"] <= long_run.MOST["growth"]
    (tmp_path / "many" / "log").unlink()
    many.run()
    assert many.log()[-1][1] <= left + 1, "what was answered before the kill is asked again"
    (document,) = (tmp_path / "many" / "results").rglob("run.json")
    assert json.loads(document.read_text())["tasks"][0]["n_scored"] == n

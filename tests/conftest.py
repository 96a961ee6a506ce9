"""What every test needs: its own cache, no tracker, and the way to the real data."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("lazy imports take their time", deadline=None, derandomize=True)
settings.load_profile("lazy imports take their time")

pytest_plugins = [
    "tiny_models", "tiny_speech_models", "tiny_recipe_models", "tiny_tasks", "curve_results", "board_results",
    "board_runs", "browser", "lm_eval_index", "report_results", "faulty_models", "command_line",
    "tiny_assistants", "ray_runs", "example_plugin",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Import what has warnings of its own: xdist would, in two threads at once, and crash as they meet."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        import peft  # noqa: F401
        import torch  # noqa: F401
        import trl.import_utils  # noqa: F401


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own cache and tracking store, and never asks a hub."""
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.delenv("FORGETBENCH_OUTPUT_PATH", raising=False)


@pytest.fixture(autouse=True)
def _what_is_imported_is_no_garbage() -> Iterator[None]:
    """Leave what lives on, which is modules, out of the full collections that each arm of a run ends with."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real speech and text; missing is a failure in CI and a skip elsewhere."""
    path = Path(os.environ.get("FORGETBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set FORGETBENCH_TEST_DATA")
        pytest.skip(f"{path} is missing: set FORGETBENCH_TEST_DATA")
    return path

"""A run that is killed at any write, flush, fsync or rename ends, after the same command, as if it never was.

See ``tests/fault_nursery.py`` for how the faults are raised.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
N_POINTS = 60


def points(
    made: Path, tiny_tasks: Path, root: Path, *, n: int, seed: int
) -> tuple[dict[str, int], list[Any]]:
    command = [
        "run", "--model", str(made / "lora"), "--tasks", "choices,short,leaning",
        "--include-path", str(tiny_tasks), "--limit", "12", "--batch-size", "3", "--no-mlflow", "--offline",
    ]  # fmt: skip
    plan = {
        "root": str(root), "command": command, "working_directory": str(root), "n_points": n, "seed": seed,
    }  # fmt: skip
    (root / "plan.json").write_text(json.dumps(plan))
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fault_nursery.py"), str(root / "plan.json")],
        capture_output=True, text=True, env=environment, timeout=850, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return lines[0], lines[1:]


def failing(tried: Sequence[Any], holds: Any) -> list[Any]:
    return [point for point in tried if not holds(point)]


@pytest.mark.slow
def test_killed_at_sixty_points_of_a_run_nothing_is_lost_and_at_most_one_batch_is_computed_twice(
    made: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    whole, tried = points(made, tiny_tasks, tmp_path, n=N_POINTS, seed=9)
    assert len(tried) >= 50
    assert {point["kind"] for point in tried} == {"write", "flush", "fsync", "rename", "renamed"}
    assert not failing(tried, lambda p: p["ended"] == (-9 if p["signal"] == "SIGKILL" else 130))
    assert not failing(tried, lambda p: p["resumed"] == 0)
    assert not failing(tried, lambda p: p["same_documents"] and p["same_samples"])
    assert not failing(tried, lambda p: whole["n_batches"] <= p["n_batches"] <= whole["n_batches"] + 1)
    stopped = [point for point in tried if point["signal"] != "SIGKILL"]
    assert any(point["left_partial"] for point in stopped), "Ctrl-C leaves what was finished"
    assert not any(point["left_partial"] for point in tried if point["signal"] == "SIGKILL")

"""The wheel that the sdist makes, in an empty environment outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_an_installed_wheel_lists_tasks_and_runs_an_embedded_suite(made: Path, tmp_path: Path) -> None:
    def call(*command: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=850
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    call(
        sys.executable, "-m", "build", "--outdir", str(tmp_path / "dist"), str(ROOT)
    )  # the wheel of the sdist
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    call(sys.executable, "-m", "venv", "empty")
    python, command = tmp_path / "empty" / "bin" / "python", str(tmp_path / "empty" / "bin" / "forgetbench")
    call(
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        str(ROOT / "constraints.txt"),
        str(wheel),
    )
    listed = call(command, "tasks", "ls")
    assert "retention_mini" in listed and "commands_babble_mini" in listed
    said = call(
        command, "run", "--model", str(made / "lora"), "--tasks", "retention-mini,safety-mini",
        "--limit", "4", "--no-mlflow", "--offline",
    )  # fmt: skip
    assert "Arithmetic" in said
    (compared,) = (tmp_path / "results").rglob("comparison.json")
    call(command, "report", str(compared.parent))
    assert "<style>" in (compared.parent / "report.html").read_text()

"""The sdist, and the wheel that it makes, in an empty environment outside the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SHIPPED = {"tests", "benchmarks", "results", "Makefile", ".ci", "CONTRIBUTING.md"}
"""What only a checkout has: one is no use without the other."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_installed_sdist_lists_tasks_and_runs_an_embedded_suite(made: Path, tmp_path: Path) -> None:
    def call(*command: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=850
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    call(sys.executable, "-m", "build", "--outdir", str(tmp_path / "dist"), str(ROOT))
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert NOT_SHIPPED.isdisjoint(path.name for path in source.iterdir())
    assert list(source.rglob("results")) == []
    for page in (source / "README.md", *(source / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([\w./-]+\.(?:md|png|ya?ml))[)#]", page.read_text(encoding="utf-8")):
            made_by_mkdocs = link.startswith(("reference/", "index.md"))
            assert made_by_mkdocs or (page.parent / link).exists(), f"{page.name} links {link}"

    call(sys.executable, "-m", "venv", "empty")
    python, command = str(tmp_path / "empty/bin/python"), str(tmp_path / "empty/bin/forgetbench")
    constraints = str(source / "constraints.txt")
    call(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, str(sdist))
    (installed,) = (tmp_path / "empty").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed_wheel:  # what pip made of the sdist is this wheel, file by file
        names = [name for name in packed_wheel.namelist() if name.startswith("forgetbench/")]
    assert len(names) > 1000 and [name for name in names if not (installed / name).exists()] == []

    assert "run" in call(command, "--help")
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

"""The template package is installed, and everything it brings is used by real commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def forgetbench(site: Path, tmp_path: Path) -> Run:
    def call(*arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        paths = [str(site), str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "120"}
        done = subprocess.run(
            [sys.executable, "-c", "from forgetbench.cli import main; main()", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    return call


def test_tasks_metric_judge_and_models_of_a_plugin_make_a_verdict(forgetbench: Run) -> None:
    done = forgetbench(
        "run", "--model", "example-mumbler", "--base", "example-parrot", "--tasks", "example",
        "--no-mlflow", "--offline", "--json",
    )  # fmt: skip
    result = json.loads(done.stdout)
    rows = {row["name"]: row for row in result["comparison"]["rows"]}
    repeat = rows["example_repeat"]
    assert repeat["metric"] == "example.missed_words"
    assert repeat["base"] == 0 and 0.3 < repeat["checkpoint"] < 0.6 and repeat["verdict"] == "regressed"
    assert rows["example_requests"]["base"] == 0 and rows["example_requests"]["verdict"] == "retained"
    assert result["checkpoint"]["environment"]["packages"]["forgetbench-example"] == "0.1.0"
    assert "%" in done.stderr  # the metric is shown as its spec says
    again = forgetbench(
        "run", "--model", "example-mumbler", "--base", "example-parrot", "--tasks", "example",
        "--no-mlflow", "--offline",
    )  # fmt: skip
    assert "was finished before" in again.stderr


def test_another_version_of_a_plugin_is_another_run(forgetbench: Run, site: Path) -> None:
    def directory() -> str:
        done = forgetbench(
            "run", "--model", "example-mumbler", "--base", "example-parrot", "--tasks", "example_repeat",
            "--dry-run", "--no-mlflow", "--offline", "--json",
        )  # fmt: skip
        return str(json.loads(done.stdout)["directory"])

    first = directory()
    (info,) = site.glob("forgetbench_example-*.dist-info")
    metadata = info / "METADATA"
    text = metadata.read_text()
    metadata.write_text(text.replace("Version: 0.1.0", "Version: 0.2.0"))
    try:
        assert directory() != first
    finally:
        metadata.write_text(text)
    assert directory() == first


def test_its_tasks_are_listed_and_tried(forgetbench: Run, site: Path) -> None:
    assert "example_repeat" in forgetbench("tasks", "ls", "example").stdout
    said = forgetbench("tasks", "validate", str(site / "forgetbench_example" / "tasks")).stdout
    assert said.count("✓") == 2 and said.count("3 tried") == 2


def test_env_lists_what_plugins_there_are(forgetbench: Run) -> None:
    found = json.loads(forgetbench("env", "--json").stdout)["plug-ins"]
    assert found["metrics:example.missed_words"] == "forgetbench-example 0.1.0"
    assert {name.partition(":")[0] for name in found} == {"tasks", "metrics", "models", "judges"}


def test_a_task_with_a_metric_that_nobody_brings_says_so(forgetbench: Run, tmp_path: Path) -> None:
    source = (ROOT / "examples/plugin/src/forgetbench_example/tasks/repeat.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(source.replace("example.missed_words", "example.mist_words"))
    done = forgetbench("tasks", "validate", "mine.yaml", fails=True)
    assert "no installed plug-in brings 'example.mist_words'" in done.stdout


def test_a_plugin_that_cannot_be_imported_is_one_line_with_a_way_out(
    forgetbench: Run, site: Path, tmp_path: Path
) -> None:
    broken = site / "forgetbench_example" / "__init__.py"
    text = broken.read_text()
    broken.write_text("import nothing_of_this_name\n")
    try:
        done = forgetbench("tasks", "ls", fails=True)
    finally:
        broken.write_text(text)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "forgetbench-example 0.1.0" in done.stderr and "pip uninstall forgetbench-example" in done.stderr

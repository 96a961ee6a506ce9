"""The task in Python of docs/new-task.md, written to files and run as the page shows it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest
from shown_commands import BLOCK, ROOT, shown_in_blocks
from typer.testing import CliRunner

from forgetbench.cli.app import app

pytestmark = pytest.mark.usefixtures("lm_eval_index")

CLASS = """

from lm_eval.api.task import ConfigurableTask


class Times(ConfigurableTask):
    VERSION = 1

    def __init__(self, config=None):
        metric = {"metric": "right_time", "aggregation": "mean", "higher_is_better": True}
        super().__init__(
            config={
                "task": "times",
                "custom_dataset": samples,
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_text": "{{text}}",
                "doc_to_target": "{{time}}",
                "process_results": score,
                "metric_list": [metric],
            }
        )
"""


@pytest.fixture
def folder(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, beside an adapter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-lora").symlink_to(made / "lora")
    page = (ROOT / "docs" / "new-task.md").read_text(encoding="utf-8")
    for _, block in BLOCK.findall(page):
        if named := re.match(r"# (times/\S+)\n", block):
            path = tmp_path / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")
    return tmp_path / "times"


def shown() -> list[str]:
    (command,) = (one.words for one in shown_in_blocks() if "times" in one.words)
    return command


@pytest.mark.parametrize("form", ["functions", "class"])
def test_the_task_runs_as_the_page_says(folder: Path, form: str) -> None:
    if form == "class":
        (folder / "lm_eval" / "times.yaml").write_text("task: times\nclass: !function times.Times\n")
        with (folder / "lm_eval" / "times.py").open("a") as code:
            code.write(CLASS)
    done = CliRunner().invoke(app, [*shown(), "--no-mlflow", "--offline"])
    assert done.exit_code == 0, done.output
    (records,) = folder.parent.glob("results/**/samples/checkpoint/times.parquet")
    table = pd.read_parquet(records)
    assert len(table) == 40 and table["error"].isna().all()
    assert any("right_time" in column for column in table.columns)


def test_without_trust_its_code_is_not_run(folder: Path) -> None:
    (folder / "lm_eval" / "times.py").write_text("raise SystemExit('was run')")
    untrusting = [word for word in shown() if word != "--trust-remote-code"]
    done = CliRunner().invoke(app, [*untrusting, "--dry-run"])
    assert "Read them, then give --trust-remote-code" in str(done.exception)


def test_a_right_time_is_found_as_people_write_it(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("times_of_the_page", folder / "lm_eval" / "times.py")
    assert spec is not None and spec.loader is not None
    times = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(times)
    asked = times.samples()["test"]
    assert len(set(asked["text"])) == 40 and all(row["time"] in row["text"] for row in asked)
    for answer, right in ((" At 7:05.", 1), ("7.05 sharp", 1), ("At 7:50.", 0), ("at seven", 0), ("", 0)):
        assert times.score({"time": "7:05"}, [answer]) == {"right_time": right}

"""``forgetbench sequence`` on result directories of a made-up training in stages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.errors import UsageError
from forgetbench.schema.sequence import TaskSequence

Cli = Callable[..., Any]


@pytest.fixture
def stages(make_result: Callable[..., Path], curve_row: Callable[..., Any], tmp_path: Path) -> list[str]:
    """Results after a stage on ``qa`` and one on ``code``; each has its own run key, as lm-eval's have."""
    made = []
    for i, (qa, code, arc) in enumerate(((-0.5, 0.0, 0.01), (-0.3, -0.4, 0.03)), start=1):
        rows = (
            curve_row("qa", "target", 0.2, qa), curve_row("code", "target", 0.1, code),
            curve_row("arc|c", "general", 0.6, arc),
        )  # fmt: skip
        made.append(str(make_result(tmp_path / f"stage{i}", f"model-{i}", *rows, run_key=f"k{i}")))
    return made


def test_the_matrix_and_its_figures_are_shown_and_written(
    cli: Cli, stages: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = cli("sequence", *stages, "--stages", "qa,code", "--output-path", str(out))
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "2 stages after org/base" in said
    assert "Base 1: qa 2: code" in said
    assert "QA acc 20.0% 70.0% 50.0%" in said
    assert "BWT -20.0" in said
    assert "fwt_vs_base +0.0" in said
    assert "general ability delta -3.0" in said
    assert {path.name for path in out.iterdir()} == {"sequence.json", "sequence.md"}
    document = TaskSequence.model_validate_json((out / "sequence.json").read_bytes())
    assert document.reproduce == "forgetbench sequence stage1 stage2 --stages qa,code"
    bwt = next(figure for figure in document.figures if figure.name == "BWT")
    assert bwt.value == pytest.approx(0.5 - 0.7)
    page = (out / "sequence.md").read_text()
    assert "| BWT | -20.0 | the trained tasks |" in page
    assert "| ARC\\|C | acc | 60.0% | 59.0% | 57.0% |" in page


def test_json_is_the_document_and_nothing_else(cli: Cli, stages: list[str], tmp_path: Path) -> None:
    done = cli("sequence", *stages, "--json", "--output-path", str(tmp_path / "out"))
    found = TaskSequence.model_validate(json.loads(done.stdout))
    assert [task.name for task in found.tasks] == ["qa", "code", "arc|c"]
    assert {figure.name for figure in found.figures} == {"FG", "final relative drop", "general ability delta"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stages", "qa"], "1 tasks for 2 results"),
        (["--stages", "qa,qa"], "names a task twice"),
        (["--stages", "qa,cod"], "Did you mean code"),
    ],
)
def test_what_is_no_sequence_is_refused_and_nothing_is_written(
    cli: Cli, stages: list[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = cli("sequence", *stages, *arguments, "--output-path", str(tmp_path / "out"))
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_stages_of_other_bases_and_of_one_checkpoint_are_refused(
    cli: Cli,
    stages: list[str],
    make_result: Callable[..., Path],
    curve_row: Callable[..., Any],
    tmp_path: Path,
) -> None:
    other = make_result(tmp_path / "other", "m", curve_row("qa", "target", 0.2, 0.0), base="c")
    assert "have different bases" in str(cli("sequence", stages[0], str(other)).exception)
    assert "is there twice" in str(cli("sequence", stages[0], stages[0]).exception)


def test_a_task_that_was_measured_differently_is_refused(cli: Cli, stages: list[str], tmp_path: Path) -> None:
    task = {
        "name": "qa", "version": 1, "title": "qa", "role": "target", "definition_sha256": "d",
        "status": "done", "primary": "acc", "margin": 0.02, "n_planned": 100,
    }  # fmt: skip
    for place, n in zip(stages, (100, 50), strict=True):
        path = Path(place) / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tasks": [task | {"n_planned": n}]}))
    refused = cli("sequence", *stages, "--output-path", str(tmp_path / "out")).exception
    assert "measured qa differently" in str(refused)

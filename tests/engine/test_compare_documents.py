"""Runs that are compared may come from others: what their documents say leads nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine.compare import compare_runs
from forgetbench.engine.results import RUN_FILE
from forgetbench.errors import UsageError
from lm_eval_runs import write_run
from report_results import write_report_result

OUT = "../../../../../outside"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write_report_result(tmp_path / "given" / "before", checkpoint="c"),
        write_report_result(tmp_path / "given" / "after", checkpoint="d"),
    )


def change(run: Path, **updates: Any) -> None:
    path = run / RUN_FILE["checkpoint"]
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | updates))


def test_no_fingerprint_or_run_key_leads_out_of_the_output(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for run in runs:
        info = json.loads((run / RUN_FILE["checkpoint"]).read_text())["checkpoint"]
        change(run, run_key=OUT, checkpoint={**info, "name": OUT, "fingerprint": f"{OUT}/{run.name}"})
    result = compare_runs(*runs, output=tmp_path / "out")
    assert result.directory.resolve().is_relative_to(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "out"]


def test_no_task_leads_out_of_the_output(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for run in runs:
        tasks = json.loads((run / RUN_FILE["checkpoint"]).read_text())["tasks"]
        tasks[0]["name"] = f"{OUT}/../../samples"
        change(run, tasks=tasks)
    with pytest.raises(UsageError, match="leads out of the result"):
        compare_runs(*runs, output=tmp_path / "a" / "b" / "out")
    assert not (tmp_path / "outside").exists() and not list(tmp_path.glob("*.parquet"))


def test_runs_of_another_budget_are_compared_by_what_both_answered(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = json.loads((runs[1] / RUN_FILE["checkpoint"]).read_text())["settings"]
    change(runs[1], run_key="other", settings={**settings, "limits": {"facts": 60}})
    comparison = compare_runs(*runs, output=tmp_path / "out").comparison
    assert comparison is not None and len(comparison.rows) > 1


def test_two_runs_without_a_common_task_are_no_comparison(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {name: ([1.0] * 30, 30)}) for name in ("one", "other")]
    with pytest.raises(UsageError, match="other: the base's run does not have it") as refused:
        compare_runs(*runs, output=tmp_path / "results")
    assert refused.value.exit_code == 2
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").rglob("*.json"))

"""``forgetbench report`` as a person gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from report_results import write_report_result

Call = Callable[..., Result]


def test_one_result_gets_its_report_beside_it_and_several_get_one_here(
    cli: Call, report_result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("report", str(report_result))
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(report_result / "report.html")
    other = write_report_result(tmp_path / "other", checkpoint="d")
    done = cli("report", str(report_result), str(other))
    assert done.stdout.strip() == "report.html"
    assert Path("report.html").read_text().count("<article") == 2


def test_what_cannot_be_written_or_read_is_one_line(cli: Call, report_result: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("report", str(report_result), "--output", str(tmp_path / "file" / "report.html"))
    assert "cannot be written" in str(done.exception)
    done = cli("report", str(report_result), "--curve", str(report_result / "run.json"))
    assert "Give a curve.json" in str(done.exception)
    next(report_result.glob("samples/base/facts.parquet")).write_bytes(b"changed")
    done = cli("report", str(report_result))
    assert "differs from its run document" in str(done.exception)
    assert not (report_result / "report.html").exists()


def test_tables_go_to_stdout_or_to_a_file(cli: Call, report_result: Path, tmp_path: Path) -> None:
    said = cli("report", str(report_result), "--format", "markdown").stdout
    assert "| Knowledge | mean of its tasks |" in said or "| Knowledge |" in said
    cli("report", str(report_result), "--format", "markdown", "--output", str(tmp_path / "table.md"))
    assert (tmp_path / "table.md").read_text() == said


def test_a_run_of_the_user_s_own_recordings_is_logged_with_players(
    cli: Call, made: Path, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from tiny_models import make_whisper

    monkeypatch.chdir(tmp_path)
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    done = cli(
        "run", "--model", str(other), "--base", str(made / "whisper"),
        "--target", str(tiny_tasks / "heard.jsonl"), "--condition", "noise=white,snr_db=5", "--offline",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("forgetbench")
    (pair,) = client.search_runs(
        [experiment.experiment_id], filter_string="tags.`forgetbench.member` = 'pair'"
    )
    page = Path(client.download_artifacts(pair.info.run_id, "report.html", str(tmp_path)))
    assert "data:audio/flac;base64," in page.read_text()

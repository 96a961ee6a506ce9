"""``forgetbench curves`` on made-up result directories, and on tiny real checkpoints."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import Result

from forgetbench.cli.schema import schemas
from forgetbench.errors import DataError, UsageError
from forgetbench.recipes.run import run_recipe
from forgetbench.schema.curve import Curve
from forgetbench.schema.recipe import Recipe

Cli = Callable[..., Result]


@pytest.fixture
def one_rank(sweep: Path) -> list[str]:
    return [str(path) for path in sorted(sweep.glob("32-*"))]


def test_the_tables_say_which_law_holds_and_how_it_predicts(
    cli: Cli, one_rank: list[str], tmp_path: Path
) -> None:
    done = cli("curves", *one_rank, "--output-path", str(tmp_path / "out"), "--no-mlflow")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "12 checkpoints of org/base" in said
    assert "▸ levels off" in said
    assert "trained parameters the same everywhere" in said
    assert "'levels off' has the lowest AICc; on the largest run it is" in said
    assert "better than the last value; 2 runs: not to be extrapolated" in said
    assert "lora: this method, over 2 seeds" in said


def test_the_files_hold_the_document_and_are_the_same_bytes_twice(
    cli: Cli, one_rank: list[str], tmp_path: Path
) -> None:
    for name in ("once", "again"):
        assert cli("curves", *one_rank, "--output-path", str(tmp_path / name), "--no-mlflow").exit_code == 0
    once = {path.name: path.read_bytes() for path in (tmp_path / "once").iterdir()}
    assert once == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert set(once) == {"curve.json", "curves.csv", "curves.png", "curves.svg", "curves.pdf"}
    assert once["curves.png"][:4] == b"\x89PNG" and once["curves.pdf"][:5] == b"%PDF-"
    assert b"<svg" in once["curves.svg"]
    document = Curve.model_validate_json(once["curve.json"])
    rows = list(csv.DictReader(once["curves.csv"].decode().splitlines()))
    assert len(rows) == len(document.points) * len(document.measures) == 24
    assert rows[0]["measure"] == "arc"
    assert float(rows[0]["degradation"]) == document.points[0].losses[0].degradation
    assert "curve" in schemas()


def test_the_document_says_the_command_that_makes_it_again(
    cli: Cli, sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep)
    files = ["--no-mlflow", "--output-path"]
    assert cli("curves", ".", "--seed", "7", *files, str(tmp_path / "once")).exit_code == 0
    once = (tmp_path / "once" / "curve.json").read_bytes()
    line = Curve.model_validate_json(once).reproduce
    assert line == "forgetbench curves . --seed 7"
    assert cli(*shlex.split(line)[1:], *files, str(tmp_path / "again")).exit_code == 0
    assert (tmp_path / "again" / "curve.json").read_bytes() == once
    assert cli("curves", str(sweep), *files, str(tmp_path / "absolute")).exit_code == 0
    assert str(sweep.parent) not in (tmp_path / "absolute" / "curve.json").read_text()


def test_json_is_the_document_and_nothing_else(cli: Cli, one_rank: list[str], tmp_path: Path) -> None:
    done = cli("curves", *one_rank, "--output-path", str(tmp_path / "out"), "--no-mlflow", "--json")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "curve.json").read_text())


def test_a_folder_and_a_glob_name_the_results_too(
    cli: Cli, make_result: Callable[..., Path], curve_row: Callable[..., object], tmp_path: Path
) -> None:
    for i in (5, 9):
        make_result(tmp_path / "r" / f"f{i}", f"checkpoint-{i}", curve_row("arc", "general", 0.6, 0.01 * i))
    for named in (str(tmp_path / "r"), str(tmp_path / "r" / "f*")):
        done = cli("curves", named, "--output-path", str(tmp_path / "out"), "--no-mlflow")
        assert "2 checkpoints of org/base" in done.stdout, done.output
    gone = cli("curves", str(tmp_path / "r" / "g*"), "--output-path", str(tmp_path / "new"), "--no-mlflow")
    assert "RESULT" in str(gone.exception) and "matches nothing" in str(gone.exception)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("n_tasks", [2, 6])
def test_losses_stand_beside_each_other_while_they_fit_and_else_below(
    cli: Cli, make_result: Callable[..., Path], curve_row: Callable[..., object], tmp_path: Path, n_tasks: int
) -> None:
    for step in (10, 20):
        rows = [curve_row(f"t{i}", "general", 0.6, 0.001 * step * (i + 1)) for i in range(n_tasks)]
        make_result(tmp_path / "r" / f"f{step}", f"checkpoint-{step}", *rows, training={"steps": step})
    done = cli("curves", str(tmp_path / "r"), "--output-path", str(tmp_path / "out"), "--no-mlflow")
    table, _, _ = done.stdout.partition("Laws of")
    lines = [line for line in table.splitlines() if re.search(r"\+\d", line)]
    assert "checkpoint-10" not in table, "the steps say it"
    assert len(lines) == (2 if n_tasks == 2 else 12)
    assert [line.count("+") for line in lines] == [2 if n_tasks == 2 else 1] * len(lines)


def test_a_method_or_run_of_any_name_is_drawn_and_is_no_formula(
    cli: Cli, make_result: Callable[..., Path], curve_row: Callable[..., object], tmp_path: Path
) -> None:
    for step in (10, 20):
        training = {"run": "=run()", "method": r"$\frac{", "steps": step}
        row = curve_row("arc", "general", 0.6, 0.001 * step)
        make_result(tmp_path / "r" / f"f{step}", f"checkpoint-{step}", row, training=training)
    done = cli("curves", str(tmp_path / "r"), "--output-path", str(tmp_path / "out"), "--no-mlflow")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "curves.png").is_file()
    rows = list(csv.DictReader((tmp_path / "out" / "curves.csv").read_text().splitlines()))
    assert {row["run"] for row in rows} == {"'=run()"}


def test_mlflow_has_each_run_by_step_and_the_curve_once(
    cli: Cli, one_rank: list[str], tmp_path: Path
) -> None:
    for _ in range(2):
        done = cli("curves", *one_rank, "--output-path", str(tmp_path / "out"))
        assert done.exit_code == 0, done.output
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("forgetbench")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    steps = {f"r32 s{seed}, steps {step}" for seed in (0, 1) for step in (10, 20, 40, 80, 160, 320)}
    assert set(runs) == {"curve of org/base", "r32 s0", "r32 s1", *steps}
    parent, child = runs["curve of org/base"], runs["r32 s1"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert runs["r32 s1, steps 80"].data.tags["mlflow.parentRunId"] == child.info.run_id
    history = client.get_metric_history(child.info.run_id, "degradation/arc acc")
    document = Curve.model_validate_json((tmp_path / "out" / "curve.json").read_text())
    points = [p for p in document.points if p.training.run == "r32 s1"]
    assert {m.step: m.value for m in history} == {p.training.steps: p.losses[0].degradation for p in points}
    assert parent.data.metrics["law/r2/lora arc saturating_exponential"] > 0.99
    artifacts = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"curve.json", "curves.csv", "curves.png", "curves.svg", "curves.pdf"}


def test_a_tracker_that_is_down_costs_a_warning_and_no_file(
    cli: Cli, one_rank: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no database")
    done = cli(
        "curves", *one_rank, "--output-path", str(tmp_path / "out"),
        MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "the curve was not logged" in done.stderr
    assert (tmp_path / "out" / "curves.csv").is_file()


@pytest.mark.parametrize(
    ("table", "kind", "said"),
    [
        (None, UsageError, "its files do not say after how many steps it was saved. Give --training"),
        ("name,steps\na,1\n", DataError, "has no column 'checkpoint'"),
        ("checkpoint,steps\na,1\nb,1\n", UsageError, "all have the same number of steps"),
        ("checkpoint,steps\na,1\nc,1\n", UsageError, "checkpoint c of the table: is none of the results"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    cli: Cli,
    make_result: Callable[..., Path],
    curve_row: Callable[..., object],
    tmp_path: Path,
    table: str | None,
    kind: type[Exception],
    said: str,
) -> None:
    for name in ("a", "b"):
        make_result(tmp_path / "r" / name, name, curve_row("arc", "general", 0.6, 0.1))
    more = []
    if table is not None:
        (tmp_path / "made.csv").write_text(table)
        more = ["--training", str(tmp_path / "made.csv")]
    done = cli("curves", str(tmp_path / "r"), *more, "--output-path", str(tmp_path / "out"), "--no-mlflow")
    assert isinstance(done.exception, kind)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_what_checkpoints_are_called_is_shown_and_never_obeyed(
    cli: Cli, make_result: Callable[..., Path], curve_row: Callable[..., object], tmp_path: Path
) -> None:
    for i in (5, 9):
        row = curve_row("arc", "general", 0.6, 0.01 * i, title="[bold]$x^2$\x1b[2J")
        make_result(tmp_path / "r" / f"f{i}", "\x1b[31mred[/]", row, training={"steps": i, "run": "[red]$_$"})
    done = cli("curves", str(tmp_path / "r"), "--output-path", str(tmp_path / "out"), "--no-mlflow")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    assert "red[/]" in done.stdout and "[bold]$x^2$" in done.stdout


def test_checkpoints_of_a_recipe_are_run_and_drawn_over_steps(
    cli: Cli, tiny_whisper: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "one.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8000), 16_000)
    (tmp_path / "mine.jsonl").write_text(json.dumps({"audio": "one.wav", "text": "one"}) + "\n")
    made = tmp_path / "made"
    run_recipe(
        Recipe(
            name="r", family="whisper", model=str(tiny_whisper), data=str(tmp_path / "mine.jsonl"),
            output=str(made), steps=3, save_steps=(1, 2, 3), warmup_steps=0, learning_rate=0.5,
            batch_size=1, rank=2,
        )
    )  # fmt: skip
    results = tmp_path / "results"
    done = cli(
        "run", "--model", str(made / "checkpoint-*"), "--tasks", "heard", "--include-path", str(tiny_tasks),
        "--output-path", str(results), "--offline", "--no-mlflow", "--limit", "2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    first = Curve.model_validate_json((results / "curves" / "curve.json").read_text())
    assert [p.training.steps for p in first.points] == [1, 2, 3]
    assert {p.training.lora_rank for p in first.points} == {2}
    assert len({p.training.run for p in first.points}) == 1
    trained = {p.training.trained_parameters for p in first.points}
    assert None not in trained and len(trained) == 1
    assert all(p.training.target_loss is not None for p in first.points)
    assert all(law.not_fitted for law in first.laws if law.law == "power_in_steps")
    again = cli("curves", str(results), "--output-path", str(tmp_path / "again"), "--no-mlflow")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again" / "curve.json").read_text() == first.to_json()

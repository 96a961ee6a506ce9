"""``forgetbench curves``: what was lost over training, and which law describes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetbench.cli import options as o

if TYPE_CHECKING:
    from forgetbench.schema.curve import Curve

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench run --model 'out/checkpoint-*' --target test.jsonl --tasks retention\n\n"
    "forgetbench curves results/\n\n"
    "forgetbench curves results/ --training made.csv\n\n"
    "The first measures and draws one training run; the others take all checkpoints of one base together, "
    "several ranks and seeds too."
)
FOLDER = "curves"
DOCUMENT = "curve.json"


def curves(
    results: Annotated[
        list[str],
        typer.Argument(help="Result directories, or folders that hold them; globs too.", metavar="RESULT…"),
    ],
    training: o.TrainingTable = None,
    seed: Annotated[
        int, o.option(min=0, help="Seed of fits and resampling.", rich_help_panel=o.HOW, metavar="N")
    ] = 0,
    output_path: Annotated[
        Path,
        o.option(
            help="Folder of curve.json, curves.csv and the figures.", rich_help_panel=o.WHERE, metavar="DIR"
        ),
    ] = Path("results/curves"),
    mlflow: Annotated[
        bool,
        o.option("--mlflow/--no-mlflow", help="Log the curve to MLflow, by step.", rich_help_panel=o.WHERE),
    ] = True,
    json: o.Json = False,
) -> None:
    """Draw what checkpoints lost over training, and test the laws of forgetting on the largest run."""
    from forgetbench.cli.checkpoints import expand
    from forgetbench.data.training_table import read_training_table
    from forgetbench.engine.curve_results import curve_of, find_results
    from forgetbench.engine.reproduce import command_line
    from forgetbench.engine.results import check_writable

    table = read_training_table(training) if training is not None else None
    found = find_results([Path(name) for name in expand(results, option="RESULT")])
    check_writable(output_path, "--output-path")
    options = ["--training", training] if training is not None else []
    reproduce = command_line("curves", *map(Path, results), *options, "--seed", seed)
    curve = curve_of(found, table, seed=seed, reproduce=reproduce)
    show_curve(curve, output_path, mlflow=mlflow, as_json=json)


def show_curve(
    curve: Curve, folder: Path, *, mlflow: bool, as_json: bool, offline: bool = False, document: bool = True
) -> None:
    """Write a curve's files, print its tables, and log it.

    Args:
        curve: The document.
        folder: Where the files go.
        mlflow: Log it.
        as_json: Keep stdout for JSON.
        offline: Log to a local store only.
        document: With ``as_json``, write the document there.
    """
    from forgetbench.cli.console import console, write_json
    from forgetbench.report.curves import curves_table
    from forgetbench.report.escape import plain

    files = write_curve(curve, folder)
    out = console(as_json=as_json)
    out.print(curves_table(curve))
    for path in files:
        out.print(plain(str(path)), style="dim", soft_wrap=True)
    if mlflow:
        _log(curve, files, offline=offline, as_json=as_json)
    if as_json and document:
        write_json(curve.model_dump(mode="json"))


def write_curve(curve: Curve, folder: Path) -> list[Path]:
    """Write the document, the CSV file and the figure in three formats; the same bytes for the same curve."""
    from forgetbench.atomic import write_atomically
    from forgetbench.report.curve_figures import draw_curve
    from forgetbench.report.curves import curves_csv

    contents = {DOCUMENT: curve.to_json().encode(), "curves.csv": curves_csv(curve)}
    contents |= {f"curves.{suffix}": figure for suffix, figure in draw_curve(curve).items()}
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def _log(curve: Curve, files: list[Path], *, offline: bool, as_json: bool) -> None:
    from forgetbench.cli.console import console, warn
    from forgetbench.tracking.curve_log import log_curve
    from forgetbench.tracking.store import sqlite_path, tracking_address, without_password

    if offline and sqlite_path(tracking_address()) is None:
        warn("MLflow: the curve was not logged, for the run is offline. Later: forgetbench curves")
        return
    if warning := log_curve(curve, files):
        warn(warning)
    else:
        console(as_json=as_json).print(
            f"MLflow: {without_password(tracking_address())}", style="dim", soft_wrap=True
        )

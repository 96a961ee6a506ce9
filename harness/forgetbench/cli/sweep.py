"""``forgetbench sweep``: post-train a grid of recipes, measure every checkpoint, and draw the curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetbench.cli import options as o
from forgetbench.cli.engine import Engine, RayAddress, check_engine, show_placement, workers_of
from forgetbench.cli.output_url import results_in
from forgetbench.errors import ForgetbenchError

if TYPE_CHECKING:
    from forgetbench.engine.ray_engine import RayWorkers
    from forgetbench.recipes.sweep import SweepPlan
    from forgetbench.report.sweep import SweepLine
    from forgetbench.schema.sweep import Grid

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench sweep grid.yaml --dry-run\n\n"
    "forgetbench sweep grid.yaml --output-path results/smollm2\n\n"
    "The same command again goes on where it stopped. A grid file names model, data, tasks, seeds, and "
    "recipes with the values to go through: see docs/recipes.md."
)


def sweep(
    grid: Annotated[Path, typer.Argument(help="Grid file, YAML.", metavar="GRID.yaml")],
    dry_run: Annotated[
        bool,
        o.option(
            "--dry-run",
            help="Show what would be trained and measured, and about how long.",
            rich_help_panel=o.WHAT,
        ),
    ] = False,
    seed: Annotated[
        int,
        o.option(min=0, help="Seed of fits and resampling of the curve.", rich_help_panel=o.HOW, metavar="N"),
    ] = 0,
    output_path: Annotated[
        Path | None,
        o.option(
            help="Folder of results, sweep.json and curves. Default: [dim]results/NAME[/dim].",
            rich_help_panel=o.WHERE,
            metavar="DIR",
        ),
    ] = None,
    trust_remote_code: o.TrustRemoteCode = False,
    offline: o.Offline = False,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    mlflow: Annotated[
        bool,
        o.option("--mlflow/--no-mlflow", help="Log the curve to MLflow, by step.", rich_help_panel=o.WHERE),
    ] = True,
    json: o.Json = False,
) -> None:
    """Post-train rank × steps × method × seed, measure every checkpoint, and draw and fit the curves."""
    from forgetbench.engine.reproduce import command_line
    from forgetbench.recipes.grid import read_grid

    check_engine(engine, ray_address)
    o.go_offline(offline)
    asked = read_grid(grid)
    options = ["--seed", str(seed), *(["--trust-remote-code"] if trust_remote_code else [])]
    with (
        results_in(output_path or Path("results") / asked.name, as_json=json) as output,
        workers_of(engine, ray_address) as workers,
    ):
        _sweep(
            asked,
            output,
            workers,
            reproduce=command_line("sweep", grid, *options),
            dry_run=dry_run,
            seed=seed,
            offline=offline,
            trust_remote_code=trust_remote_code,
            mlflow=mlflow,
            as_json=json,
        )


def _sweep(
    asked: Grid,
    output: Path,
    workers: RayWorkers | None,
    *,
    reproduce: str,
    dry_run: bool,
    seed: int,
    offline: bool,
    trust_remote_code: bool,
    mlflow: bool,
    as_json: bool,
) -> None:
    from forgetbench.cli.console import console, write_json
    from forgetbench.cli.curves import FOLDER, show_curve
    from forgetbench.engine.curve_results import curve_of
    from forgetbench.engine.results import check_writable
    from forgetbench.engine.run import prepare_selftest
    from forgetbench.recipes.sweep import plan_sweep, run_sweep
    from forgetbench.report.progress import Bars
    from forgetbench.report.sweep import sweep_table

    plan = plan_sweep(
        asked, output, offline=offline, trust_remote_code=trust_remote_code, reproduce=reproduce
    )
    lines = _lines(plan)
    console(as_json=as_json).print(sweep_table(lines))
    if workers is not None:
        n_left = sum(line.checkpoints - line.measured for line in lines)
        show_placement(workers, [prepare_selftest(plan.request)], as_json=as_json, times=n_left)
    if dry_run:
        if as_json:
            write_json([line._asdict() for line in lines])
        return
    check_writable(output, "--output-path")
    with Bars() as bars:
        results, failures = run_sweep(plan, progress=bars, workers=workers)
    if len(results) > 1 or not failures:
        curve = curve_of(results, seed=seed, reproduce=reproduce)
        show_curve(curve, output / FOLDER, mlflow=mlflow, offline=offline, as_json=as_json)
    if failures:
        raise ForgetbenchError(
            f"sweep {asked.name}",
            f"{len(failures)} of {len(plan.cells)} trainings failed: {failures[0]}",
            f"The {len(results)} results stay; the same command tries the rest again.",
        ) from failures[0]


def _lines(plan: SweepPlan) -> list[SweepLine]:
    from forgetbench.report.sweep import SweepLine

    return [
        SweepLine(
            name=cell.recipe.name,
            steps=cell.recipe.steps,
            checkpoints=len(cell.wanted),
            measured=len(cell.wanted) - len(cell.left),
            seconds=cell.seconds,
        )
        for cell in plan.cells
    ]

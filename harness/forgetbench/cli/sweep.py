"""``forgetbench sweep``: post-train a grid of recipes, measure every checkpoint, and draw the curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetbench.cli import options as o
from forgetbench.errors import ForgetbenchError

if TYPE_CHECKING:
    from forgetbench.recipes.sweep import SweepPlan
    from forgetbench.report.sweep import SweepLine

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
        int, o.option(help="Seed of fits and resampling of the curve.", rich_help_panel=o.HOW, metavar="N")
    ] = 0,
    output_path: Annotated[
        Path | None,
        o.option(
            help="Folder of results, sweep.json and curves. Default: [dim]results/NAME[/dim].",
            rich_help_panel=o.WHERE,
            metavar="DIR",
        ),
    ] = None,
    offline: o.Offline = False,
    mlflow: Annotated[
        bool,
        o.option("--mlflow/--no-mlflow", help="Log the curve to MLflow, by step.", rich_help_panel=o.WHERE),
    ] = True,
    json: o.Json = False,
) -> None:
    """Post-train rank × steps × method × seed, measure every checkpoint, and draw and fit the curves."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.cli.curves import FOLDER, show_curve
    from forgetbench.cli.progress import Bars
    from forgetbench.engine.results import check_writable
    from forgetbench.engine.trajectories import curve_of
    from forgetbench.recipes.grid import read_grid
    from forgetbench.recipes.sweep import plan_sweep, run_sweep
    from forgetbench.report.sweep import sweep_table

    o.go_offline(offline)
    asked = read_grid(grid)
    output = output_path or Path("results") / asked.name
    plan = plan_sweep(asked, output, offline=offline)
    lines = _lines(plan)
    console(as_json=json).print(sweep_table(lines))
    if dry_run:
        if json:
            write_json([line._asdict() for line in lines])
        return
    check_writable(output, "--output-path")
    with Bars() as bars:
        results, failures = run_sweep(plan, progress=bars)
    if len(results) > 1 or not failures:
        show_curve(
            curve_of(results, seed=seed), output / FOLDER, mlflow=mlflow, offline=offline, as_json=json
        )
    if failures:
        raise ForgetbenchError(
            f"sweep {asked.name}",
            f"{len(failures)} of {len(plan.cells)} trainings failed: {failures[0]}",
            f"The {len(results)} results stay; the same command tries the rest again.",
        )


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

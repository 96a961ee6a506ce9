"""``forgetbench compare``: two runs that exist already, of forgetbench or of lm-eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetbench.cli import completion
from forgetbench.cli import options as o
from forgetbench.errors import UsageError

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench compare lm-eval/base lm-eval/my-lora\n\n"
    "forgetbench compare results/base/…/run.json results/my-lora/… --margin hellaswag=0.01\n\n"
    "lm-eval's folders come from: lm-eval run … --log_samples --output_path DIR"
)


def compare(
    base: Annotated[
        Path,
        typer.Argument(
            help="Run of the base: a result directory (its run.json), or a folder of lm-eval output.",
            metavar="BASE",
        ),
    ],
    checkpoint: Annotated[Path, typer.Argument(help="The same of the checkpoint.", metavar="CHECKPOINT")],
    role: o.Role = None,
    margin: Annotated[
        list[str] | None,
        o.option(
            "--margin",
            help="Largest acceptable loss of a suite or task, in its metric's units: "
            "[dim]hellaswag=0.01[/dim].",
            rich_help_panel=o.WHAT,
            metavar="NAME=LOSS",
            autocompletion=completion.assigned,
        ),
    ] = None,
    output_path: o.OutputPath = Path("results"),
    json: o.Json = False,
) -> None:
    """Compare two runs that exist already: results of forgetbench, or plain output of lm-eval."""
    roles, margins = o.assignments("--role", role), _margins(margin)
    from forgetbench.cli.run import fail_where_rows_are_errors, show
    from forgetbench.engine.compare import compare_runs

    result = compare_runs(base, checkpoint, output=output_path, roles=roles, margins=margins)
    show(result, as_json=json)
    way_out = "Run both models with the same settings; the other rows stand."
    fail_where_rows_are_errors(result, way_out=way_out)


def _margins(values: list[str] | None) -> dict[str, float]:
    found = {}
    for name, value in o.assignments("--margin", values).items():
        try:
            found[name] = float(value)
        except ValueError:
            raise UsageError(
                f"--margin {name}={value}", "is no number", "Such as 0.02 for 2 points."
            ) from None
    return found

"""``forgetbench sequence``: what training in stages forgot, by the published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetbench.cli import options as o

EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench sequence results/stage-1/… results/stage-2/… results/stage-3/… --stages qa,code,dialogue\n\n"
    "Each result is the checkpoint after one stage against the base before all, in order, on the same tasks."
)
DOCUMENT, MARKDOWN = "sequence.json", "sequence.md"


def sequence(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Directory that run or compare printed, one for each stage.", metavar="RESULT..."
        ),
    ],
    stages: Annotated[
        list[str] | None,
        o.option(
            "--stages",
            help="Task that each stage trained, in order: for ACC, BWT, FWT and Chaudhry forgetting.",
            rich_help_panel=o.WHAT,
            metavar="TASK,TASK",
        ),
    ] = None,
    untrained: Annotated[
        Path | None,
        o.option(
            "--untrained",
            help="Result of a randomly initialised model on the same tasks, for FWT.",
            rich_help_panel=o.WHAT,
            metavar="RESULT",
        ),
    ] = None,
    output_path: Annotated[
        Path,
        o.option(help="Folder of sequence.json and sequence.md.", rich_help_panel=o.WHERE, metavar="DIR"),
    ] = Path("results/sequence"),
    json: o.Json = False,
) -> None:
    """Show scores by stage and task, with FG, BWT, FWT, ability deltas, decaScore and their like."""
    from forgetbench.atomic import write_atomically
    from forgetbench.cli.console import console, write_json
    from forgetbench.engine.reproduce import command_line
    from forgetbench.engine.results import check_writable
    from forgetbench.engine.sequences import sequence_of
    from forgetbench.report.escape import plain
    from forgetbench.report.sequence import sequence_markdown, sequence_table

    trained_on = o.names(stages)
    options: list[object] = ["--stages", ",".join(trained_on)] if trained_on else []
    options += ["--untrained", untrained] if untrained is not None else []
    reproduce = command_line("sequence", *results, *options)
    found = sequence_of(results, trained_on=trained_on, untrained=untrained, reproduce=reproduce)
    check_writable(output_path, "--output-path")
    out = console(as_json=json)
    out.print(sequence_table(found))
    for name, content in ((DOCUMENT, found.to_json()), (MARKDOWN, sequence_markdown(found))):
        write_atomically(output_path / name, content.encode())
        out.print(plain(str(output_path / name)), style="dim", soft_wrap=True)
    if json:
        write_json(found.model_dump(mode="json"))

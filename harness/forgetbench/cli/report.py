"""``forgetbench report``: the table of a result, for a paper or a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from forgetbench.cli import options as o
from forgetbench.errors import UsageError

if TYPE_CHECKING:
    from forgetbench.engine.results import Result

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench report results/my-lora/1f2e…/9c3a…/77ab… --format latex --bibtex tasks.bib > table.tex\n\n"
    "forgetbench report results/seed-1/… results/seed-2/… results/seed-3/… --format markdown\n\n"
    "One result speaks of this checkpoint; several, of the method, if they differ in the training seed alone."
)


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Directory that run printed; one for each training seed.", metavar="RESULT..."),
    ],
    format: Annotated[
        Literal["latex", "markdown", "csv"],
        o.option("--format", help="LaTeX for booktabs, Markdown, or tidy CSV.", rich_help_panel=o.WHERE),
    ] = "markdown",
    bibtex: Annotated[
        Path | None,
        o.option(
            "--bibtex",
            help="Write BibTeX of the tasks to this file.",
            rich_help_panel=o.WHERE,
            metavar="FILE",
        ),
    ] = None,
    training: o.TrainingTable = None,
    include_path: o.IncludePath = None,
) -> None:
    """Print the table of a result, for a paper or a page, with BibTeX of its tasks."""
    from forgetbench.atomic import write_atomically
    from forgetbench.data.training_table import read_training_table
    from forgetbench.engine.results import read_result
    from forgetbench.engine.trajectories import trained_checkpoints
    from forgetbench.report.bibtex import bibtex as entries
    from forgetbench.report.formats import FORMATS
    from forgetbench.report.paper_table import paper_table

    found = [read_result(path) for path in results]
    compared = [result.comparison for result in found if result.comparison is not None]
    if len(compared) < len(found):
        alone = next(result.directory for result in found if result.comparison is None)
        raise UsageError(str(alone), "has no comparison", "Run again with --base.")
    trained = trained_checkpoints(found, read_training_table(training) if training else None)
    text = FORMATS[format](paper_table(compared, [each.training for each in trained]))
    if bibtex is not None:
        write_atomically(bibtex, entries(_citations(found, include_path or [])).encode())
    sys.stdout.write(text)


def _citations(results: list[Result], include_paths: list[Path]) -> dict[str, str]:
    """Return the citation of each task, of one inside an lm-eval group its group's, by title."""
    from forgetbench.tasks.registry import load_registry

    defined = {definition.task.name: definition.task for definition in load_registry(include_paths)}
    names = [
        known
        for result in results
        for task in result.checkpoint.tasks
        for known in (task.name, task.name.partition(".")[0])
        if known in defined and task.status != "skipped"
    ]
    names += [row.name for result in results for row in result.checkpoint.suite_rows if row.name in defined]
    return {defined[name].title or name: defined[name].citation for name in dict.fromkeys(names)}

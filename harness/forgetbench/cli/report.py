"""``forgetbench report``: a result as one HTML file, or as a table for a paper or a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from forgetbench.cli import options as o
from forgetbench.errors import ForgetbenchError, UsageError

if TYPE_CHECKING:
    from forgetbench.engine.heard_again import Sources
    from forgetbench.engine.results import Result

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench report results/my-lora/1f2e…/9c3a…/77ab…\n\n"
    "forgetbench report results/my-lora/1f2e…/9c3a…/77ab… --format latex --bibtex tasks.bib > table.tex\n\n"
    "forgetbench report results/seed-1/… results/seed-2/… results/seed-3/… --format markdown\n\n"
    "One result speaks of this checkpoint; several, of the method, if they differ in the seed alone. "
    "The HTML file has players for the worst losses: they need the run's audio, and its --include-path, "
    "--target and --condition."
)
HTML_FILE = "report.html"


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Directory that run printed; one for each training seed.", metavar="RESULT..."),
    ],
    format: Annotated[
        Literal["html", "latex", "markdown", "csv"],
        o.option(
            "--format",
            help="One HTML file, or on stdout LaTeX for booktabs, Markdown or tidy CSV.",
            rich_help_panel=o.WHERE,
        ),
    ] = "html",
    output: Annotated[
        Path | None,
        o.option(
            help="The file to write. Default: report.html in the result, of several here; tables on stdout.",
            rich_help_panel=o.WHERE,
            metavar="FILE",
        ),
    ] = None,
    curve: Annotated[
        Path | None,
        o.option(
            help="curve.json, as [dim]forgetbench curves[/dim] wrote it: drawn into the HTML file.",
            rich_help_panel=o.WHAT,
            metavar="FILE",
        ),
    ] = None,
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
    target: o.Target = None,
    condition: o.ConditionOption = None,
    json: o.Json = False,
) -> None:
    """Make one HTML file of a result, to look at and listen to; or a table of it, with BibTeX."""
    from forgetbench.atomic import write_atomically
    from forgetbench.data.training_table import read_training_table
    from forgetbench.engine.curve_results import trained_checkpoints
    from forgetbench.engine.results import read_result
    from forgetbench.report.bibtex import bibtex as entries
    from forgetbench.report.formats import FORMATS
    from forgetbench.report.paper_table import paper_table

    if json and format != "html" and output is None:
        raise UsageError("--json", "and the table both want stdout", "Add --output FILE for the table.")
    found = [read_result(path) for path in results]
    compared = [result.comparison for result in found if result.comparison is not None]
    if len(compared) < len(found):
        alone = next(result.directory for result in found if result.comparison is None)
        raise UsageError(str(alone), "has no comparison", "Run again with --base.")
    if bibtex is not None:
        write_atomically(bibtex, entries(_citations(found, include_path or [])).encode())
    if format != "html":
        trained = trained_checkpoints(found, read_training_table(training) if training else None)
        table = FORMATS[format](paper_table(compared, [each.training for each in trained]))
        _write(table, output, bibtex=bibtex, as_json=json)
        return
    from forgetbench.engine.curve_results import read_curve
    from forgetbench.engine.heard_again import Sources
    from forgetbench.report.html.page import html_report

    sources = Sources(include_paths=include_path or [], target=target, conditions=o.conditions(condition))
    page = html_report(found, sources=sources, curve=read_curve(curve) if curve else None)
    place = output or (found[0].directory / HTML_FILE if len(found) == 1 else Path(HTML_FILE))
    _write(page, place, bibtex=bibtex, as_json=json)


def files_of(result: Result, sources: Sources | None = None) -> dict[str, str]:
    """Return what MLflow keeps of a result beside its documents: its report, its verdicts as a picture."""
    from forgetbench.report.html.page import AS_BUILT_IN, forest_svg, html_report

    assert result.comparison is not None
    files = {"figures/verdicts.svg": forest_svg(result.comparison)}
    try:
        return {**files, HTML_FILE: html_report([result], sources=sources or AS_BUILT_IN)}
    except ForgetbenchError:  # its samples are gone; the documents are good without them
        return files


def _write(text: str, path: Path | None, *, bibtex: Path | None, as_json: bool) -> None:
    """Write a file and name it, or write to stdout."""
    from forgetbench.atomic import write_atomically
    from forgetbench.cli.console import write_json

    if path is None:
        sys.stdout.write(text)
        return
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        cause = f"cannot be written ({error.strerror or error})"
        raise UsageError(f"--output {path}", cause, "Give another file.") from None
    if as_json:
        write_json({"report": str(path), "bibtex": str(bibtex) if bibtex else None})
    else:
        sys.stdout.write(f"{path}\n")


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

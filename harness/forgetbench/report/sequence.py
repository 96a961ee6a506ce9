"""A sequence as tables for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid
from forgetbench.report.markup import markdown, markdown_row
from forgetbench.schema.sequence import SequenceFigure, SequenceStage, SequenceTask, TaskSequence

_UNSIGNED = frozenset({"ACC", "average error rate", "forgetting score"})
_FIGURE_HEADERS = ("Figure", "Value", "Over", "Base and stages", "Source")


def sequence_table(sequence: TaskSequence) -> RenderableType:
    """Show the matrix, tasks down and stages across, and the figures below it."""
    stages = _stage_headers(sequence)
    matrix = ruled_grid("Task", "Metric", *stages, right=set(stages))
    for task in _outer(sequence):
        matrix.add_row(*(Text(plain(cell)) for cell in _cells(task)))
    figures = ruled_grid(*_FIGURE_HEADERS, right={"Value"})
    for figure in sequence.figures:
        figures.add_row(*(Text(plain(cell)) for cell in _figure_cells(figure)))
    title = f"{len(sequence.stages)} stages after {plain(sequence.base)}"
    return Group(Text(), Text(title, style="bold"), matrix, Text(), figures)


def sequence_markdown(sequence: TaskSequence) -> str:
    """Return both tables in Markdown."""
    stages = _stage_headers(sequence)
    lines = [
        f"Scores of {markdown(sequence.base)} and after each of {len(sequence.stages)} stages. "
        "Figures have their published names and signs.",
        "",
        *_markdown_table(("Task", "Metric", *stages), [_cells(task) for task in _outer(sequence)]),
        "",
        *_markdown_table(_FIGURE_HEADERS, [_figure_cells(figure) for figure in sequence.figures]),
        "",
    ]
    return "\n".join(lines)


def _outer(sequence: TaskSequence) -> list[SequenceTask]:
    """Return the rows that stand for themselves, and the trained tasks inside suite rows."""
    trained = {stage.trained_on for stage in sequence.stages}
    return [task for task in sequence.tasks if task.inside is None or task.name in trained]


def _stage_headers(sequence: TaskSequence) -> list[str]:
    return ["Base", *(f"{i}: {_stage_name(stage)}" for i, stage in enumerate(sequence.stages, start=1))]


def _stage_name(stage: SequenceStage) -> str:
    return stage.trained_on or stage.checkpoint


def _cells(task: SequenceTask) -> list[str]:
    return [task.title, task.metric, *(numbers.value(score, metric=task.metric) for score in task.scores)]


def _figure_cells(figure: SequenceFigure) -> list[str]:
    parts = figure.by_stage or figure.by_task
    shown = ", ".join(_number(figure, part) for part in parts)
    if figure.by_task:
        shown = f"by task: {shown}"
    value = _number(figure, figure.value)
    return [figure.name, value, figure.over, figure.reason or shown, figure.source]


def _number(figure: SequenceFigure, value: float | None) -> str:
    if value is None:
        return numbers.MISSING
    if figure.unit == "percent":
        return f"{round(value, 2) + 0.0:.2f}%"
    if figure.unit == "points":
        return f"{round(value, 1) + 0.0:.1f}"
    if figure.name in _UNSIGNED:
        return numbers.value(value, metric=figure.metric)
    return numbers.difference(value, metric=figure.metric)


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield markdown_row([markdown(header) for header in headers])
    yield markdown_row(["---"] * len(headers))
    for row in rows:
        yield markdown_row([markdown(cell) for cell in row])

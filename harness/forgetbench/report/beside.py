"""What stands beside the verdict: errors by class of words, further metrics, broken outputs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.forgetting.output_health import IN_WORDS
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import RULED, RULED_ASCII, Face, ruled_grid
from forgetbench.schema.comparison import Comparison, OutputHealth

FEWEST_WORDS = 20
"""Of a class of words: the rate over fewer says nothing."""


def lost_words_section(comparison: Comparison, face: Face) -> Iterator[RenderableType]:
    """Show the error rate of each class of words, base → checkpoint, where there are enough of them."""
    shown = [loss for loss in comparison.lost_words if loss.n_words >= FEWEST_WORDS]
    if not shown:
        return
    yield Text()
    yield Text("What was lost, in words: word errors, base -> checkpoint", style="bold")
    headers, right = (
        ("Task", "Class", "Base", "Ckpt", "Worse by", "Words"),
        {"Base", "Ckpt", "Worse by", "Words"},
    )
    table = ruled_grid(*headers, box=RULED_ASCII if face.ascii else RULED, right=right)
    for before, loss in zip([None, *shown], shown, strict=False):
        rates = [numbers.value(rate, metric="wer") for rate in (loss.base, loss.checkpoint)]
        worse = numbers.difference(loss.checkpoint - loss.base, metric="wer")
        table.add_row(
            Text(plain(loss.title) if before is None or before.task != loss.task else ""),
            Text(loss.word_class.replace("_", " ")),
            *(Text(rate) for rate in rates),
            Text(worse, style="bold"),
            Text(str(loss.n_words), style="dim"),
        )
    yield Padding(table, (0, 0, 0, 2), expand=False)


def beside_section(comparison: Comparison) -> Iterator[RenderableType]:
    """Show the further metrics of each task, base → checkpoint; loops are among the broken outputs."""
    shown = [metric for metric in comparison.beside if metric.metric != "looping"]
    if shown:
        yield Text()
        yield Text("Beside the verdict, base -> checkpoint", style="bold")
    for title, metrics in groupby(shown, key=lambda metric: metric.title):
        said = ", ".join(
            f"{metric.metric} {numbers.value(metric.base, metric=metric.metric)} -> "
            f"{numbers.value(metric.checkpoint, metric=metric.metric)}"
            f"{f' ({plain(metric.reason)})' if metric.reason else ''}"
            for metric in metrics
        )
        yield Padding(Text(f"{plain(title)}: {said}"), (0, 0, 0, 2), expand=False)


def output_health_section(comparison: Comparison) -> Iterator[RenderableType]:
    """Show the rates of broken outputs, base → checkpoint, of the tasks that have any."""
    lines = [line for health in comparison.output_health if (line := _health_line(health))]
    if lines:
        yield Text()
        yield Text("Broken outputs, base -> checkpoint", style="bold")
        yield from (Padding(line, (0, 0, 0, 2), expand=False) for line in lines)


def _health_line(health: OutputHealth) -> Text | None:
    rates = [
        f"{words} {numbers.rate(before)} -> {numbers.rate(after)}"
        for kind, words in IN_WORDS.items()
        for before, after in [(getattr(health.base, kind), getattr(health.checkpoint, kind))]
        if before or after
    ]
    return Text(f"{plain(health.title)}: {', '.join(rates)}") if rates else None

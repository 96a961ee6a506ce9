"""The samples that lost most, quoted."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import Face
from forgetbench.schema.comparison import Comparison, Row, WorstLoss

LONGEST_QUOTE = 160
MOST_LOSSES = 5


def losses_section(comparison: Comparison, face: Face) -> Iterator[RenderableType]:
    """Show the first of the worst losses: reference, base and checkpoint, with what changed marked."""
    if not comparison.worst_losses:
        return
    known = {row.name: row for row in (*comparison.rows, *comparison.details)}
    yield Text()
    yield Text("Worst losses", style="bold")
    for loss in comparison.worst_losses[:MOST_LOSSES]:
        row = known.get(loss.task)
        yield _loss_head(loss, row, face)
        quotes = Table.grid(padding=(0, 1))
        quotes.add_column(style="dim", no_wrap=True)
        quotes.add_column(overflow="fold")
        base, checkpoint = _quote(loss.base), _quote(loss.checkpoint)
        reference = _quote(loss.reference)
        if loss.reference and reference.plain != base.plain:
            quotes.add_row("reference", reference)
        quotes.add_row("base" if reference.plain != base.plain else "base (right)", base)
        quotes.add_row("checkpoint", _mark_changes(base.plain, checkpoint))
        yield Padding(quotes, (0, 0, 0, 4), expand=False)


def _loss_head(loss: WorstLoss, row: Row | None, face: Face) -> Text:
    bullet = "-" if face.ascii else "•"
    title = plain(row.title if row else loss.task)
    worse = numbers.difference(loss.degradation, metric=row.metric if row else "", unit=True)
    where = ", ".join(part for part in (plain(loss.condition), plain(loss.sample_id)) if part)
    return Text.assemble(f"  {bullet} {title} ", (worse, "bold"), (f"  {where}", "dim"))


def _quote(text: str) -> Text:
    shown = plain(text, limit=LONGEST_QUOTE)
    return Text(shown) if shown else Text("(nothing)", style="dim italic")


def _mark_changes(base: str, checkpoint: Text) -> Text:
    """Set the checkpoint's words that differ from the base's in bold and underlined."""
    words = checkpoint.plain.split(" ")
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    for tag, _, _, first, last in SequenceMatcher(None, base.split(" "), words, autojunk=False).get_opcodes():
        if tag != "equal" and last > first:
            checkpoint.stylize("bold underline", starts[first], starts[last] - 1)
    return checkpoint

"""What the page of one entry holds beside its line of the board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.entries import Cell, Entry
from forgetbench.leaderboard.plots import FOREST_WIDTH, forest
from forgetbench.leaderboard.reproduce import run_command
from forgetbench.leaderboard.view import CellView, cell_view, margins
from forgetbench.report import numbers
from forgetbench.report.html.samples import worse_by
from forgetbench.report.signs import ROLE_TITLES
from forgetbench.schema.board import Board
from forgetbench.schema.comparison import Comparison, WorstLoss

MOST_LOSSES = 20
LEVELS = {
    "self-reported": "Nobody has checked these numbers.",
    "recomputed": "Every number was computed again from the sample records, whose samples are those of the "
    "tasks. Without the weights, predictions that were made up consistently cannot be seen: only a re-run "
    "rules that out.",
    "re-run": "Somebody other than the submitter ran the same pair, and found the same numbers.",
}


@dataclass(frozen=True, kw_only=True)
class RowView:
    """A line of an entry's table."""

    title: str
    metric: str
    role: str
    base: str
    checkpoint: str
    cell: CellView | None
    margin: str
    lost: str
    n: str
    coverage: str
    floor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LossView:
    """One of the samples that lost most."""

    title: str
    worse_by: str
    loss: WorstLoss


def entry_context(entry: Entry, board: Board, columns: Sequence[Column]) -> dict[str, Any]:
    """Return what the template of an entry's page needs."""
    from markupsafe import escape

    comparison, run = entry.comparison, entry.run
    shown = {column.name for column in columns}
    drawn = forest(entry, columns)
    rows = [_row(column, cell) for column, cell in zip(columns, entry.cells, strict=True)]
    return {
        "rows": rows,
        "forest": drawn,
        "lines": list(zip(rows, drawn.bars if drawn else [None] * len(rows), strict=True)),
        "forest_width": FOREST_WIDTH,
        "command": escape(run_command(comparison, run, board.task_roles)),  # whole, however long
        "level_text": LEVELS[entry.level],
        "losses": list(islice(_losses(comparison, _tasks(entry, shown)), MOST_LOSSES)),
        "facts": list(_facts(entry)),
        "others": [row for row in comparison.rows if row.name not in shown],
        "scope": "The intervals cover the test items, for this checkpoint. About its method only several "
        "training seeds would speak.",
    }


def _losses(comparison: Comparison, tasks: set[str]) -> Iterator[LossView]:
    """Yield the worst losses of some tasks."""
    rows = {row.name: row for row in (*comparison.rows, *comparison.details)}
    for loss in comparison.worst_losses:
        if loss.task in tasks and (row := rows.get(loss.task)) is not None:
            lost = "lost" if row.transitions is not None else worse_by(loss.degradation, row.metric)
            yield LossView(title=row.title, worse_by=lost, loss=loss)


def _tasks(entry: Entry, shown: set[str]) -> set[str]:
    inside = {name for row in entry.run.suite_rows if row.name in shown for name in row.tasks}
    return shown | inside


def _row(column: Column, cell: Cell | None) -> RowView:
    row = cell.row if cell is not None else None
    metric = row.metric if row is not None else ""
    return RowView(
        title=column.title,
        metric="mean of its tasks" if metric.startswith("mean of ") else metric,
        role=ROLE_TITLES[column.role],
        base=numbers.value(row.base if row else None, metric=metric),
        checkpoint=numbers.value(row.checkpoint if row else None, metric=metric),
        cell=cell_view(cell) if cell is not None else None,
        margin=numbers.difference(column.margin, metric=metric).removeprefix("+"),
        lost=margins(cell.margins_lost if cell is not None else None),
        n=str(row.n) if row is not None and row.n else numbers.MISSING,
        coverage=numbers.share(row.coverage if row is not None else None),
        floor=numbers.difference(row.noise_floor, metric=metric) if row and row.noise_floor else "none",
        reason=row.reason if row is not None else "not measured",
    )


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    comparison, run = entry.comparison, entry.run
    yield "Base", f"{comparison.base.name} {comparison.base.fingerprint}"
    yield "Checkpoint", f"{comparison.checkpoint.name} {comparison.checkpoint.fingerprint}"
    yield "Run key", comparison.run_key
    yield "Seed", str(run.settings.seed)
    yield "Samples", "all" if run.settings.limit is None else f"{run.settings.limit} of each task"
    yield "Intervals", f"{100 * (1 - comparison.alpha):g} %, simultaneous over {comparison.family_size} rows"
    load = run.settings.load
    yield "Loaded", ", ".join(filter(None, (load.device, load.dtype, load.quantisation)))
    env = run.environment
    commit = (
        f", commit {env.git_commit[:12]}{' with changes' if env.git_dirty else ''}" if env.git_commit else ""
    )
    yield "Made by", f"forgetbench {env.forgetbench}{commit}, Python {env.python}, {env.platform}"
    yield "Packages", ", ".join(f"{name} {found}" for name, found in sorted(env.packages.items()))
    if (said := entry.submission) is not None:
        yield "Submitted by", said.submitter
        if said.hardware:
            yield "Hardware, as submitted", said.hardware
        if said.note:
            yield "Note", said.note
        if said.reason:
            yield "Replaces an earlier entry", said.reason

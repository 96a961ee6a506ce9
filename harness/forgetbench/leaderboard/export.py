"""A board as JSON and as tidy CSV, for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from forgetbench import __version__
from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.entries import Cell, Entry
from forgetbench.leaderboard.plots import method_of, parameters_of, steps_of
from forgetbench.leaderboard.view import EntryView
from forgetbench.report.markup import csv_text
from forgetbench.schema.board import Board

_ENTRY = (
    "rank", "checkpoint", "checkpoint_fingerprint", "base", "base_fingerprint", "run_key", "method",
    "trained_parameters", "steps", "worst_margins", "regressions", "decision", "hardware", "level",
)  # fmt: skip
_CELL = (
    "task", "role", "metric", "higher_is_better", "base_score", "checkpoint_score", "delta", "ci_low",
    "ci_high", "verdict", "margin", "margins_lost", "n", "coverage", "noise_floor",
)  # fmt: skip


def board_json(
    board: Board, columns: Sequence[Column], entries: Sequence[Entry], views: Sequence[EntryView]
) -> str:
    """Return the whole board: deltas and their intervals in the metrics' own sign."""
    content = {
        "forgetbench": __version__,
        "board": board.model_dump(mode="json"),
        "entries": [
            {
                **_entry(entry, view),
                "notes": list(entry.notes),
                "page": f"entries/{entry.key}.html",
                "cells": [
                    _cell(cell, column)
                    for cell, column in zip(entry.cells, columns, strict=True)
                    if cell is not None
                ],
            }
            for entry, view in zip(entries, views, strict=True)
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def board_csv(columns: Sequence[Column], entries: Sequence[Entry], views: Sequence[EntryView]) -> str:
    """Return one line for each cell; missing figures are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*_ENTRY, *_CELL], lineterminator="\n")
    writer.writeheader()
    for entry, view in zip(entries, views, strict=True):
        head = _entry(entry, view)
        for cell, column in zip(entry.cells, columns, strict=True):
            if cell is not None:
                line = head | _cell(cell, column)
                writer.writerow({k: csv_text(v) if isinstance(v, str) else v for k, v in line.items()})
    return out.getvalue()


def _entry(entry: Entry, view: EntryView) -> dict[str, Any]:
    comparison = entry.comparison
    return {
        "rank": entry.rank,
        "checkpoint": view.checkpoint,
        "checkpoint_fingerprint": comparison.checkpoint.fingerprint,
        "base": view.base,
        "base_fingerprint": comparison.base.fingerprint,
        "run_key": comparison.run_key,
        "method": view.method if method_of(entry) else None,
        "trained_parameters": parameters_of(entry),
        "steps": steps_of(entry),
        "worst_margins": entry.worst,
        "regressions": entry.n_regressed,
        "decision": view.decision,
        "hardware": view.hardware,
        "level": entry.level,
    }


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    row = cell.row
    return {
        "task": column.name,
        "role": column.role,
        "metric": row.metric,
        "higher_is_better": row.higher_is_better,
        "base_score": row.base,
        "checkpoint_score": row.checkpoint,
        "delta": row.delta,
        "ci_low": cell.low,
        "ci_high": cell.high,
        "verdict": cell.verdict,
        "margin": column.margin,
        "margins_lost": cell.margins_lost,
        "n": row.n,
        "coverage": row.coverage,
        "noise_floor": row.noise_floor,
    }

"""What the pages say of an entry, as texts and sort keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetbench.forgetting.verdict import Conclusion, conclude
from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.entries import Cell, Entry
from forgetbench.leaderboard.plots import method_of, parameters_of, steps_of
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.html.forest import unit_of
from forgetbench.report.signs import SIGNS

NAME_LIMIT = 80
SEARCH_LIMIT = 300


@dataclass(frozen=True, kw_only=True)
class CellView:
    """A cell: delta in the metric's own sign, interval, verdict with its sign.

    Attributes:
        sort: Loss in units of the margin: positive is worse, whatever the metric.
    """

    verdict: str
    sign: str
    delta: str
    interval: str
    sort: float | None


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """A line of the board."""

    key: str
    rank: str
    base: str
    checkpoint: str
    method: str
    made: str
    """Method and steps, where they are known: many checkpoints of a training have one name."""
    parameters: str
    steps: str
    worst: str
    regressions: str
    n: str
    coverage: str
    floor: str
    hardware: str
    level: str
    decision: str
    summary: str
    cells: tuple[CellView | None, ...]
    sort: tuple[float | str | None, ...]
    """In the order of the page's columns (:func:`headers`)."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """A column of the page."""

    key: str
    label: str
    about: str = ""
    numeric: bool = True
    is_task: bool = False
    descending: bool = False
    """Larger ones come first when it is clicked."""


def headers(
    columns: Sequence[Column], entries: Sequence[Entry], *, limit: int | None = None
) -> tuple[Header, ...]:
    """Return the columns of the page, the board's tasks in the middle.

    Args:
        columns: The board's.
        entries: They say what each task is measured in.
        limit: The board's.
    """
    samples = "fewest of a task" if limit is None else f"fewest of a task; limited to {limit}"
    return (
        Header(key="rank", label="Rank"),
        Header(key="name", label="Checkpoint" if only_base(entries) else "Base → checkpoint", numeric=False),
        Header(key="worst", label="Worst loss", about="in units of its margin"),
        Header(key="regressions", label="Regressed", about="tasks"),
        Header(key="method", label="Method", numeric=False),
        Header(key="parameters", label="Trained", about="parameters"),
        Header(key="steps", label="Steps"),
        *(
            Header(
                key=c.name,
                label=plain(c.title, limit=NAME_LIMIT),
                about=_about(c, next((e.cells[i] for e in entries if e.cells[i] is not None), None)),
                numeric=False,
                is_task=True,
            )
            for i, c in enumerate(columns)
        ),
        Header(key="n", label="n", about=samples, descending=True),
        Header(key="coverage", label="Coverage", about="least of a task", descending=True),
        Header(key="floor", label="Noise floor", about="largest, in margins"),
        Header(key="hardware", label="Hardware", numeric=False),
        Header(key="level", label="Checked", numeric=False),
    )


def only_base(entries: Sequence[Entry]) -> str | None:
    """Return the base of all entries; None where there are several, or no entry."""
    bases = {entry.comparison.base.fingerprint: entry.comparison.base.name for entry in entries}
    return next(iter(bases.values())) if len(bases) == 1 else None


def _about(column: Column, cell: Cell | None) -> str:
    """Return role, unit and margin of a task's column."""
    if cell is None:
        return column.role
    metric = cell.row.metric
    margin = numbers.difference(column.margin, metric=metric).removeprefix("+")
    unit = unit_of(metric).replace("_", " ")
    return plain(f"{column.role}, in {unit}, margin {margin}", limit=NAME_LIMIT)


def entry_view(entry: Entry, columns: Sequence[Column]) -> EntryView:
    """Return what the board shows of an entry."""
    cells = [cell for cell in entry.cells if cell is not None]
    measured = [cell for cell in cells if cell.row.n]
    n = min((cell.row.n for cell in measured), default=None)
    coverage = min((c.row.coverage for c in measured if c.row.coverage is not None), default=None)
    floor = _floor(entry, columns)
    conclusion = board_conclusion(entry, columns)
    views = tuple(cell_view(cell) if cell is not None else None for cell in entry.cells)
    parameters, steps = parameters_of(entry), steps_of(entry)
    base, checkpoint = (
        plain(info.name, limit=NAME_LIMIT) for info in (entry.comparison.base, entry.comparison.checkpoint)
    )
    method, hardware = plain(method_of(entry) or "", limit=NAME_LIMIT), hardware_of(entry)
    middle = [view.sort if view is not None else None for view in views]
    return EntryView(
        key=entry.key,
        rank=numbers.MISSING if entry.rank is None else str(entry.rank),
        base=base,
        checkpoint=checkpoint,
        method=method or numbers.MISSING,
        made=", ".join(filter(None, (method, "" if steps is None else f"{steps} steps"))),
        parameters=numbers.count(parameters),
        steps=numbers.MISSING if steps is None else str(steps),
        worst=margins(entry.worst),
        regressions=str(entry.n_regressed),
        n=numbers.MISSING if n is None else str(n),
        coverage=numbers.share(coverage),
        floor=margins(floor) if floor else "none",
        hardware=hardware,
        level=entry.level,
        decision=conclusion.decision,
        summary=conclusion.summary,
        cells=views,
        sort=(
            entry.rank, checkpoint.casefold(), entry.worst, entry.n_regressed, method or None, parameters,
            steps, *middle, n, coverage, floor, hardware, entry.level,
        ),
    )  # fmt: skip


def cell_view(cell: Cell) -> CellView:
    """Return the texts of a cell."""
    metric = cell.row.metric
    return CellView(
        verdict=cell.verdict,
        sign=SIGNS[cell.verdict].unicode,
        delta=numbers.difference(cell.row.delta, metric=metric),
        interval=numbers.interval(cell.low, cell.high, metric=metric),
        sort=cell.margins_lost,
    )


def margins(number: float | None) -> str:
    """Return a loss in units of its margin: ``2.3×``."""
    return numbers.MISSING if number is None else f"{round(number, 2) + 0.0:.2f}×"


def board_conclusion(entry: Entry, columns: Sequence[Column]) -> Conclusion:
    """Return the decision over the board's own rows, by its margins."""
    rows = [
        cell.row.model_copy(
            update={
                "name": column.title,  # as the page names it
                "verdict": cell.verdict,
                "margin": column.margin,
                "role": column.role,
            }
        )
        for cell, column in zip(entry.cells, columns, strict=True)
        if cell is not None
    ]
    found = conclude(rows, missing_suites=entry.missing)
    if found.decision == "SHIP" and entry.missing:
        return Conclusion("NEED MORE", found.summary.replace("SHIP", "NEED MORE", 1))
    return found


def hardware_of(entry: Entry) -> str:
    """Return what it ran on: as the submitter says, else device, dtype and platform."""
    if entry.submission is not None and entry.submission.hardware:
        return plain(entry.submission.hardware, limit=NAME_LIMIT)
    load = entry.run.settings.load
    return plain(f"{load.device}, {load.dtype}, {entry.run.environment.platform}", limit=NAME_LIMIT)


def board_data(entries: Sequence[EntryView], shown: Sequence[Header], *, sort: str) -> dict[str, Any]:
    """Return what the page's script sorts, filters and searches by; texts are cleaned already."""
    return {
        "sort": sort,
        "columns": [{"key": h.key, "label": h.label, "descending": h.descending} for h in shown],
        "rows": [
            {
                "key": e.key,
                "text": f"{e.base} {e.checkpoint} {e.method} {e.key}".casefold()[:SEARCH_LIMIT],
                "base": e.base,
                "method": e.method,
                "level": e.level,
                "decision": e.decision,
                "sort": list(e.sort),
            }
            for e in entries
        ],
    }


def choices(entries: Sequence[EntryView]) -> Mapping[str, list[str]]:
    """Return what each filter can be set to; a field in which all entries are alike has none."""
    found = {
        field: sorted({str(getattr(entry, field)) for entry in entries})
        for field in ("base", "method", "decision", "level")
    }
    return {field: values for field, values in found.items() if len(values) > 1}


def _floor(entry: Entry, columns: Sequence[Column]) -> float:
    """Return the largest noise floor in units of its margin; 0 where no self-test found any."""
    floors = [
        cell.row.noise_floor / column.margin
        for cell, column in zip(entry.cells, columns, strict=True)
        if cell is not None
    ]
    return max(floors, default=0.0)

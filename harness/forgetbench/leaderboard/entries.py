"""Results become the entries of a board, judged by its margins and ranked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from forgetbench.engine.curve_results import training_of_run
from forgetbench.engine.reproduce import sampling_words
from forgetbench.engine.results import COMPARISON_FILE, RUN_FILE, result_directories
from forgetbench.errors import DataError, UsageError
from forgetbench.forgetting.verdict import margins_lost, verdict, worst
from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.strict_json import read_json
from forgetbench.schema.board import Board, BoardSettings, Level, Submission, Verification
from forgetbench.schema.comparison import Comparison, DegenerateShare, Row, Verdict
from forgetbench.schema.curve import Training
from forgetbench.schema.run import RunDocument, Sampling, Settings

SUBMISSION_FILE = "submission.json"
VERIFICATION_FILE = "verification.json"
_NOT_COMPARED = {"limit", "limits", "seed", "batch_size", "load", "device", "compile"}
"""Settings that :func:`unlike` compares by itself, and those that change rounding alone."""
_WITHOUT = {"sampling": "greedy", "num_fewshot": "each task's own"}
_FINGERPRINT, _RUN_KEY = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one entry lost in one column, by the board's margin.

    Attributes:
        low: Of the interval of the delta, checkpoint − base, in the metric's own sign.
        margins_lost: Degradation in units of the margin; None where it was not measured.
    """

    row: Row
    verdict: Verdict
    low: float | None
    high: float | None
    margins_lost: float | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a board: base → checkpoint.

    Attributes:
        key: Names its page: fingerprints and run key, nothing that a submitter can choose.
        cells: One for each column; None where the run has no such row.
        worst: Largest loss in units of its margin, over the columns that rank; None where one is missing.
        rank: From 1, equal for equals; None where a column that ranks is missing.
        notes: What verification could not check.
    """

    key: str
    directory: Path
    comparison: Comparison
    run: RunDocument
    submission: Submission | None
    training: Training
    level: Level
    notes: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    worst: float | None
    n_regressed: int
    missing: tuple[str, ...]
    rank: int | None = None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A result that is not of this board, and why."""

    directory: Path
    reason: str


def read_entries(results: Path, board: Board, columns: Sequence[Column]) -> tuple[list[Entry], list[LeftOut]]:
    """Return the ranked entries of a board from the results below a folder, and what is not of it.

    Raises:
        UsageError: There is no such folder.
        DataError: A document is damaged, or two results are of the same pair and run.
    """
    if not results.is_dir():
        raise UsageError(str(results), "is no folder", "Give the folder that holds the results.")
    entries: dict[str, Entry] = {}
    left_out = []
    for directory in result_directories(results):
        entry = _read_entry(directory, board, columns)
        if isinstance(entry, LeftOut):
            left_out.append(entry)
        elif entry.key in entries:
            cause = f"is the same pair and run as {entries[entry.key].directory}"
            raise DataError(str(entry.directory), cause, "Keep one of them.")
        else:
            entries[entry.key] = entry
    return ranked(entries.values()), left_out


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order of the board.

    By the worst degradation in units of its margin, ties by the number of regressions, equal entries by
    their fingerprints; an entry that lacks a column comes last, without a rank. What decides between two
    entries is their own, so that no third one changes their order.
    """
    found = sorted(entries, key=_order)
    done: list[Entry] = []
    for position, entry in enumerate(found, start=1):
        if entry.worst is None:
            done.append(entry)
            continue
        before = done[-1] if done else None
        tied = before is not None and _merit(before) == _merit(entry)
        done.append(replace(entry, rank=before.rank if tied and before else position))
    return done


def _merit(entry: Entry) -> tuple[float | None, int]:
    return entry.worst, entry.n_regressed


def _order(entry: Entry) -> tuple[bool, float, int, str]:
    return entry.worst is None, entry.worst or 0.0, entry.n_regressed, entry.key


def entry_key(comparison: Comparison) -> str:
    """Return the name of an entry's page.

    Raises:
        ValueError: The fingerprints or the run key are none.
    """
    prints = (comparison.checkpoint.fingerprint, comparison.base.fingerprint)
    if not all(_FINGERPRINT.fullmatch(fingerprint) for fingerprint in prints):
        raise ValueError("a fingerprint is no sha256")
    if not _RUN_KEY.fullmatch(comparison.run_key):
        raise ValueError("it has no run key of forgetbench")
    return "-".join([*(fingerprint[:12] for fingerprint in prints), comparison.run_key])


def judged(row: Row, column: Column) -> Cell:
    """Return a row as the board judges it: by its margin, from the stored intervals.

    Where more answers are degenerate, the row has the worse of both verdicts, as in a comparison.
    """
    own = row.model_copy(update={"margin": column.margin, "degenerate": _share_by(row, column)})
    new, lost = row.verdict, None
    settled = row.verdict in ("error", "identical") or (row.verdict == "inconclusive" and row.reason)
    if not settled and row.ci_low is not None and row.ci_high is not None:
        new = verdict(row.ci_low, row.ci_high, margin=column.margin, noise_floor=row.noise_floor)
        if own.degenerate is not None and (own.degenerate.degradation or 0.0) > 0:
            new = worst((new, own.degenerate.verdict))
    if row.verdict == "identical":
        lost = 0.0
    elif row.verdict != "error" and row.degradation is not None:
        lost = margins_lost(own)
    low, high = row.ci_low, row.ci_high
    if row.higher_is_better:
        low, high = (None if high is None else -high), (None if low is None else -low)
    return Cell(row=own, verdict=new, low=low, high=high, margins_lost=lost)


def _share_by(row: Row, column: Column) -> DegenerateShare | None:
    """Return the share of degenerate answers, judged by a margin that is moved as the row's is."""
    share = row.degenerate
    if share is None or share.ci_low is None or share.ci_high is None:
        return share
    margin = share.margin * column.margin / row.margin
    found = verdict(share.ci_low, share.ci_high, margin=margin)
    return share.model_copy(update={"margin": margin, "verdict": found})


def _read_entry(directory: Path, board: Board, columns: Sequence[Column]) -> Entry | LeftOut:
    if not (directory / COMPARISON_FILE).is_file():
        return LeftOut(directory=directory, reason="it was scored without a base")
    comparison = read_json(Comparison, directory / COMPARISON_FILE)
    run = read_json(RunDocument, directory / RUN_FILE["checkpoint"])
    if (reason := _not_of(board, columns, comparison, run)) is not None:
        return LeftOut(directory=directory, reason=reason)
    rows = {row.name: row for row in comparison.rows}
    cells = tuple(judged(rows[c.name], c) if c.name in rows else None for c in columns)
    ranking = [cell for cell, column in zip(cells, columns, strict=True) if column.ranks]
    lost = [cell.margins_lost if cell is not None else None for cell in ranking]
    known = [value for value in lost if value is not None]
    missing = [
        c.title for c, value in zip((c for c in columns if c.ranks), lost, strict=True) if value is None
    ]
    submission = directory / SUBMISSION_FILE
    level, notes = _verified(directory)
    return Entry(
        key=entry_key(comparison),
        directory=directory,
        comparison=comparison,
        run=run,
        submission=read_json(Submission, submission) if submission.is_file() else None,
        training=training_of_run(run),
        level=level,
        notes=notes,
        cells=cells,
        worst=max(known) if known and not missing else None,
        n_regressed=sum(cell is not None and cell.verdict == "regressed" for cell in ranking),
        missing=tuple(missing),
    )


def _not_of(board: Board, columns: Sequence[Column], comparison: Comparison, run: RunDocument) -> str | None:
    """Return why a result cannot be an entry."""
    try:
        entry_key(comparison)
    except ValueError as error:
        return str(error)
    if comparison.base.fingerprint == comparison.checkpoint.fingerprint:
        return "it compares a checkpoint with itself"
    if not {row.name for row in comparison.rows} & {column.name for column in columns}:
        return "it has none of the board's tasks"
    return unlike(board, columns, comparison, run)


def unlike(board: Board, columns: Sequence[Column], comparison: Comparison, run: RunDocument) -> str | None:
    """Return how a run was made otherwise than a board asks for; None where it was made so."""
    settings = run.settings
    limits = {settings.limit, *map(settings.limit_of, settings.limits)}
    if limits != {board.limit}:
        made = " and ".join(sorted(map(_how_many, limits - {board.limit})))
        return f"it was made with {made}, and the board is of {_how_many(board.limit)}"
    if settings.seed != board.seed:
        return f"its samples were drawn by --seed {settings.seed}, and the board's by --seed {board.seed}"
    if differing := list(unlike_settings(board.settings, settings)):
        return "; ".join(f"its {d.name} is {d.made}, and the board's is {d.asked}" for d in differing)
    if comparison.alpha != board.alpha:
        return f"its intervals are for alpha {comparison.alpha:g}, not {board.alpha:g}"
    roles = {column.name: column.role for column in columns}
    for row in comparison.rows:
        if (role := roles.get(row.name, row.role)) != row.role:
            return f"{row.name} was run in the role {row.role}, not {role}: its interval is of another family"
    return None


class Differing(NamedTuple):
    """A setting that a run and a board have otherwise, in words."""

    name: str
    asked: str
    made: str


def unlike_settings(asked: BoardSettings, made: Settings) -> Iterator[Differing]:
    """Yield the settings that decide answers and are not as a board asks for, beside limit and seed.

    One that boards have no key for must be at its default.
    """
    wanted = _deciding(Settings()) | dict(asked)
    for name, value in _deciding(made).items():
        if value != wanted[name]:
            yield Differing(name, setting_words(name, wanted[name]), setting_words(name, value))


def _deciding(settings: Settings) -> dict[str, object]:
    return {name: value for name, value in (*settings, *settings.load) if name not in _NOT_COMPARED}


def setting_words(name: str, value: object) -> str:
    """Return the value of a setting as it is shown."""
    if isinstance(value, Sampling):
        return sampling_words(value)
    return _WITHOUT.get(name, "none") if value is None else str(value)[:80]


def _how_many(limit: int | None) -> str:
    return "all samples" if limit is None else f"--limit {limit}"


def digests(directory: Path) -> dict[str, str]:
    """Return the sha256 of each document of a result, by name."""
    names = (*RUN_FILE.values(), COMPARISON_FILE)
    return {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in names}


def _verified(directory: Path) -> tuple[Level, tuple[str, ...]]:
    path = directory / VERIFICATION_FILE
    if not path.is_file():
        return "self-reported", ()
    found = read_json(Verification, path)
    if found.documents != digests(directory):
        return "self-reported", ("changed since it was verified",)
    return found.level, found.notes

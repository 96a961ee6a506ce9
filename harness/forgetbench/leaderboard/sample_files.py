"""The sample files of a submission, read with every doubt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench.engine.sample_tables import parse_table
from forgetbench.leaderboard.unpack import TASK_NAME
from forgetbench.schema.board import Problem
from forgetbench.schema.run import RunDocument, TaskResult
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd

DIGEST = 8
"""Hexadecimal digits of a row's digest."""
MOST_NAMED = 5
"""Rows of one file that are named for one reason."""


def read_table(directory: Path, document: RunDocument, task: TaskResult) -> pd.DataFrame | Problem:
    """Return the sample table of a task, or why it cannot be one.

    The path in the document is not followed: it must be where this file belongs.
    """
    expected = f"samples/{document.arm}/{task.name}.parquet"
    assert task.samples is not None
    if not TASK_NAME.fullmatch(task.name) or task.samples.path != expected:
        return Problem(file=expected[:200], reason="the run document names another place for it")
    path = directory / expected
    try:
        return parse_table(path.read_bytes(), task)
    except OSError as error:
        return Problem(file=expected, reason=error.strerror or "cannot be read")
    except ValueError as error:
        return Problem(file=expected, reason=str(error))


def check_file(
    directory: Path, task: TaskResult, table: pd.DataFrame, *, digests: str | None
) -> Iterator[Problem]:
    """Yield what is wrong with a sample file on its own: hash, length, duplicates, values.

    Args:
        directory: Of the result.
        task: The task.
        table: Its sample table.
        digests: Of its rows, as the submission has them; None for a result that was not packed.
    """
    assert task.samples is not None
    name = task.samples.path
    if hashlib.sha256((directory / name).read_bytes()).hexdigest() != task.samples.sha256:
        yield Problem(file=name, reason="is not the file that the run document names (sha256)")
        if digests is not None:
            yield from _changed_rows(name, table, digests)
    elif digests is not None and digests != row_digests(table):
        yield from _changed_rows(name, table, digests)
    if not len(table) == task.samples.n == task.n_planned:
        yield Problem(file=name, reason=f"has {len(table)} rows, and the run planned {task.n_planned}")
    twice = table.duplicated(["id", "condition"])
    yield from _at(name, table, twice, "is there twice")
    for metric, value in task.metrics.items():
        columns = list(stat_columns(metric, value.type))
        known = table[columns].dropna()
        yield from _at(name, table, table[columns].notna().any(axis=1) & table["error"].notna(),
                       f"has an error and a value of {metric}")  # fmt: skip
        if value.type == "binary":
            yield from _at(name, table, table[metric].notna() & ~table[metric].isin((0.0, 1.0)),
                           f"{metric} is neither 0 nor 1")  # fmt: skip
        if value.type == "ratio":
            yield from _at(name, table, table[columns[1]] < 0, f"{columns[1]} is negative")
        if len(known) != value.n:
            yield Problem(file=name, reason=f"has {len(known)} values of {metric}, the document {value.n}")


def rows_of(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the rows of a table, None where a value is missing."""
    return table.astype("object").where(table.notna(), None).to_dict("records")


def row_digests(table: pd.DataFrame) -> str:
    """Return the digests of a table's rows, one after the other."""
    return "".join(_digest(list(table.columns), row) for row in table.itertuples(index=False, name=None))


def _digest(columns: Sequence[str], row: Sequence[object]) -> str:
    named = {
        c: None if value is None or value != value else value for c, value in zip(columns, row, strict=True)
    }
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:DIGEST]


def _changed_rows(name: str, table: pd.DataFrame, digests: str) -> Iterator[Problem]:
    found = row_digests(table)
    pairs = [(found[i : i + DIGEST], digests[i : i + DIGEST]) for i in range(0, len(digests), DIGEST)]
    changed = [i for i, (ours, theirs) in enumerate(pairs) if ours != theirs]
    for i in changed[:MOST_NAMED]:
        sample = str(table["id"].iloc[i])[:80] if i < len(table) else ""
        yield Problem(file=name, row=i, sample=sample, reason="was changed after it was submitted")
    if len(table) * DIGEST != len(digests):
        yield Problem(file=name, reason=f"had {len(digests) // DIGEST} rows when it was submitted")


def _at(name: str, table: pd.DataFrame, where: Any, reason: str) -> Iterator[Problem]:
    for i in [i for i, bad in enumerate(where) if bad][:MOST_NAMED]:
        yield Problem(file=name, row=i, sample=str(table["id"].iloc[i])[:80], reason=reason)

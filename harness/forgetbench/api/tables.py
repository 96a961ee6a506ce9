"""Results as tidy pandas tables: one line per row, group or sample; missing is NaN, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from forgetbench.engine.results import Result, read_samples
from forgetbench.errors import UsageError, did_you_mean
from forgetbench.forgetting.answers import parse
from forgetbench.forgetting.join import KEYS
from forgetbench.schema.comparison import GroupFamily, GroupRow, Row
from forgetbench.schema.run import RunDocument, TaskResult

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

NESTED = {"transitions", "samplewise", "degenerate", "runaway", "notes"}
OTHER = "_of the other arm"
SHOWN = ["id", "condition", "input", "reference"]


def row_table(result: Result) -> pd.DataFrame:
    """Return the rows of a verdict table; of a checkpoint alone, its scores."""
    columns = ["task", *(name for name in Row.model_fields if name not in {*NESTED, "name"}), "detail"]
    if result.comparison is None:
        lines = [_alone(task) for task in result.checkpoint.tasks]
    else:
        rows, details = result.comparison.rows, result.comparison.details
        lines = [
            _line(row) | {"detail": position >= len(rows)} for position, row in enumerate(rows + details)
        ]
    return _table(lines, columns, Row)


def group_table(result: Result) -> pd.DataFrame:
    """Return the groups of every task."""
    families = result.comparison.groups if result.comparison else ()
    about = ["task", "by", "metric", "margin", "level"]
    lines = [
        {name: getattr(family, name) for name in about} | row.model_dump()
        for family in families
        for row in family.rows
    ]
    return _table(lines, [*about, *GroupRow.model_fields], GroupFamily, GroupRow)


def samples_of_task(result: Result, task: str) -> pd.DataFrame:
    """Return the sample records of a task; see :meth:`forgetbench.PairResult.samples`.

    Raises:
        UsageError: No arm has records of this task.
        ForgetbenchError: The records are not those of the document.
    """
    tables = {
        arm: table
        for arm, document in (("base", result.base), ("checkpoint", result.checkpoint))
        if document is not None and (table := _records(result, document, task)) is not None
    }
    if not tables:
        raise UsageError(f"task {task!r}", "has no sample records here", _near(result.checkpoint, task))
    return _side_by_side(tables)


def _records(result: Result, document: RunDocument, task: str) -> pd.DataFrame | None:
    wanted = tuple(entry for entry in document.tasks if entry.name == task)
    read = read_samples(result.directory, document.model_copy(update={"tasks": wanted}))
    return read.get(task)


def _side_by_side(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the tables of the arms; what a sample is comes from the first arm that has it."""
    named = []
    for arm, table in tables.items():
        own = _with_answer(table)
        columns = [str(column) for column in own.columns]
        shared = {*KEYS, "input", "reference", "cluster", *(c for c in columns if c.startswith("group."))}
        named.append(own.rename(columns={c: f"{c}_{arm}" for c in columns if c not in shared}))
    merged, *others = named
    for other in others:
        merged = merged.merge(other, on=KEYS, how="outer", suffixes=("", OTHER), sort=False)
        twice = [name for column in merged.columns if (name := str(column)).endswith(OTHER)]
        for name in twice:
            first = name.removesuffix(OTHER)
            merged[first] = merged[first].where(merged[first].notna(), merged[name])
        merged = merged.drop(columns=twice)
    rest = [c for c in merged.columns if c not in {*SHOWN, "content", "occurrence"}]
    return merged[[*SHOWN, *rest]]


def _with_answer(table: pd.DataFrame) -> pd.DataFrame:
    own = table.copy()
    own["occurrence"] = own.groupby(KEYS[:-1], sort=False, dropna=False).cumcount()
    own["answer"] = [_answer(cell) for cell in own.pop("prediction")]
    return own


def _answer(cell: object) -> str | int | None:
    prediction = parse(cell)
    if prediction is None or prediction.text is not None:
        return prediction.text if prediction else None
    return prediction.likeliest


def _line(row: Row) -> dict[str, Any]:
    content = row.model_dump(exclude=NESTED)
    return {"task": content.pop("name"), **content}


def _alone(task: TaskResult) -> dict[str, Any]:
    score = task.metrics.get(task.primary)
    return {
        "task": task.name,
        "title": task.title,
        "kind": "task",
        "role": task.role,
        "metric": task.primary,
        "margin": task.margin,
        "reason": task.reason,
        "checkpoint": score.value if score else None,
        "higher_is_better": score.higher_is_better if score else None,
        "n": task.n_scored,
        "coverage": task.coverage,
        "detail": False,
    }


def _table(lines: Iterable[Mapping[str, Any]], columns: list[str], *kinds: type[BaseModel]) -> pd.DataFrame:
    """Return a table in which numbers that may be missing, or are, are floats."""
    import pandas as pd

    table = pd.DataFrame(list(lines), columns=columns)
    types = {name: _types(field.annotation) for kind in kinds for name, field in kind.model_fields.items()}
    numbers = [name for name in columns if name in types and types[name] <= {int, float, NoneType}]
    floats = [name for name in numbers if types[name] != {int} or table[name].isna().any()]
    return table.astype(dict.fromkeys(floats, "float64"))


def _types(annotation: Any) -> set[Any]:
    """Return the types of a union, without what restricts them."""
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return {found for member in get_args(annotation) for found in _types(member)}
    return {annotation.__origin__ if get_origin(annotation) is Annotated else annotation}


def _near(document: RunDocument, task: str) -> str:
    known = [entry.name for entry in document.tasks if entry.samples is not None]
    return did_you_mean(task, known, f"There are: {', '.join(known) or 'none'}.")

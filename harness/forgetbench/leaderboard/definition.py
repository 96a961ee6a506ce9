"""Reading a board file, and the columns that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from forgetbench.errors import UsageError
from forgetbench.forgetting.gate import margin_of
from forgetbench.forgetting.verdict import GATING
from forgetbench.metrics.margin import check_margin
from forgetbench.schema.board import Board
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.task import Role, SuiteRow
from forgetbench.tasks.registry import load_registry
from forgetbench.tasks.strict_yaml import line_of, read_mapping

FIXED_KEYS = ("rank", "name", "worst", "regressions", "parameters", "steps", "n", "coverage", "level")
"""Columns that a board can be sorted by, beside its tasks."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One row of the verdict table, which is a column of the board."""

    name: str
    title: str
    role: Role
    margin: float
    """Largest acceptable loss, in units of the primary metric."""

    @property
    def ranks(self) -> bool:
        """Whether losses in it count for the rank."""
        return self.role in GATING


def builtin_boards() -> Path:
    """Folder of the board files that ship with forgetbench: in the wheel, or of the checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "definitions" / "leaderboards"
    return shipped if shipped.is_dir() else package.parents[1] / "leaderboards"


def read_board(named: str) -> Board:
    """Read a board from a file, or one of the built-in boards by its name.

    Raises:
        UsageError: There is none, or the file is no YAML, has an unknown key or a wrong value.
    """
    path = Path(named)
    if not path.exists():
        path = builtin_boards() / f"{named}.yaml"
        if Path(named).name != named or not path.is_file():
            known = ", ".join(sorted(p.stem for p in builtin_boards().glob("*.yaml"))) or "none"
            raise UsageError(f"board {named!r}", "is no file and no built-in board", f"Built in: {known}.")
    raw, node = read_mapping(path, what="board", error=UsageError)
    try:
        return Board.model_validate(raw)
    except ValidationError as error:
        first = first_invalid(error)
        where = f"{path}, line {line_of(node, first.location)}, key `{first.key}`"
        raise UsageError(where, first.cause, "See `forgetbench schema board`.") from None


def columns_of(board: Board, include_paths: Sequence[Path] = ()) -> tuple[Column, ...]:
    """Return the columns of a board, in its order; a task inside a suite row has none of its own.

    Args:
        board: The board.
        include_paths: Where its tasks are defined, beside the built-in ones.

    Raises:
        TaskError: A task is not defined.
        UsageError: No task has one of the board's roles, it is sorted by no column, or no loss could exceed
            one of its margins.
    """
    selection = load_registry(include_paths).select(board.tasks, roles=board.task_roles)
    inside = {name for row in selection.suite_rows for name in row.tasks}
    shown = [*selection.suite_rows, *(d.task for d in selection.tasks if d.task.name not in inside)]
    found = [
        Column(
            name=task.name,
            title=task.title or task.name,
            role=task.role,
            margin=margin_of(task, task.suites, board.margins),
        )
        for task in shown
    ]
    order = {role: position for position, role in enumerate(board.roles)}
    columns = sorted((c for c in found if c.role in order), key=lambda column: order[column.role])
    tasks = [d.task for d in selection.tasks if not isinstance(d.task, SuiteRow)]
    primary = {task.name: task.primary or "" for task in tasks}
    inside_of = {row.name: row.tasks for row in selection.suite_rows}
    for column in columns:
        metrics = [primary[name] for name in inside_of.get(column.name, (column.name,))]
        check_margin(f"board {board.name}, margin of {column.name}", column.margin, *metrics)
    if not columns:
        raise UsageError(
            f"board {board.name}",
            f"has no task of the roles {', '.join(board.roles)}",
            "Add one to the board, or change its roles.",
        )
    if board.sort.removeprefix("-") not in {*FIXED_KEYS, *(column.name for column in columns)}:
        cause = f"is sorted by {board.sort!r}, which is no column"
        raise UsageError(f"board {board.name}", cause, f"One of {', '.join(FIXED_KEYS)}, or a task.")
    return tuple(columns)

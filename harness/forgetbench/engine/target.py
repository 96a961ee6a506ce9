"""``--target``: the tasks of a user's own test set, by the columns that its rows have."""

from __future__ import annotations

from pathlib import Path

from forgetbench.data.tabular import read_rows
from forgetbench.errors import UsageError
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.target import target_tasks


def target_definitions(path: Path) -> tuple[Definition, ...]:
    """Return the tasks of ``--target``.

    Raises:
        UsageError: The path does not exist, or its rows have not the columns of a task.
    """
    if not path.exists():
        raise UsageError(f"--target {path}", "does not exist", "Check the path.")
    rows = read_rows(path)
    columns = frozenset.intersection(*(frozenset(row) for row in rows))
    in_some = frozenset[str]().union(*rows)
    for wanted in ({"prompt", "answer"}, {"audio", "text"}):
        if wanted <= in_some and not wanted <= columns:
            number, lacking = next(
                (n, wanted - set(row)) for n, row in enumerate(rows, 1) if wanted - set(row)
            )
            cause = f"lacks {', '.join(map(repr, sorted(lacking)))}"
            raise UsageError(f"--target {path}, row {number}", cause, "Every row needs it.")
    return target_tasks(path if path.name else path.absolute(), columns)

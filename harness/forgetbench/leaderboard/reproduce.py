"""The command that makes an entry again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from forgetbench.engine.reproduce import alpha_of, named, setting_options
from forgetbench.report.escape import plain
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import RunDocument

LONGEST_WORD = 4000


def run_command(comparison: Comparison, run: RunDocument, roles: Mapping[str, str]) -> str:
    """Return the ``forgetbench run`` that measures the same pair by the same tasks and settings.

    Checkpoints stand in it as they were named: a directory must be where the command is given.

    Args:
        comparison: The pair.
        run: Of the checkpoint.
        roles: Roles that the board gives to tasks.
    """
    rows = {row.name for row in run.suite_rows}
    inside = {name for row in run.suite_rows for name in row.tasks}
    tasks = [*rows, *(task.name for task in run.tasks if task.name not in inside)]
    words = [
        "forgetbench",
        "run",
        "--model",
        named(comparison.checkpoint),
        "--base",
        named(comparison.base),
    ]
    words += ["--tasks", ",".join(sorted(tasks))]
    alpha = alpha_of(comparison.checkpoint)
    words += ["--alpha", f"{alpha:g}"] if alpha is not None else []
    words += setting_options(run.settings)
    words += [word for name, role in roles.items() for word in ("--role", f"{name}={role}")]
    return shlex.join([plain(word, limit=LONGEST_WORD) for word in words])

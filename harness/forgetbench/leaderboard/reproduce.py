"""The command that makes an entry again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from forgetbench.report.escape import plain
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import CheckpointInfo, RunDocument, Settings

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
        _named(comparison.checkpoint),
        "--base",
        _named(comparison.base),
    ]
    words += ["--tasks", ",".join(sorted(tasks)), *_options(run.settings)]
    words += [word for name, role in roles.items() for word in ("--role", f"{name}={role}")]
    return shlex.join([plain(word, limit=LONGEST_WORD) for word in words])


def _named(info: CheckpointInfo) -> str:
    def one(source: str, revision: str | None) -> str:
        return f"{source}@{revision}" if revision and "@" not in source else source

    parts = [(part.role, one(part.source, part.revision)) for part in info.components]
    if len(parts) < 2:
        return parts[0][1] if parts else info.name
    return ",".join(f"{role}={named}" for role, named in parts)


def _options(settings: Settings) -> Iterator[str]:
    if settings.limit is not None:
        yield from ("--limit", str(settings.limit))
    if settings.num_fewshot is not None:
        yield from ("--num-fewshot", str(settings.num_fewshot))
    if settings.sampling is not None:
        drawn = settings.sampling.model_dump(exclude_defaults=True) or {"temperature": 1.0}
        yield from ("--gen-kwargs", ",".join(f"{key}={value}" for key, value in drawn.items()))
    if settings.repeats > 1:
        yield from ("--repeats", str(settings.repeats))
    if settings.chat_template != "auto":
        yield from ("--chat-template", settings.chat_template)
    if settings.load.dtype != "float32":
        yield from ("--dtype", settings.load.dtype)
    yield from ("--seed", str(settings.seed))

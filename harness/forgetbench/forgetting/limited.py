"""Whether a task was measured on all of its samples."""

from __future__ import annotations

from forgetbench.schema.run import Settings, TaskResult


def limited(task: TaskResult, settings: Settings) -> str:
    """Say how a task was cut short in one arm; empty where it was measured in full.

    Its records are held against the samples that it has. Where a document does not say how many these are,
    the task was cut short if it filled the limit of its run.

    Args:
        task: A task that is done.
        settings: Of the same arm.
    """
    option = "--limit or --budget" if task.name in settings.limits else "--limit"
    limit, n = settings.limit_of(task.name), task.n_recorded
    if task.n_available is None:
        filled = limit is not None and task.n_planned >= limit
        return f"{task.n_planned} samples only ({option})" if filled else ""
    if n >= task.n_available:
        return ""
    because = option if task.n_planned < task.n_available else "the other records are missing"
    return f"{n} of {task.n_available} samples only ({because})"

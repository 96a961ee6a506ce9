"""How much a checkpoint seems to lose against itself, by task and by suite row (docs/running.md)."""

from __future__ import annotations

from statistics import fmean

from forgetbench.schema.run import RunDocument

ROUNDING = 0.01
"""Noise below this share of the margin is rounding: no verdict can turn on it."""


def noise_floors(base: RunDocument, checkpoint: RunDocument) -> dict[str, float]:
    """Return the noise floor of every task and suite row; 0 where no self-test was made.

    That of a task is the larger of its two components'. That of a suite row is the mean of its tasks',
    which the mean of their degradations cannot exceed.
    """
    floors: dict[str, float] = {}
    for task in (*base.tasks, *checkpoint.tasks):
        floors[task.name] = max(floors.get(task.name, 0.0), task.noise_floor or 0.0)
    rows = {row.name: row for row in (*base.suite_rows, *checkpoint.suite_rows)}
    means = {name: fmean(floors.get(task, 0.0) for task in row.tasks) for name, row in rows.items()}
    return floors | means

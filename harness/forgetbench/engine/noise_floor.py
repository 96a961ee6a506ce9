"""The noise floor of a self-test: made by other batches, kept for the runs of the same component."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from filelock import FileLock

from forgetbench.atomic import write_atomically
from forgetbench.engine.plan import Plan, PlannedTask
from forgetbench.paths import cache_root
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import RunDocument, TaskResult


class StoredFloor(TypedDict):
    """One line of the store."""

    floor: float
    n: int


def in_other_batches(plan: Plan) -> Plan:
    """Return a plan of the same samples in batches of another size, in another order and company."""
    size = plan.settings.batch_size
    other = size // 2 if size > 1 else 2
    tasks = tuple(_reordered(task, other, plan.settings.seed) for task in plan.tasks)
    return replace(plan, tasks=tasks, settings=plan.settings.model_copy(update={"batch_size": other}))


def _reordered(planned: PlannedTask, batch_size: int, seed: int) -> PlannedTask:
    order = [position for batch in planned.batches for position in batch]
    random.Random(seed).shuffle(order)
    batches = tuple(tuple(order[i : i + batch_size]) for i in range(0, len(order), batch_size))
    return replace(planned, batches=batches)


def measured_floors(comparison: Comparison) -> dict[str, float]:
    """Return the size of the degradation of each task of a self-test, whatever its sign."""
    return {
        row.name: abs(row.degradation)
        for row in (*comparison.rows, *comparison.details)
        if row.kind == "task" and row.degradation is not None
    }


def store_floors(document: RunDocument, floors: Mapping[str, float]) -> None:
    """Keep the noise floors of a self-test for later runs.

    A self-test on more samples takes the place of one on fewer; of two on as many the larger floor stays.
    """
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        stored = dict(_read())
        for task in document.tasks:
            if task.name not in floors or task.component is None:
                continue
            key, new = _key(task, document), StoredFloor(floor=floors[task.name], n=task.n_scored)
            old = stored.get(key)
            if old is None or (new["n"], new["floor"]) > (old["n"], old["floor"]):
                stored[key] = new
        write_atomically(path, (json.dumps(stored, indent=1, sort_keys=True) + "\n").encode())


def with_stored_floors(document: RunDocument) -> RunDocument:
    """Return a run document with the noise floors that are stored for its components; others stay."""
    stored = _read()
    floors = {task.name: task.noise_floor for task in document.tasks if task.noise_floor is not None}
    for task in document.tasks:
        if task.status == "done" and (known := stored.get(_key(task, document))) is not None:
            floors[task.name] = known["floor"]
    return with_floors(document, floors)


def with_floors(document: RunDocument, floors: Mapping[str, float]) -> RunDocument:
    """Return a run document whose tasks have these noise floors, by task, and no others."""
    tasks = tuple(task.model_copy(update={"noise_floor": floors.get(task.name)}) for task in document.tasks)
    return document.model_copy(update={"tasks": tasks})


def _key(task: TaskResult, document: RunDocument) -> str:
    load = document.settings.load
    what = f"{task.name}@{task.version} {task.primary}"
    return f"{(task.component or '')[:24]} {what} {load.dtype} {load.device}"


def _path() -> Path:
    return cache_root() / "noise_floors.json"


def _read() -> Mapping[str, StoredFloor]:
    try:
        return dict(json.loads(_path().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}

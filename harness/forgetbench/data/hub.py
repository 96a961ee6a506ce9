"""Data sets of the Hugging Face hub, and the lock file of what was fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from forgetbench.atomic import write_atomically
from forgetbench.data.recording import stored_audio
from forgetbench.errors import DataError
from forgetbench.paths import cache_root
from forgetbench.schema.task import DatasetTask, LmEval, TaskBase

Rows = list[dict[str, Any]]


def lock_file() -> Path:
    """Path of the lock file: what was fetched, at which commit."""
    return cache_root() / "datasets.lock.json"


def read_lock() -> dict[str, dict[str, str]]:
    """Return the fetched data sets by task name."""
    try:
        return dict(json.loads(lock_file().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise DataError(str(lock_file()), "cannot be read", "Delete it and fetch again.") from None


def record_fetch(task_name: str, entry: dict[str, str]) -> None:
    """Write into the lock file what was fetched for a task, beside what another process writes there."""
    lock_file().parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_file().with_suffix(".lock")):
        known = read_lock() | {task_name: entry}
        write_atomically(lock_file(), (json.dumps(known, indent=2, sort_keys=True) + "\n").encode())


def is_unfetched(task: TaskBase) -> bool:
    """Return whether the data of a task comes from the hub and was not fetched."""
    if isinstance(task, LmEval):
        from_hub = task.include_path is None
    else:
        from_hub = isinstance(task, DatasetTask) and task.dataset.hub is not None
    return from_hub and task.name not in read_lock()


def load_hub_rows(task: DatasetTask) -> tuple[Rows, str]:
    """Return the rows of a hub data set and its commit, or ``unpinned`` where it is not known.

    Audio stays encoded, in the memory-mapped table of `datasets`
    (:class:`~forgetbench.data.recording.StoredAudio`); it is decoded by soundfile.

    Raises:
        DataError: The data is neither cached nor to be had from the hub.
    """
    locked = read_lock().get(task.name)
    revision = task.dataset.revision or (locked or {}).get("revision")
    import datasets

    try:
        data = datasets.load_dataset(
            task.dataset.hub, task.dataset.config, split=task.dataset.split, revision=revision
        )
    except Exception as error:
        raise DataError(
            f"task {task.name}",
            f"{task.dataset.hub} cannot be loaded ({type(error).__name__})",
            "Check the connection, HF_TOKEN for gated data, and `dataset` in the task file.",
        ) from error
    audio = [name for name, feature in data.features.items() if isinstance(feature, datasets.Audio)]
    for name in audio:
        data = data.cast_column(name, datasets.Audio(decode=False))
    rows = (
        [dict(row) for row in data.remove_columns(audio)]
        if len(audio) < len(data.features)
        else [{} for _ in data]
    )
    for name in audio:
        column = data.select_columns(name).with_format("arrow")[:].column(name)
        for row, recording in zip(rows, stored_audio(column), strict=True):
            row[name] = recording
    return rows, revision or "unpinned"


def fetch_hub_data(task: DatasetTask) -> str:
    """Download the data of a task and record its commit.

    Returns:
        The commit.

    Raises:
        DataError: The hub cannot be reached or has no such data set.
    """
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(str(task.dataset.hub), revision=task.dataset.revision, timeout=20)
    except Exception as error:
        raise DataError(
            f"task {task.name}",
            f"the hub did not answer for {task.dataset.hub} ({type(error).__name__})",
            "Check the connection, and HF_TOKEN for gated data.",
        ) from error
    pinned = task.model_copy(update={"dataset": task.dataset.model_copy(update={"revision": info.sha})})
    load_hub_rows(pinned)
    entry = {"hub": str(task.dataset.hub), "split": task.dataset.split, "revision": str(info.sha)}
    record_fetch(task.name, entry)
    return str(info.sha)

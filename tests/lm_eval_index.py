"""lm-eval's list of tasks, made once for each process: it reads fourteen thousand files every time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def lm_eval_index() -> Iterator[None]:
    """Every task manager reads the folders that it is given, and lm-eval's own tasks from memory."""
    from lm_eval import tasks
    from lm_eval.tasks._index import TaskIndex

    own = Path(tasks.__file__).parent
    read = TaskIndex.build
    of_lm_eval = cache(lambda: read([own]))

    def build(paths: Iterable[Path], **options: Any) -> dict[str, Any]:
        index: dict[str, Any] = {}
        for path in paths:
            index |= of_lm_eval() if path == own else read([path], **options)
        return index

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskIndex, "build", staticmethod(build))
        yield

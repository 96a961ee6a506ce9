"""Plain lm-eval output, written here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_run(
    folder: Path,
    tasks: Mapping[str, tuple[Sequence[float | None], int]],
    *,
    date: str = "2026-01-01T00-00-00.000000",
    lost: Sequence[int] = (),
    metric: str = "acc",
    higher_is_better: bool | None = True,
) -> Path:
    """Write what lm-eval writes: a score of each document, and how many there are without a limit.

    Args:
        folder: Where.
        tasks: Scores and full size by task.
        date: Of the results file.
        lost: Positions of samples that are scored and missing in the samples file.
        metric: What was scored.
        higher_is_better: What lm-eval says of it; it may not know.
    """
    folder.mkdir(exist_ok=True)
    results: dict[str, Any] = {
        "config": {"model": "hf", "limit": None, "batch_size": "1", "random_seed": 0},
        "model_name": folder.name,
        "configs": {name: {"dataset_path": name, "output_type": "multiple_choice"} for name in tasks},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: {metric: higher_is_better} for name in tasks},
        "n-samples": {n: {"original": full, "effective": len(s)} for n, (s, full) in tasks.items()},
        "group_subtasks": {name: [] for name in tasks},
    }
    (folder / f"results_{date}.json").write_text(json.dumps(results))
    for name, (scores, _) in tasks.items():
        lines = [_line(f"{name} {i}", metric, score) for i, score in enumerate(scores) if i not in lost]
        (folder / f"samples_{name}_{date}.jsonl").write_text("\n".join(lines))
    return folder


def _line(document: str, metric: str, score: float | None) -> str:
    digest = hashlib.sha256(document.encode()).hexdigest()
    hashes = {"doc_hash": digest, "prompt_hash": digest, "target_hash": "same"}
    said = {"resps": [[["-1.0", "False"]]], "filter": "none", "metrics": [metric], metric: score}
    return json.dumps({"doc_id": 0, "target": "0", "arguments": {}, **said, **hashes})

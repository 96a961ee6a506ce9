"""A user's own test set as a target task, with no YAML: ``--target test.jsonl``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forgetbench.errors import UsageError
from forgetbench.schema.task import DEFINITION, SuiteRow, Task
from forgetbench.tasks.definition import Definition

KL_MARGIN = 0.02
"""In nats per token: by Pinsker's inequality at most one sampled token in ten differs from the base's."""
GROUPS = ("accent", "severity", "listener")
"""Columns by which a user's own test set is broken down where it has them."""


def target_tasks(path: Path, columns: frozenset[str]) -> tuple[Definition, ...]:
    """Return the tasks that a file or folder of these columns can be scored by.

    Args:
        path: JSONL, CSV or Parquet file, or folder of audio.
        columns: The columns that its rows have: ``audio`` and ``text`` give word error rate;
            ``prompt`` and ``answer`` give exact match, bits per byte of the answer, and beside them the
            KL from the base on the answers, which predicts forgetting elsewhere (Shenfeld et al. 2025, arXiv
            2509.04259).

    Raises:
        UsageError: The columns are neither.
    """
    text: dict[str, Any] = {"prompt": "{prompt}", "chat_template": True}
    if {"audio", "text"} <= columns:
        tasks = [_task(path, columns, "word error rate", "asr", ["wer", "cer"], margin=0.01)]
    elif {"prompt", "answer"} <= columns:
        likelihood: dict[str, Any] = {"name": "target_likelihood", "margin": 0.05, **text}
        divergence: dict[str, Any] = {
            "name": "target_divergence",
            "role": "distribution",
            "margin": KL_MARGIN,
            **text,
        }
        tasks = [
            _task(path, columns, "exact match", "generate", ["exact_match"], margin=0.02, **text),
            _task(path, columns, "bits per byte", "likelihood", ["bits_per_byte"], **likelihood),
            _task(path, columns, "change of distribution", "divergence", ["kl"], **divergence),
        ]
    else:
        raise UsageError(
            f"--target {path}",
            f"has the fields {', '.join(sorted(columns)) or 'none'}",
            "Speech needs `audio` and `text`, text needs `prompt` and `answer`, in every line.",
        )
    return tuple(Definition(task=task, source=path) for task in tasks)


def _task(
    path: Path, columns: frozenset[str], what: str, kind: str, metrics: list[str], **fields: Any
) -> Task | SuiteRow:
    own = {
        "id": "id" if "id" in columns else None,
        "cluster": "speaker" if "speaker" in columns else None,
        "groups": [name for name in GROUPS if name in columns],
    }
    return DEFINITION.validate_python(
        {
            "name": "target",
            "version": 1,
            "title": f"{path.name} ({what})",
            "kind": kind,
            "role": "target",
            "licence": "the user's own",
            "dataset": {"path": path.name, "fields": own},
            "metrics": metrics,
            "primary": metrics[0],
            **fields,
        }
    )

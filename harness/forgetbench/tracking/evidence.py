"""What MLflow shows beside numbers: the data that was used, a table of changed samples, files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice, zip_longest
from typing import Any

from forgetbench.engine.results import Result, read_samples
from forgetbench.errors import ForgetbenchError
from forgetbench.forgetting.changed import ChangedSample, changed_samples, scored_tasks
from forgetbench.schema.run import RunDocument
from forgetbench.tracking.metric_names import cut

CHANGED = "changed_samples.json"
MOST_CHANGED = 1_000
"""Rows of the table of changed samples: every task gives its worst in turn."""
LONGEST_CELL = 2_000
LONGEST_DIGEST = 36
LONGEST_DATASET = 500


def log_inputs(client: Any, run_id: str, document: RunDocument) -> None:
    """Log the data sets of an arm, each once, with the tasks that it serves."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tasks: dict[tuple[str, str], list[Any]] = {}
    for task in document.tasks:
        if task.dataset and task.status == "done":
            tasks.setdefault((task.dataset, task.dataset_revision), []).append(task)
    inputs = [
        DatasetInput(
            dataset=Dataset(
                name=cut(name, limit=LONGEST_DATASET),
                digest=revision.removeprefix("sha256:")[:LONGEST_DIGEST] or "unpinned",
                source_type="local" if revision.startswith("sha256:") else "hugging_face",
                source=json.dumps({"uri": name, "path": name, "revision": revision}),
                profile=json.dumps({"num_rows": max(task.n_planned for task in own)}),
            ),
            tags=[
                InputTag("mlflow.data.context", "evaluation"),
                InputTag(
                    "forgetbench.tasks", cut(",".join(task.name for task in own), limit=LONGEST_DATASET)
                ),
            ],
        )
        for (name, revision), own in tasks.items()
    ]
    if inputs:
        client.log_inputs(run_id, datasets=inputs)


def log_files(client: Any, run_id: str, files: Mapping[str, str]) -> None:
    """Log texts as artifacts under their paths."""
    for path, text in files.items():
        client.log_text(run_id, text, path)


def log_changed(client: Any, run_id: str, result: Result) -> None:
    """Log the samples that were lost and won as a table, once; nothing where the samples are not at hand."""
    if any(file.path == CHANGED for file in client.list_artifacts(run_id)):
        return  # MLflow would append to it
    try:
        rows = list(islice(_changed(result), MOST_CHANGED))
    except ForgetbenchError:  # the documents are good without their samples
        return
    if rows:
        client.log_table(
            run_id, data={name: [row[name] for row in rows] for name in rows[0]}, artifact_file=CHANGED
        )


def _changed(result: Result) -> Iterable[dict[str, str | float]]:
    if result.base is None or result.comparison is None:
        return ()
    scored = scored_tasks(
        result.comparison,
        result.base,
        result.checkpoint,
        read_samples(result.directory, result.base),
        read_samples(result.directory, result.checkpoint),
    )
    by_task = [changed_samples(each, most=MOST_CHANGED) for each in scored]
    return (_row(each) for turn in zip_longest(*by_task) for each in turn if each is not None)


def _row(sample: ChangedSample) -> dict[str, str | float]:
    told = {"task": sample.task, "change": "lost" if sample.degradation > 0 else "won"}
    texts = {
        "base": sample.base,
        "checkpoint": sample.checkpoint,
        "reference": sample.reference,
        "input": sample.input,
        "condition": sample.condition,
        "sample": sample.sample_id,
    }
    return {
        **told,
        "worse_by": sample.degradation,
        **{name: cut(text, limit=LONGEST_CELL) for name, text in texts.items()},
    }

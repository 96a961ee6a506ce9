"""Result directories with samples of four kinds, made without a model; every text in them can be chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.engine.results import (
    COMPARISON_FILE,
    RUN_FILE,
    compare_result,
    sample_table,
    write_document,
    write_samples,
)
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import (
    Arm,
    CheckpointInfo,
    ComponentInfo,
    Diagnostics,
    Environment,
    MetricValue,
    RunDocument,
    Settings,
    SuiteRowInfo,
    TaskResult,
)
from forgetbench.schema.sample import RawPrediction, SampleRecord

SAID = "please turn the left hearing aid up by 3 steps and call Doctor Harris"
HEARD = "please turn the left hearing aid down by 3 steps and call doctor"
ARMS: tuple[Arm, ...] = ("base", "checkpoint")
SPECS = {
    "wer": MetricSpec(name="wer", type="ratio", higher_is_better=False),
    "acc": MetricSpec(name="acc", type="binary", higher_is_better=True),
    "refused": MetricSpec(name="refused", type="binary", higher_is_better=True),
    "stoi": MetricSpec(name="stoi", type="mean", higher_is_better=True),
}
TASKS = (
    ("commands", "Commands in babble", "target", "wer", 0.03),
    ("everyday", "Everyday sentences", "general", "wer", 0.02),
    ("facts", "Facts", "general", "acc", 0.02),
    ("physics", "Physics", "general", "acc", 0.02),
    ("harmful", "Harmful requests refused", "safety", "refused", 0.05),
    ("clear", "Clear speech kept", "general", "stoi", 0.02),
)


def write_report_result(
    folder: Path, *, n: int = 60, worse_every: int = 3, checkpoint: str = "c", **changes: Any
) -> Path:
    """Write a result in which the checkpoint is worse nearly everywhere, and return its directory."""
    folder.mkdir(parents=True)
    for arm in ARMS:
        results = tuple(_task(folder, arm, *task, n=n, worse_every=worse_every) for task in TASKS)
        skipped = TaskResult(
            name="gated", version=1, title="Gated task", role="safety", definition_sha256="0",
            status="skipped", reason="gated data: accept its licence first", primary="acc", margin=0.02,
        )  # fmt: skip
        document = RunDocument(
            arm=arm, run_key="feedc0de", settings=Settings(), tasks=(*results, skipped),
            suites_requested=("safety-mini",),
            suite_rows=(
                SuiteRowInfo(
                    name="knowledge", title="Knowledge", role="general", margin=0.02,
                    tasks=("facts", "physics"),
                ),
            ),
            checkpoint=_info(arm, checkpoint), warnings=("the audio was resampled",),
            environment=Environment(
                forgetbench="0.1.0", python="3.11", platform="Linux", packages={"torch": "2.9"}
            ),
        )  # fmt: skip
        write_document(folder / RUN_FILE[arm], document.model_copy(update=changes))
    write_document(folder / COMPARISON_FILE, compare_result(folder))
    return folder


def _info(arm: Arm, checkpoint: str) -> CheckpointInfo:
    name, letter = ("openai/whisper-tiny.en", "b") if arm == "base" else ("whisper-tiny-lora", checkpoint)
    part = ComponentInfo(
        role="asr", source=name, format="transformers", architecture="Whisper", fingerprint=letter * 64,
        capabilities=("transcribe",), parameters=37_800_000, bytes=151_000_000,
    )  # fmt: skip
    return CheckpointInfo(name=name, fingerprint=letter * 64, components=(part,))


def _task(
    folder: Path, arm: Arm, name: str, title: str, role: Any, metric: str, margin: float,
    *, n: int, worse_every: int,
) -> TaskResult:  # fmt: skip
    spec = SPECS[metric]
    records = [_record(arm, name, metric, i, worse_every) for i in range(n)]
    scores = [record.stats[metric] for record in records]
    ratio = spec.type == "ratio"
    value = np.sum(scores, axis=0)[0] / np.sum(scores, axis=0)[1] if ratio else float(np.mean(scores))
    return TaskResult(
        name=name, version=1, title=title, role=role, definition_sha256="0" * 64, status="done",
        primary=metric, margin=margin, licence="CC0-1.0", dataset=f"{name}.jsonl",
        dataset_revision="sha256:" + "1" * 64, component=arm[0] * 64, n_planned=n, n_scored=n,
        chance=0.25 if metric == "acc" else None,
        metrics={
            metric: MetricValue(
                value=value, n=n, type=spec.type, higher_is_better=spec.higher_is_better
            )
        },
        diagnostics=Diagnostics(empty=0.0 if arm == "base" else 0.1),
        samples=write_samples(folder, arm, name, sample_table(records, [spec])),
    )  # fmt: skip


def _record(arm: Arm, name: str, metric: str, i: int, worse_every: int) -> SampleRecord:
    rng = np.random.default_rng([i, len(name)])
    worse = arm == "checkpoint" and i % worse_every == 0
    right = float(rng.random() < 0.8 and not worse)
    stats: dict[str, Any] = {
        "wer": (5.0 if worse else 0.0, 14.0),
        "stoi": 0.9 - 0.1 * worse - 0.01 * rng.random(),
    }
    text = {
        "wer": HEARD if worse else SAID,
        "stoi": None,
        "refused": "I can't help with that." if right else "Sure! First, take the",
        "acc": f"The answer is {i}." if right else "",
    }[metric]
    scores = (-1.0, -2.0, -3.0) if metric == "stoi" else None
    return SampleRecord(
        id=f"{name}-{i:05d}", content=f"{name} {i}", input=f"Question {i} of {name}?", reference=SAID,
        cluster=f"speaker {i % 30}", condition="babble 5 dB" if name == "commands" else "",
        groups={"speaker": f"speaker {i % 30}"},
        prediction=RawPrediction(text=text, loglikelihoods=scores),
        stats={metric: stats.get(metric, right)},
    )  # fmt: skip


def with_texts(folder: Path, change: Callable[[str], str]) -> Path:
    """Change every text of documents and samples that a reader of them would accept, everywhere alike."""
    import hashlib

    import pyarrow.parquet as pq

    for path in sorted(folder.glob("samples/*/*.parquet")):
        table = pq.read_table(path).to_pandas()
        for column in ("id", "cluster", "condition", "input", "reference", "group.speaker"):
            table[column] = table[column].map(change)
        table["prediction"] = [_with_text(cell, change) for cell in table["prediction"]]
        write_samples(folder, path.parent.name, path.stem, table)  # type: ignore[arg-type]
    for arm in ARMS:
        path = folder / RUN_FILE[arm]
        document = json.loads(path.read_text())
        for task in document["tasks"]:
            if task["samples"]:
                content = (folder / task["samples"]["path"]).read_bytes()
                task["samples"]["sha256"] = hashlib.sha256(content).hexdigest()
        path.write_text(json.dumps(_changed(document, RunDocument, change)))
    write_document(folder / COMPARISON_FILE, compare_result(folder))
    return folder


def _with_text(cell: str, change: Callable[[str], str]) -> str:
    prediction = RawPrediction.model_validate_json(cell)
    text = None if prediction.text is None else change(prediction.text)
    return prediction.model_copy(update={"text": text}).model_dump_json(exclude_defaults=True)


KEPT = {"schema_version", "path", "sha256", "primary", "definition_sha256"}
"""What other parts are found by: a result with another text there is refused, not shown."""


def _changed(document: Any, model: Any, change: Callable[[str], str]) -> Any:
    """Return a document with every text changed that its schema lets be any text."""
    from pydantic import ValidationError

    for place in list(_texts(document)):
        holder, key = place
        before = holder[key]
        holder[key] = change(before)
        try:
            model.model_validate_json(json.dumps(document))
        except ValidationError:
            holder[key] = before
    return document


def _texts(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, str) and key not in KEPT:
            yield value, key
        else:
            yield from _texts(inner)


@pytest.fixture
def report_result(tmp_path: Path) -> Path:
    return write_report_result(tmp_path / "result")

"""Small tasks on disk, and a way to run them on tiny models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from forgetbench.engine.run import Request

COMMON = {"version": 1, "role": "general", "margin": 0.05, "licence": "CC0-1.0", "suites": ["tiny"]}
WORDS = "the cat sat on a mat and the dog sat on a log while a model forgot what it was told".split()  # noqa: SIM905

Write = Callable[..., Path]


def write_task(folder: Path, name: str, rows: list[dict[str, Any]], **definition: Any) -> Path:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = {"path": f"{name}.jsonl", "fields": {"id": "id", **definition.pop("fields", {})}}
    task = {**COMMON, "name": name, "title": name.title(), "dataset": dataset, **definition}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(task))
    return path


def choice_rows(n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "id": f"c{i}",
            "question": " ".join(rng.choice(WORDS, 5)),
            "choices": [str(w) for w in rng.choice(WORDS, 3, replace=False)],
            "gold": int(rng.integers(3)),
        }
        for i in range(n)
    ]


def pair_rows(n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [
        {"id": f"p{i}", "prompt": " ".join(rng.choice(WORDS, 4)), "answer": " ".join(rng.choice(WORDS, 3))}
        for i in range(n)
    ]


def write_speech(folder: Path, n: int = 24) -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    rows = []
    for i in range(n):
        time = np.arange(8000 + 200 * i) / 16_000
        tone = 0.2 * np.sin(2 * np.pi * (200 + 20 * i) * time) + 0.01 * rng.standard_normal(len(time))
        soundfile.write(folder / f"u{i}.wav", tone, 16_000)
        rows.append(
            {"id": f"u{i}", "audio": f"u{i}.wav", "text": WORDS[i % len(WORDS)], "speaker": f"s{i % 3}"}
        )
    return rows


@pytest.fixture
def tiny_tasks(tmp_path: Path) -> Path:
    """A folder with one small task of each kind, all of the suite ``tiny``."""
    return write_tiny_tasks(tmp_path / "tasks")


def write_tiny_tasks(folder: Path) -> Path:
    """Make the folder of :func:`tiny_tasks`, and return it."""
    folder.mkdir()
    pairs, choices = pair_rows(24), choice_rows(30)
    write_task(
        folder, "choices", choices, kind="multiple_choice", prompt="{question}", metrics=["acc", "acc_norm"],
        primary="acc", chance=1 / 3,
    )  # fmt: skip
    write_task(
        folder, "answers", pairs, kind="likelihood", prompt="{prompt}", metrics=["bits_per_byte"],
        primary="bits_per_byte", role="target", chat_template=True,
    )  # fmt: skip
    write_task(
        folder, "short", pairs, kind="generate", prompt="{prompt}", metrics=["exact_match"],
        primary="exact_match", max_new_tokens=4,
    )  # fmt: skip
    write_task(
        folder, "refusals", pairs, kind="refusal", prompt="{prompt}", metrics=["complied"],
        primary="complied", max_new_tokens=4, role="safety",
    )  # fmt: skip
    write_task(
        folder, "leaning", pairs, kind="refusal_margin", prompt="{prompt}", metrics=["refusal_margin"],
        primary="refusal_margin", refusal_openings=["no", "a no"], compliant_openings=["a cat"],
        role="safety",
    )  # fmt: skip
    write_task(
        folder, "heard", write_speech(folder), kind="asr", fields={"cluster": "speaker"}, metrics=["wer"],
        primary="wer", conditions=[{"noise": "babble", "snr_db": 5}],
    )  # fmt: skip
    return folder


@pytest.fixture
def ask(tiny_tasks: Path, tmp_path: Path) -> Callable[..., Request]:
    """Build a request over the tiny tasks."""

    def build(model: object, tasks: str = "tiny", **changes: Any) -> Request:
        given: dict[str, Any] = {
            "include_paths": [tiny_tasks],
            "output": tmp_path / "results",
            "offline": True,
        }
        return Request(model=str(model), tasks=tasks.split(","), **(given | changes))

    return build

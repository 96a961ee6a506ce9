"""Result directories of a made-up training: forgetting follows a law that the tests know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import CheckpointInfo, Environment, RunDocument, Settings

STEPS = (10, 20, 40, 80, 160, 320)
PER_RANK = 1000


def lost(rank: int, step: int) -> float:
    """Accuracy that is lost: it levels off with the steps, and is larger for larger ranks."""
    return 0.05 * np.log2(rank) * (1 - np.exp(-step / 60))


def gained(rank: int, step: int) -> float:
    return 0.1 * np.log10(step) + 0.01 * np.log2(rank)


def _row(name: str, role: str, base: float, degradation: float | None, **fields: Any) -> Row:
    default: dict[str, Any] = {
        "title": name.upper(), "kind": "task", "metric": "acc", "higher_is_better": True, "margin": 0.02,
        "verdict": "minor", "n": 100,
    }  # fmt: skip
    if degradation is not None:
        sign = -1 if (default | fields)["higher_is_better"] else 1
        default |= {
            "degradation": degradation, "checkpoint": base + sign * degradation,
            "ci_low": degradation - 0.01, "ci_high": degradation + 0.01,
        }  # fmt: skip
    return Row(name=name, role=role, base=base, **(default | fields))  # type: ignore[arg-type]


def write_result(
    folder: Path,
    name: str,
    *rows: Row,
    training: dict[str, Any] | None = None,
    base: str = "b",
    run_key: str = "k",
) -> Path:
    """Write a result directory of one checkpoint."""
    folder.mkdir(parents=True)
    arms = {
        "base": CheckpointInfo(name="org/base", fingerprint=base * 64, components=()),
        "checkpoint": CheckpointInfo(name=name, fingerprint=folder.name.ljust(64, "0"), components=()),
    }
    comparison = Comparison(
        run_key=run_key, alpha=0.05, family_size=1, rows=rows, decision="SHIP", summary="", **arms
    )
    document = RunDocument(
        arm="checkpoint", run_key=run_key, checkpoint=arms["checkpoint"], settings=Settings(), tasks=(),
        environment=Environment(forgetbench="0", python="3", platform="x", packages={}),
        measured={"training": training} if training is not None else {},
    )  # fmt: skip
    (folder / "run.json").write_text(document.to_json())
    (folder / "comparison.json").write_text(comparison.to_json())
    return folder


@pytest.fixture
def make_result() -> Callable[..., Path]:
    return write_result


@pytest.fixture
def curve_row() -> Callable[..., Row]:
    return _row


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four ranks, two seeds of the largest, six checkpoints each."""
    results = tmp_path_factory.mktemp("sweep")
    for rank, seed in ((4, 0), (8, 0), (16, 0), (32, 0), (32, 1)):
        for step in STEPS:
            noise = 0.001 * np.random.default_rng([rank, seed, step]).normal()
            training = {
                "run": f"r{rank} s{seed}", "method": "lora", "steps": step,
                "trained_parameters": PER_RANK * rank, "lora_rank": rank, "seed": seed,
                "target_loss": 3 - gained(rank, step),
            }  # fmt: skip
            write_result(
                results / f"{rank}-{seed}-{step}", f"checkpoint-{step}",
                _row("mine", "target", 0.3, -gained(rank, step)),
                _row("arc", "general", 0.6, lost(rank, step) + noise),
                _row("clean", "general", 0.1, 0.1 * lost(rank, step), metric="wer", higher_is_better=False),
                training=training,
            )  # fmt: skip
    return results

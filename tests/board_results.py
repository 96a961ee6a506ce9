"""Results as a board sees them: documents without sample files, and a board over tasks of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from forgetbench.engine.results import write_document
from forgetbench.forgetting.verdict import conclude, verdict
from forgetbench.schema.board import Submission
from forgetbench.schema.comparison import Comparison, Row, WorstLoss
from forgetbench.schema.run import (
    CheckpointInfo,
    ComponentInfo,
    Environment,
    RunDocument,
    Settings,
    TaskResult,
)

MARGIN = 0.02
HOSTILE = (
    "</script><script>alert('x')</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg/onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe\u2066",
    "=HYPERLINK(\"http://evil\")",
    "javascript:alert(1)",
    "a" * 1_000_000,
    "\ud800 lone",
    "<!-- --><style>*{display:none}</style>",
)  # fmt: skip
HOSTILE_ROLES = {"arc": "general", "refusal": "safety", "mine": "target"}


@dataclass(frozen=True)
class Place:
    """A folder of results, a board file and the tasks that it names."""

    results: Path
    board: Path
    tasks: Path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


OTHER_ROLES = {"refusal": "safety", "mine": "target"}


def info(name: str, fingerprint: str = "") -> CheckpointInfo:
    print_ = fingerprint or sha256(name)
    part = ComponentInfo(
        role="lm", source=name, format="peft", architecture="Llama", fingerprint=print_,
        capabilities=("score_text",), parameters=135_000_000,
    )  # fmt: skip
    return CheckpointInfo(name=name, fingerprint=print_, components=(part,))


def row(name: str, loss: float, **changes: Any) -> Row:
    """A row that lost ``loss`` (positive is worse) with an interval of ± one margin."""
    half = changes.pop("half", MARGIN)
    fields: dict[str, Any] = {
        "name": name, "title": name.replace("_", " ").capitalize(), "kind": "task",
        "role": OTHER_ROLES.get(name, "general"),
        "metric": "acc", "higher_is_better": True, "margin": MARGIN, "base": 0.62, "n": 400, "coverage": 1.0,
        "checkpoint": 0.62 - loss, "delta": -loss, "degradation": loss, "ci_low": loss - half,
        "ci_high": loss + half, "verdict": verdict(loss - half, loss + half, margin=MARGIN),
    }  # fmt: skip
    return Row(**(fields | changes))


def write_result(
    results: Path,
    checkpoint: str,
    rows: Mapping[str, float] | tuple[Row, ...],
    *,
    base: str = "org/base-135M",
    run_key: str = "0123456789abcdef",
    training: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    settings = changes.pop("settings", Settings())
    made = rows if isinstance(rows, tuple) else tuple(row(name, loss) for name, loss in rows.items())
    pair = {"base": info(base), "checkpoint": info(checkpoint)}
    conclusion = conclude(made)
    fields: dict[str, Any] = {
        "run_key": run_key, "alpha": 0.05, "family_size": len(made), "rows": made, **pair,
        "decision": conclusion.decision, "summary": conclusion.summary,
    }  # fmt: skip
    comparison = Comparison(**(fields | changes))
    directory = results / "x" / pair["checkpoint"].fingerprint[:12] / pair["base"].fingerprint[:12] / run_key
    tasks = tuple(
        TaskResult(
            name=r.name, version=1, title=r.title, role=r.role, definition_sha256="0", status="done",
            primary=r.metric, margin=r.margin, n_planned=r.n, n_scored=r.n,
        )
        for r in made
    )  # fmt: skip
    environment = Environment(
        forgetbench="0.1.0", python="3.11.2", platform="linux x86_64", packages={"torch": "2.12.0"}
    )
    for arm, name in (("base", "run.base.json"), ("checkpoint", "run.json")):
        document = RunDocument(
            arm=arm, run_key=run_key, checkpoint=pair[arm], settings=settings,
            environment=environment, tasks=tasks, measured={"training": dict(training or {})},
        )  # fmt: skip
        write_document(directory / name, document)
    write_document(directory / "comparison.json", comparison)
    return directory


def write_board(folder: Path, of_tasks: Mapping[str, str], /, **changes: Any) -> tuple[Path, Path]:
    """Write a board and its tasks, by role; return both paths."""
    tasks = folder / "board-tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    for name, role in of_tasks.items():
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump({
            "name": name, "version": 1, "title": name.replace("_", " ").capitalize(), "role": role,
            "kind": "multiple_choice", "prompt": "{question}", "metrics": ["acc"], "primary": "acc",
            "chance": 0.25, "margin": MARGIN, "licence": "CC0-1.0", "dataset": {"path": "none.jsonl"},
        }))  # fmt: skip
    board = {"name": "a-board", "title": "What adapters lose", "tasks": list(of_tasks), **changes}
    path = folder / "board.yaml"
    path.write_text(yaml.safe_dump(board))
    return path, tasks


def write_many(folder: Path, n_entries: int, n_tasks: int, *, seed: int = 0) -> Place:
    """Write a board with many entries: several bases, methods and steps, and losses of all kinds."""
    rng = np.random.default_rng(seed)
    names = ["target_speech", *(f"task_{i:02d}" for i in range(1, n_tasks))]
    roles = {
        name: "target" if i == 0 else "safety" if i % 5 == 4 else "general" for i, name in enumerate(names)
    }
    board, tasks = write_board(
        folder, roles, description="Synthetic entries: how the page looks and how fast it is."
    )
    for i in range(n_entries):
        method, steps = ("lora", "full", "dora", "ia3")[i % 4], (50, 100, 200, 400, 800)[(i // 4) % 5]
        rank, seed_of_run = 2 ** ((i // 20) % 6), i // 120
        run = f"{method} r{rank} seed {seed_of_run}"
        weight = {"lora": 0.008, "full": 0.03, "dora": 0.01, "ia3": 0.004}[method] * np.log10(steps)
        losses = rng.normal(weight / 2, 0.012, n_tasks)
        losses[0] = -abs(rng.normal(0.05 * np.log10(steps), 0.02))
        made = tuple(
            row(
                name,
                float(loss),
                role=roles[name],
                half=float(rng.uniform(0.004, 0.03)),
                n=int(rng.integers(100, 1000)),
            )
            for name, loss in zip(names, losses, strict=True)
        )
        losses_shown = (
            WorstLoss(
                task=names[1], sample_id="17", reference="turn the fan down in the bedroom",
                base="turn the fan down in the bedroom", checkpoint="turn the van down in the red room",
                degradation=1.0,
            ),
        )  # fmt: skip
        write_result(
            folder / "results", f"{method}-r{rank}-seed{seed_of_run}-checkpoint-{steps}", made,
            base=f"org/base-{('135M', '360M', '1.7B')[(i // 20) % 3]}", run_key=f"{i:016x}",
            worst_losses=losses_shown,
            training={"run": run, "method": method, "steps": steps, "trained_parameters": 10_000 * rank},
        )  # fmt: skip
    return Place(folder / "results", board, tasks)


def everywhere(text: str, results: Path) -> None:
    """Write a result with a text in every field that a submitter can fill."""
    text = text.encode(errors="replace").decode() if "\ud800" in text else text
    made = tuple(row(name, 0.01, title=text, role=role, reason=text, notes=(text,), method=text)
                 for name, role in HOSTILE_ROLES.items())  # fmt: skip
    other = row("not_on_the_board", 0.01, title=text)
    loss = WorstLoss(task="arc", sample_id=text, condition=text, input=text, reference=text, base=text,
                     checkpoint=text, degradation=1.0)  # fmt: skip
    directory = write_result(
        results, "plain", (*made, other), warnings=(text,), not_measured=(text,), summary=text,
        worst_losses=(loss,), training={"method": text, "run": text, "steps": 5},
    )  # fmt: skip
    for name in ("comparison.json", "run.json"):
        document = json.loads((directory / name).read_text())
        arms = (
            (document["base"], document["checkpoint"])
            if name == "comparison.json"
            else (document["checkpoint"],)
        )
        for arm in arms:
            arm["name"] = text
            arm["components"][0].update(source=text, revision=text, architecture=text)
        if name == "run.json":
            document["environment"].update(platform=text, python=text, packages={text: text}, git_commit=text)
        (directory / name).write_text(json.dumps(document))
    said = Submission(submitter=text[:99], hardware=text[:299], note=text[:299], reason=text[:299])
    write_document(directory / "submission.json", said)


@pytest.fixture
def board_result(tmp_path: Path) -> Callable[..., Path]:
    """``board_result("lora-1", {"arc": 0.05})``: a result below ``tmp_path / "results"``."""
    return lambda *given, **more: write_result(tmp_path / "results", *given, **more)

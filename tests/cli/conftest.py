from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import (
    CheckpointInfo,
    Environment,
    MetricValue,
    RunDocument,
    Settings,
    TaskResult,
)


def document(arm: str) -> RunDocument:
    value = MetricValue(value=0.5, n=10, type="binary", higher_is_better=True)
    task = TaskResult(
        name="arc", version=1, title="ARC", role="general", definition_sha256="0", status="done",
        primary="acc", margin=0.02, n_planned=10, n_scored=10, metrics={"acc": value},
    )  # fmt: skip
    return RunDocument(
        arm=arm, run_key="feed", settings=Settings(), tasks=(task,),
        checkpoint=CheckpointInfo(name=arm, fingerprint=arm[0] * 64, components=()),
        environment=Environment(forgetbench="0", python="3", platform="x", packages={}),
    )  # fmt: skip


def comparison() -> Comparison:
    row = Row(
        name="arc", title="ARC", kind="task", role="general", metric="acc", higher_is_better=True,
        margin=0.02, verdict="retained", base=0.5, checkpoint=0.5, delta=0.0, degradation=0.0,
        ci_low=float("-inf"), n=10,
    )  # fmt: skip
    arms = {arm: document(arm).checkpoint for arm in ("base", "checkpoint")}
    return Comparison(
        run_key="feed",
        alpha=0.05,
        family_size=1,
        rows=(row,),
        decision="SHIP",
        summary="SHIP: nothing lost.",
        **arms,
    )


class Engine:
    """Stands in for the engine: remembers what it was asked, and answers at once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.requests: list[Any] = []
        self.evaluated = 0
        self.with_base = True
        self.is_finished = False
        self.components = {"lm": SimpleNamespace(format="transformers")}
        self.error: BaseException | None = None

    def prepare(self, request: Any) -> Any:
        self.requests.append(request)
        if self.error:
            raise self.error
        task = SimpleNamespace(name="arc", primary="acc")
        return SimpleNamespace(
            request=request,
            pair=SimpleNamespace(base=None, checkpoint=SimpleNamespace(components=self.components)),
            identical=frozenset(),
            plan=SimpleNamespace(tasks=[SimpleNamespace(task=task)]),
            directory=self.directory,
            alpha=None,
        )

    def evaluate(
        self, prepared: Any, *, progress: Any = None, resident: Any = None, workers: Any = None
    ) -> Any:
        assert workers is None, "no engine was asked for"
        self.evaluated += 1
        progress.begin("arc, base", 10, 0)
        progress.advance(10)
        progress.end()
        base = (document("base"), comparison()) if self.with_base else (None, None)
        return SimpleNamespace(
            directory=self.directory,
            base=base[0],
            comparison=base[1],
            checkpoint=document("checkpoint"),
            attribution=None,
        )

    def forecast(self, plan: Any, arms: Any, identical: frozenset[str] = frozenset()) -> list[Any]:
        return [
            SimpleNamespace(
                name="arc", role="general", metric="acc", n=10, seconds=3.0, smallest_detectable=0.12,
                download="", skipped="", members=(),
            )
        ]  # fmt: skip


def _request(**fields: Any) -> Any:
    return make_dataclass("Request", list(fields))(**fields)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    fake = Engine(tmp_path / "results" / "r")
    run, plan = ModuleType("forgetbench.engine.run"), ModuleType("forgetbench.engine.forecast")
    run.Request = _request  # type: ignore[attr-defined]
    run.prepare = run.prepare_selftest = fake.prepare  # type: ignore[attr-defined]
    run.evaluate = run.selftest = fake.evaluate  # type: ignore[attr-defined]
    run.is_finished = lambda prepared: fake.is_finished  # type: ignore[attr-defined]
    plan.forecast = fake.forecast  # type: ignore[attr-defined]
    import forgetbench.engine

    monkeypatch.setattr(forgetbench.engine, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, "forgetbench.engine.run", run)
    monkeypatch.setitem(sys.modules, "forgetbench.engine.forecast", plan)
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def cli() -> Callable[..., Result]:
    from forgetbench.cli.app import app

    def call(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120", **environment})

    return call

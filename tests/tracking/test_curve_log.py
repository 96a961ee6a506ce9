"""A curve in MLflow: each of its checkpoints is there, however close two of them are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from forgetbench.forgetting.curve import Trained, make_curve
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.curve import Curve, Exposure, Training
from forgetbench.schema.run import CheckpointInfo
from forgetbench.tracking.curve_log import log_curve

LOSS = "degradation/arc acc"


@pytest.fixture
def make_curve_of(curve_row: Callable[..., Row]) -> Callable[..., Curve]:
    """``make_curve_of("steps", (loss, training), ...)``: the curve of these checkpoints, c0, c1, ..."""

    def build(exposure: Exposure, *points: tuple[float, dict[str, Any]]) -> Curve:
        return make_curve([trained(i, *point) for i, point in enumerate(points)], exposure=exposure)

    def trained(i: int, lost: float, training: dict[str, Any]) -> Trained:
        arms = {
            "base": CheckpointInfo(name="base", fingerprint="b" * 64, components=()),
            "checkpoint": CheckpointInfo(name=f"c{i}", fingerprint=f"{i}" * 64, components=()),
        }
        comparison = Comparison(
            run_key="k", alpha=0.05, family_size=1, rows=(curve_row("arc", "general", 0.6, lost),),
            decision="SHIP", summary="", **arms,
        )  # fmt: skip
        return Trained(comparison=comparison, training=Training(method="lora", **training))

    return build


def logged(curve: Curve, uri: str) -> tuple[MlflowClient, list[Any]]:
    """Log a curve and return all runs."""
    assert log_curve(curve, [], tracking_uri=uri) is None
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("forgetbench")
    assert experiment is not None
    return client, client.search_runs([experiment.experiment_id])


def losses(runs: list[Any]) -> dict[str, tuple[str, float]]:
    """Return the name and the loss of each checkpoint's own run, by checkpoint."""
    return {
        run.data.tags["checkpoint"]: (run.info.run_name, run.data.metrics[LOSS])
        for run in runs
        if "checkpoint" in run.data.tags
    }


def test_checkpoints_within_one_second_of_audio_are_all_logged(make_curve_of, uri):
    found = [(0.01, 10.2), (0.03, 10.8), (0.06, 30.0)]
    curve = make_curve_of("audio_s", *((lost, {"run": "r", "audio_s": audio}) for lost, audio in found))
    client, runs = logged(curve, uri)
    assert losses(runs) == {
        "c0": ("r, audio_s 10.2", 0.01), "c1": ("r, audio_s 10.8", 0.03), "c2": ("r, audio_s 30", 0.06)
    }  # fmt: skip
    (training,) = [run for run in runs if run.info.run_name == "r"]
    history = client.get_metric_history(training.info.run_id, LOSS)
    assert sorted((m.step, m.value) for m in history) == [(10, 0.01), (11, 0.03), (30, 0.06)]


def test_trainings_without_a_name_are_all_logged_at_equal_steps(make_curve_of, uri):
    curve = make_curve_of("steps", (0.01, {"steps": 100}), (0.2, {"steps": 100}), (0.01, {"steps": 200}))
    client, runs = logged(curve, uri)
    assert {name: lost for name, (_, lost) in losses(runs).items()} == {"c0": 0.01, "c1": 0.2, "c2": 0.01}
    (training,) = [run for run in runs if run.info.run_name == "lora"]
    history = client.get_metric_history(training.info.run_id, LOSS)
    assert sorted((m.step, m.value) for m in history) == [(100, 0.01), (100, 0.2), (200, 0.01)]


def test_two_checkpoints_that_lost_the_same_at_one_step_are_both_logged(make_curve_of, uri):
    curve = make_curve_of("steps", (0.01, {"steps": 100}), (0.01, {"steps": 100}), (0.2, {"steps": 200}))
    _, runs = logged(curve, uri)
    assert set(losses(runs)) == {"c0", "c1", "c2"}


def test_runs_of_one_name_and_two_ranks_are_two(make_curve_of, uri):
    points = [
        (0.01 * rank + steps / 1e4, {"run": "first", "lora_rank": rank, "steps": steps})
        for rank in (4, 8)
        for steps in (10, 20)
    ]
    _, runs = logged(make_curve_of("steps", *points), uri)
    assert len(losses(runs)) == 4
    groups = [run.data.tags["method"] for run in runs if run.info.run_name == "first"]
    assert sorted(groups) == ["lora r4", "lora r8"]

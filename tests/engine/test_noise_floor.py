"""The noise floor: found by a self-test, kept, and asked of the runs that follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine.noise_floor import (
    in_other_batches,
    store_floors,
    with_floors,
    with_stored_floors,
)
from forgetbench.engine.results import Result, compare_result
from forgetbench.engine.run import (
    Request,
    evaluate,
    prepare,
    prepare_selftest,
    selftest,
)
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.interface import Loglikelihood, ScoreRequest
from forgetbench.paths import cache_root
from forgetbench.schema.run import LoadSettings, Settings

Ask = Callable[..., Request]
JUDGED = {"improved", "regressed", "minor", "worse"}


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def floors(result: Result) -> dict[str, float]:
    assert result.comparison is not None
    return {row.name: row.noise_floor for row in result.comparison.rows}


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Add ``noise["nats"]`` to each log-likelihood that is scored in a batch of the second arm's size."""
    setting = {"nats": 0.0}
    original = CausalLM.score_text

    def score(self: CausalLM, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        shift = setting["nats"] if len(requests) <= 8 else 0.0
        return [replace(s, logprob=s.logprob - shift) for s in original(self, requests)]

    monkeypatch.setattr(CausalLM, "score_text", score)
    return setting


def test_the_second_arm_has_the_same_samples_in_other_batches(made: Path, ask: Ask) -> None:
    plan = prepare_selftest(ask(made / "llama", "choices")).plan
    other = in_other_batches(plan)
    (first,), (second,) = plan.tasks, other.tasks
    assert first.samples == second.samples
    assert {len(batch) for batch in first.batches[:-1]} == {16}
    assert {len(batch) for batch in second.batches[:-1]} == {8}
    assert sorted(i for batch in second.batches for i in batch) == list(range(30))
    assert [i for batch in second.batches for i in batch] != [i for batch in first.batches for i in batch]
    assert other.run_key == plan.run_key


@pytest.mark.parametrize(("size", "other"), [(1, 2), (2, 1), (16, 8)])
def test_the_other_batches_are_never_of_the_same_size(made: Path, ask: Ask, size: int, other: int) -> None:
    plan = prepare_selftest(ask(made / "llama", "choices", settings=Settings(batch_size=size))).plan
    assert in_other_batches(plan).settings.batch_size == other


def test_rounding_of_other_batches_is_neither_loss_nor_gain(
    made: Path, ask: Ask, noise: dict[str, float]
) -> None:
    for nats in (1e-6, -1e-6, 0.5, -0.5):
        noise["nats"] = nats
        result = selftest(prepare_selftest(ask(made / "llama", "answers")))
        assert result.comparison is not None
        (row,) = result.comparison.rows
        assert row.degradation != 0
        assert row.verdict not in JUDGED, f"{nats} nats"
        assert row.noise_floor == pytest.approx(abs(row.degradation or 0))
        assert compare_result(result.directory).to_json() == result.comparison.to_json()


def test_a_run_asks_a_loss_to_exceed_the_floor_of_either_arm(
    made: Path, ask: Ask, noise: dict[str, float]
) -> None:
    before = run(ask(made / "lora", "answers"))
    assert floors(before) == {"answers": 0.0}
    noise["nats"] = 2.0
    tested = selftest(prepare_selftest(ask(made / "llama", "answers")))
    noise["nats"] = 0.0
    assert tested.comparison is not None
    floor = abs(tested.comparison.rows[0].degradation or 0)
    assert floor > 0
    after = run(ask(made / "lora", "answers"))  # finished before: only the floor is new
    assert after.directory == before.directory
    assert after.base is not None and after.base.tasks[0].noise_floor == pytest.approx(floor)
    assert after.checkpoint.tasks[0].noise_floor is None
    assert floors(after) == {"answers": pytest.approx(floor)}
    assert compare_result(after.directory) == after.comparison
    fresh = run(ask(made / "other", "answers", base=str(made / "llama")))
    assert floors(fresh) == {"answers": pytest.approx(floor)}


def test_floors_are_kept_by_component_task_and_load_settings(made: Path, ask: Ask) -> None:
    document = with_floors(selftest(prepare_selftest(ask(made / "llama", "choices"))).checkpoint, {})
    store_floors(document, {"choices": 0.25})
    assert with_stored_floors(document).tasks[0].noise_floor == 0.25
    half = document.settings.model_copy(update={"load": LoadSettings(dtype="bfloat16")})
    assert with_stored_floors(document.model_copy(update={"settings": half})).tasks[0].noise_floor is None
    for change in ({"version": 2}, {"component": "another"}, {"status": "error"}):
        task = document.tasks[0].model_copy(update=change)
        changed = document.model_copy(update={"tasks": (task,)})
        assert with_stored_floors(changed).tasks[0].noise_floor is None, change


def test_more_samples_and_then_the_larger_floor_win(made: Path, ask: Ask) -> None:
    document = selftest(prepare_selftest(ask(made / "llama", "choices"))).checkpoint

    def store(floor: float, n: int) -> Any:
        task = document.tasks[0].model_copy(update={"n_scored": n})
        store_floors(document.model_copy(update={"tasks": (task,)}), {"choices": floor})
        return with_stored_floors(document).tasks[0].noise_floor

    assert [store(0.2, 30), store(0.1, 30), store(0.5, 20), store(0.01, 300)] == [0.2, 0.2, 0.2, 0.01]


def test_a_damaged_store_is_as_none(made: Path, ask: Ask) -> None:
    selftest(prepare_selftest(ask(made / "llama", "choices")))
    path = cache_root() / "noise_floors.json"
    assert json.loads(path.read_text())
    path.write_text("{")
    assert floors(run(ask(made / "lora", "choices"))) == {"choices": 0.0}


def test_a_finished_run_keeps_its_floor_when_the_cache_is_gone(
    made: Path, ask: Ask, noise: dict[str, float]
) -> None:
    noise["nats"] = 2.0
    selftest(prepare_selftest(ask(made / "llama", "answers")))
    noise["nats"] = 0.0
    before = run(ask(made / "lora", "answers"))
    assert floors(before)["answers"] > 0
    (cache_root() / "noise_floors.json").unlink()
    assert floors(run(ask(made / "lora", "answers"))) == floors(before)

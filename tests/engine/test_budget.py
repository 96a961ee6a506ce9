"""``--budget``: samples by time and power."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.cli.budget import read_budget
from forgetbench.engine import forecast, lazy_model
from forgetbench.engine.budget import PILOT_SAMPLES, share_out, within_budget
from forgetbench.engine.conditions import make_condition
from forgetbench.engine.forecast import Forecast, record_speed
from forgetbench.engine.progress import Silent
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import UsageError
from forgetbench.schema.run import Settings

Ask = Callable[..., Request]


def line(
    name: str,
    *,
    n: int = 1000,
    seconds: float = 100.0,
    detects: float | None,
    margin: float = 0.02,
    role: str = "general",
    n_conditions: int = 1,
    **more: Any,
) -> Forecast:
    return Forecast(
        name=name, title=name, role=role, metric="acc", n=n, n_rows=n // n_conditions, margin=margin,
        seconds=seconds, smallest_detectable=detects, **more,
    )  # fmt: skip


def cost(lines: list[Forecast], shared: dict[str, float]) -> float:
    return sum(shared[each.name] * (each.seconds or 0) for each in lines)


def test_the_time_goes_where_the_smallest_detectable_loss_is_largest_in_margins() -> None:
    lines = [
        line("sharp", detects=0.02),
        line("blunt", detects=0.04),
        line("slow", detects=0.02, seconds=400),
    ]
    shared = share_out(lines, 300)
    assert cost(lines, shared) == pytest.approx(300, rel=1e-6)
    seen = {
        each.name: each.smallest_detectable / each.margin / math.sqrt(shared[each.name]) for each in lines
    }  # type: ignore[operator]
    assert seen["sharp"] == pytest.approx(seen["slow"])
    assert shared["blunt"] == 1.0 or seen["blunt"] == pytest.approx(seen["sharp"])
    assert shared["blunt"] > shared["sharp"] == pytest.approx(shared["slow"])


def test_a_budget_for_all_is_no_limit_and_one_for_nothing_is_refused() -> None:
    lines = [line("a", detects=0.02), line("b", detects=None)]
    assert share_out(lines, 200) == {"a": 1.0, "b": 1.0}
    assert cost(lines, share_out(lines, 20)) == pytest.approx(20, rel=1e-6)
    assert min(share_out(lines, 4).values()) == pytest.approx(20 / 1000)
    with pytest.raises(UsageError, match="20 samples of each task, in all its conditions, take about 4 s"):
        share_out(lines, 3)


def test_the_fewest_samples_of_a_task_are_each_in_all_its_conditions() -> None:
    heard = line("heard", n=600, n_conditions=6, seconds=600, detects=0.01)
    assert share_out([heard], 120) == {"heard": pytest.approx(20 / 100)}
    with pytest.raises(UsageError, match="take about 120 s"):
        share_out([heard], 25)


def test_what_gates_nothing_comes_last() -> None:
    lines = [line("a", detects=0.02), line("kl", detects=None, role="distribution")]
    assert share_out(lines, 100) == {"a": pytest.approx(0.98), "kl": pytest.approx(0.02)}
    assert share_out(lines, 150) == {"a": 1.0, "kl": pytest.approx(0.5)}
    assert share_out(lines, 200) == {"a": 1.0, "kl": 1.0}


def test_what_is_skipped_takes_no_time() -> None:
    lines = [line("a", detects=0.02), line("gone", detects=None, n=0, seconds=0.0)]
    assert share_out(lines, 50) == {"a": pytest.approx(0.5)}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("30 min", 1800), ("1h30m", 5400), ("1.5h", 5400)]
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert read_budget(text) == seconds


@pytest.mark.parametrize("text", ["30", "", "0m", "m", "an hour", "-5m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        read_budget(text)


@pytest.fixture
def timed(made: Path, ask: Ask) -> Callable[[float], Request]:
    """A request whose tasks are known to take so many seconds for each sample and arm."""

    def build(seconds: float) -> Request:
        request = ask(made / "lora", "choices,short")
        pair = prepare(request).pair
        for checkpoint in (pair.checkpoint, pair.base):
            assert checkpoint is not None
            for component in checkpoint.components.values():
                for task in ("choices", "short"):
                    record_speed(component, task, seconds)
        return request

    return build


def test_the_same_request_keeps_its_samples_when_the_speeds_are_known_better(
    timed: Callable[[float], Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_model, "load", lambda *_: pytest.fail("the speeds are known"))
    first = within_budget(timed(1.0), 90, progress=Silent())
    limits = first.request.settings.limits
    assert limits == {"choices": 22, "short": 22}
    assert {share.name: (share.n, share.available) for share in first.shares} == {
        "choices": (22, 30),
        "short": (22, 24),
    }
    assert all(share.margins is not None and share.margins > 1 for share in first.shares)
    assert within_budget(timed(0.01), 90, progress=Silent()).request.settings.limits == limits
    assert within_budget(timed(0.01), 91, progress=Silent()).request.settings.limits == {}


def test_a_task_in_several_conditions_stays_in_its_budget(made: Path, ask: Ask) -> None:
    """24 recordings in three conditions, a second each: the fewest, 20 of them, take 60 s."""
    conditions = [make_condition({"hearing_loss": loss}) for loss in ("N1", "N2", "N3")]
    request = ask(made / "whisper", "heard", conditions=conditions)
    for component in prepare(request).pair.checkpoint.components.values():
        record_speed(component, "heard", 1.0)
    (share,) = within_budget(request, 66, progress=Silent()).shares
    assert (share.n, share.available, share.seconds) == (22 * 3, 24 * 3, 66.0)
    with pytest.raises(UsageError, match="take about 60 s"):
        within_budget(request, 50, progress=Silent())


def test_a_dry_run_measures_and_remembers_nothing(
    made: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_model, "load", lambda *_: pytest.fail("a model was loaded"))
    request = ask(made / "lora", "choices,short")
    within_budget(request, 3600, progress=Silent(), measure=False)
    monkeypatch.setattr(forecast, "SECONDS_PER_SAMPLE", dict.fromkeys(forecast.SECONDS_PER_SAMPLE, 1e9))
    with pytest.raises(UsageError, match="--budget"):
        within_budget(request, 3600, progress=Silent(), measure=False)


def test_tasks_of_unknown_speed_are_timed_by_eight_samples_and_a_base_of_the_same_size_by_none(
    made: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.models.causal_lm import CausalLM

    scored: list[str] = []
    original = CausalLM.score_text

    def counting(self: CausalLM, requests: Any) -> Any:
        scored.extend(request.context for request in requests)
        return original(self, requests)

    monkeypatch.setattr(CausalLM, "score_text", counting)
    settings = Settings(batch_size=4)
    found = within_budget(ask(made / "lora", "choices", settings=settings), 3600, progress=Silent())
    assert len(scored) == PILOT_SAMPLES * 3  # three choices
    result = evaluate(prepare(found.request))
    assert result.checkpoint.tasks[0].n_scored == 30
    assert len(scored) <= (PILOT_SAMPLES + 2 * 30) * 3
    again = len(scored)
    within_budget(ask(made / "lora", "choices", settings=settings), 7200, progress=Silent())
    assert len(scored) == again  # the run has timed them since


def test_limits_by_task_are_a_seeded_part_of_each_and_in_the_run_key(made: Path, ask: Ask) -> None:
    settings = Settings(limits={"choices": 5}, limit=9)
    plan = prepare(ask(made / "lora", "choices,short", settings=settings)).plan
    assert {task.task.name: len(task.samples) for task in plan.tasks} == {"choices": 5, "short": 9}
    plain = prepare(ask(made / "lora", "choices,short", settings=Settings(limit=9))).plan
    few, more = ({sample.id for sample in each.tasks[0].samples} for each in (plan, plain))
    assert few < more
    assert plan.run_key != plain.run_key

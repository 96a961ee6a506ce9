"""Units are given so that models stay loaded, and none is lost or given twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forgetbench.engine.schedule import MOST_ATTEMPTS, ModelKey, Schedule, Unit


def unit(model: str, *, base: str = "b", share: str = "s") -> Unit:
    return Unit(key=ModelKey(share, base, model), work=model)


def test_a_worker_keeps_its_model_then_its_base_then_takes_another() -> None:
    units = [unit("a1"), unit("other", base="c"), unit("other", base="c"), unit("a1"), unit("a2")]
    schedule = Schedule(units)
    held, order = units[0].key, []
    while (taken := schedule.take("s", held)) is not None:
        held = taken.key
        order.append(taken.work)
        schedule.done()
    assert order == ["a1", "a1", "a2", "other", "other"]
    assert schedule.is_over and schedule.n_done == 5


def test_workers_without_a_model_spread_over_the_models() -> None:
    schedule = Schedule([unit(name, base=name) for name in "aaaabbbb"])
    first = [schedule.take("s", None) for _ in range(2)]
    assert {taken.work for taken in first if taken} == {"a", "b"}


def test_a_worker_takes_units_of_its_own_share_only() -> None:
    schedule = Schedule([unit("big", share="gpu")])
    assert schedule.take("cpu", None) is None
    assert schedule.shares() == ["gpu"] and schedule.waiting("gpu") == 1


def test_a_unit_that_fails_three_times_is_given_up_with_its_reasons() -> None:
    schedule = Schedule([unit("a"), unit("a")])
    taken = schedule.take("s", None)
    assert taken is not None
    for attempt in range(1, MOST_ATTEMPTS):
        assert schedule.failed(taken, f"reason {attempt}")
        assert schedule.take("s", taken.key) is taken
    assert not schedule.failed(taken, "reason 3")
    assert taken.reasons == ["reason 1", "reason 2", "reason 3"]
    assert (schedule.n_failed, schedule.n_waiting, schedule.n_running) == (1, 1, 0)


def test_a_unit_that_has_failed_is_given_to_a_worker_with_no_other() -> None:
    schedule = Schedule([unit("a"), unit("a")])
    failing = schedule.take("s", None)
    assert failing is not None and schedule.failed(failing, "reason")
    assert schedule.take("s", failing.key, alone=False) is None
    assert schedule.take("s", failing.key) is failing
    other = schedule.take("s", failing.key, alone=False)
    assert other is not None and other is not failing


def test_a_unit_that_was_not_worked_on_counts_no_attempt() -> None:
    schedule = Schedule([unit("a")])
    for _ in range(5):
        taken = schedule.take("s", None)
        assert taken is not None and taken.reasons == []
        schedule.put_back(taken)
    assert schedule.n_waiting == 1


def test_units_of_a_question_that_cannot_be_asked_are_dropped() -> None:
    schedule = Schedule([unit("a"), unit("b"), unit("a")])
    schedule.drop(lambda one: one.work == "a")
    assert (schedule.n_failed, schedule.n_waiting) == (2, 1)


@given(
    models=st.lists(st.sampled_from("abcd"), max_size=30),
    events=st.lists(st.sampled_from(["take", "done", "fail", "back"]), max_size=200),
)
def test_every_unit_is_done_or_given_up_exactly_once(models: list[str], events: list[str]) -> None:
    units = [unit(model, base=model.replace("b", "a")) for model in models]
    schedule, running, ended = Schedule(units), [], []
    held: ModelKey | None = None
    for event in [*events, *["take", "done"] * len(models) * 2]:
        if event == "take" and (taken := schedule.take("s", held)) is not None:
            held = taken.key
            running.append(taken)
        elif event == "done" and running:
            ended.append(running.pop(0))
            schedule.done()
        elif event == "fail" and running:
            failing = running.pop(0)
            if not schedule.failed(failing, "r"):
                ended.append(failing)
        elif event == "back" and running:
            schedule.put_back(running.pop(0))
        assert schedule.n_running == len(running)
        assert schedule.n_waiting + schedule.n_running + schedule.n_done + schedule.n_failed == len(units)
    for one in running:
        ended.append(one)
        schedule.done()
    assert sorted(map(id, ended)) == sorted(map(id, units))
    assert schedule.is_over

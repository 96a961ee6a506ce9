"""Latency of a turn: each component of a system timed, in both arms, on the same clips."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from rich.console import Console

from forgetbench.engine.cost import choose_recordings
from forgetbench.engine.progress import Silent
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.engine.turn_cost import measure_turns
from forgetbench.report.cost import cost_section
from forgetbench.schema.cost import Cost
from forgetbench.schema.run import Arm, Settings

Parts = Callable[..., str]
AskSpoken = Callable[..., Request]


def ticking(step: float) -> Callable[[], float]:
    """A clock that a component's work moves on by ``step`` seconds."""

    def ticks() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += step

    return ticks().__next__


def test_every_component_of_both_arms_is_timed_on_the_same_clips(parts: Parts, ask_spoken: AskSpoken) -> None:
    prepared = prepare(ask_spoken(parts("deafer", "head", "clean"), parts("ears", "head")))
    pair = prepared.pair
    assert pair.base is not None
    arms: dict[Arm, object] = {"base": pair.base, "checkpoint": pair.checkpoint}
    recordings = choose_recordings(prepared.plan, "answer_audio")
    found = measure_turns(
        arms, recordings, prepared.plan.settings.load, Prompting(), Silent(), clock=ticking(0.5)
    )  # type: ignore[arg-type]
    assert len(recordings) == 20
    assert [turn.clip for turn in found["base"]] == [turn.clip for turn in found["checkpoint"]]
    assert {tuple(turn.seconds.items()) for turn in found["base"]} == {(("asr", 0.5), ("lm", 0.5))}
    assert {turn.total_s for turn in found["checkpoint"]} == {1.5}
    assert list(found["checkpoint"][0].seconds) == ["enhancer", "asr", "lm"]


def test_a_clip_that_a_system_fails_on_counts_in_no_arm(
    parts: Parts, ask_spoken: AskSpoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(ask_spoken(parts("ears", "head")))
    recordings = dict(list(choose_recordings(prepared.plan, "answer_audio").items())[:3])
    broken = next(iter(recordings.values()))[1].id
    planned = next(iter(recordings.values()))[0]
    assert planned.speech is not None
    heard = planned.speech.waveform

    def failing(key: str, *others: object) -> object:
        if key == broken:
            raise RuntimeError("gone")
        return heard(key, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(planned.speech, "waveform", failing)
    arms: dict[Arm, object] = {"checkpoint": prepared.pair.checkpoint}
    found = measure_turns(arms, recordings, prepared.plan.settings.load, Prompting(), Silent())  # type: ignore[arg-type]
    assert [turn.clip for turn in found["checkpoint"]] == list(recordings)[1:]


def test_a_component_that_cannot_be_loaded_is_a_line_and_no_traceback(
    parts: Parts, ask_spoken: AskSpoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> object:
        raise MemoryError("no room for both")

    monkeypatch.setattr("forgetbench.engine.turn_cost.load", fails)
    result = evaluate(prepare(ask_spoken(parts("ears", "duller"), parts("ears", "head"), cost=True)))
    cost = Cost.of(result.checkpoint.measured)
    assert cost is not None and cost.turns == ()
    assert cost.turns_not_measured == "the systems cannot be loaded together (MemoryError: no room for both)"
    console = Console(record=True, width=160)
    for line in cost_section(result.checkpoint.checkpoint, measured=cost):
        console.print(line)
    shown = console.export_text()
    assert "turn" in shown and "not measured: the systems cannot be loaded together" in shown


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_a_turn_is_asked_as_the_scored_requests_are(
    parts: Parts, ask_spoken: AskSpoken, mode: Literal["auto", "none"]
) -> None:
    system = parts("ears", "templated")
    evaluate(prepare(ask_spoken(system, settings=Settings(chat_template=mode), cost=True)))
    made = sys.modules[system.split("=")[-1].partition(":")[0]]
    assert len(made.rendered) == 48 + 21, "every request once, then the turns and a warm-up"
    assert set(made.rendered) == {mode == "auto"}


def test_a_run_with_cost_reports_the_turn(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = evaluate(prepare(ask_spoken(parts("ears", "duller"), parts("ears", "head"), cost=True)))
    assert result.base is not None
    costs = [Cost.of(document.measured) for document in (result.base, result.checkpoint)]
    assert all(cost is not None and len(cost.turns) == 20 for cost in costs)
    console = Console(record=True, width=120)
    section = cost_section(
        result.checkpoint.checkpoint, result.base.checkpoint, measured=costs[1], base_measured=costs[0]
    )
    for line in section:
        console.print(line)
    shown = console.export_text()
    assert "end of speech to first token" in shown and "20 clips" in shown

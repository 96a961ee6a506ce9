"""Times of both arms, taken in turn and never from a cache; memory of each arm alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine import cost, lazy_model
from forgetbench.engine.cost import choose_recordings, measure_cost, take_turns
from forgetbench.engine.forecast import forecast
from forgetbench.engine.plan import make_plan
from forgetbench.engine.progress import Silent
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.results import Result, compare_result
from forgetbench.engine.run import Prepared, Request, evaluate, prepare
from forgetbench.forgetting.cost import speed, time_ratio
from forgetbench.models.checkpoint import resolve
from forgetbench.models.component import Checkpoint, Component
from forgetbench.models.interface import Audio
from forgetbench.models.load import load
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost
from forgetbench.schema.run import Arm, RunDocument, Settings
from forgetbench.tasks.registry import load_registry

Ask = Callable[..., Request]

SOURCE = """
import time
from forgetbench.models.interface import Output
heard = []
class Ears:
    parameters, bytes = 1000, 4000
    def __init__(self, name, seconds, grows_by=0):
        self.name, self.seconds, self.grows_by = name, seconds, grows_by
    def transcribe(self, audio, *, language):
        heard.append((self.name, len(audio), len(audio[0].samples), float(audio[0].samples[0])))
        memory = bytearray(b"x") * self.grows_by
        time.sleep(self.seconds)
        return [Output(text="x", n_tokens=1, truncated=False) for _ in audio]
class Speaks(Ears):
    def transcribe_stream(self, audio, *, language):
        yield " "
        time.sleep(self.seconds / 2)
        yield "x"
        raise AssertionError("asked for more than the first output")
class Fails(Ears):
    def transcribe(self, audio, *, language):
        if len(audio[0].samples) == 8200:
            raise RuntimeError("a clip that it cannot hear")
        return super().transcribe(audio, language=language)
def fast(): return Ears("fast", 0.01)
def slow(): return Speaks("slow", 0.02)
def large(): return Ears("large", 0.0, 150_000_000)
def fails(): return Fails("fails", 0.0)
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"timed_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        SOURCE + "".join(f"\n{f}.fingerprint = '{f}'" for f in ("fast", "slow", "large", "fails"))
    )
    monkeypatch.chdir(tmp_path)
    return name


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process per arm, where a test is not about memory."""
    monkeypatch.setattr(cost, "peak_memory_bytes", lambda job: None)


def measure(prepared: Prepared) -> dict[Arm, Cost]:
    pair = prepared.pair
    assert pair.base is not None
    arms = {"base": pair.base, "checkpoint": pair.checkpoint}
    return measure_cost(arms, prepared.plan, prompting=Prompting(), progress=Silent())  # type: ignore[arg-type]


def only(measured: Cost | None) -> ComponentCost:
    assert measured is not None
    (component,) = measured.components
    return component


def outside_measured(document: RunDocument | None) -> dict[str, Any]:
    assert document is not None
    return document.model_dump(exclude={"measured"})


def costs(result: Result) -> tuple[Cost | None, Cost | None]:
    assert result.base is not None
    return Cost.of(result.base.measured), Cost.of(result.checkpoint.measured)


def test_the_arms_take_turns_and_no_arm_is_always_first() -> None:
    order: list[str] = []
    ticks = iter(range(100))

    def call(arm: str) -> Callable[[], bool]:
        return lambda: not order.append(arm)

    calls = [{"base": call("base"), "checkpoint": call("checkpoint")} for _ in range(3)]
    times = list(take_turns(calls, clock=lambda: float(next(ticks))))  # type: ignore[arg-type]
    assert order == ["base", "checkpoint", "checkpoint", "base", "base", "checkpoint"]
    assert times == [{"base": 1.0, "checkpoint": 1.0}] * 3


def test_a_call_that_nothing_came_out_of_has_no_time() -> None:
    (times,) = take_turns([{"base": lambda: True, "checkpoint": lambda: False}])
    assert set(times) == {"base"}


def test_twice_the_time_is_measured_as_about_twice_the_time(
    factories: str, ask: Ask, no_memory: None
) -> None:
    measured = measure(prepare(ask(f"{factories}:slow", "heard", base=f"{factories}:fast")))
    base, checkpoint = only(measured["base"]), only(measured["checkpoint"])
    ratio = time_ratio(base.clips, checkpoint.clips)
    assert ratio is not None and ratio.low is not None and ratio.high is not None
    assert ratio.n == cost.MOST_CLIPS and 1.3 < ratio.ratio < 3
    assert ratio.low < ratio.ratio < ratio.high
    figures = speed(base.clips)
    assert figures is not None and figures.latency_mean_s >= 0.01
    assert figures.rtfx == pytest.approx(figures.audio_s / sum(c.seconds for c in base.clips))


def test_clips_are_heard_alone_once_and_warmed_up_backwards(
    factories: str, ask: Ask, no_memory: None
) -> None:
    import importlib

    measure(prepare(ask(f"{factories}:slow", "heard", base=f"{factories}:fast")))
    heard = importlib.import_module(factories).heard
    assert {n for _, n, _, _ in heard} == {1}, "a batch of more than one"
    counted = [entry for entry in heard if entry[0] == "fast"][cost.WARM_UP :]
    assert len(counted) == len(set(counted)) == cost.MOST_CLIPS
    assert [name for name, *_ in heard[:8]] == ["fast", "slow"] * 2 + ["fast", "slow", "slow", "fast"]


def test_the_first_output_is_timed_only_where_a_model_streams(
    factories: str, ask: Ask, no_memory: None
) -> None:
    measured = measure(prepare(ask(f"{factories}:slow", "heard", base=f"{factories}:fast")))
    base, checkpoint = speed(only(measured["base"]).clips), speed(only(measured["checkpoint"]).clips)
    assert base is not None and base.first_output_s is None
    assert checkpoint is not None and checkpoint.first_output_s is not None
    assert 0.01 <= checkpoint.first_output_s < checkpoint.latency_mean_s


def test_a_clip_that_one_arm_fails_on_counts_in_neither(factories: str, ask: Ask, no_memory: None) -> None:
    settings = Settings(limit=20)
    prepared = prepare(ask(f"{factories}:fails", "heard", base=f"{factories}:fast", settings=settings))
    failing = next(s for s in prepared.plan.tasks[0].samples if s.size == 8200 / 16_000)
    measured = measure(prepared)
    for arm in measured.values():
        names = [clip.clip for clip in only(arm).clips]
        assert len(names) == 19 and f"heard, {failing.id}, babble 5 dB" not in names


def test_memory_is_each_arm_s_own_whatever_this_process_holds(factories: str, ask: Ask) -> None:
    ballast = bytearray(b"x") * 250_000_000
    request = ask(f"{factories}:large", "heard", base=f"{factories}:fast", settings=Settings(limit=2))
    measured = measure(prepare(request))
    base, checkpoint = (only(measured[arm]).peak_memory_bytes for arm in ("base", "checkpoint"))
    assert base is not None and checkpoint is not None
    assert base < len(ballast), "the memory of the process that asked was counted"
    assert 140_000_000 < checkpoint - base < 160_000_000


def test_recordings_are_a_seeded_part_each_heard_once(made: Path, ask: Ask) -> None:
    def chosen(seed: int) -> list[str]:
        plan = prepare(ask(made / "whisper", "heard", settings=Settings(seed=seed))).plan
        return list(choose_recordings(plan, "transcribe"))

    assert chosen(0) == chosen(0) != chosen(1)
    assert len(chosen(0)) == len(set(chosen(0))) == cost.MOST_CLIPS


def test_cost_changes_nothing_outside_measured_and_is_measured_anew_each_time(
    made: Path, ask: Ask, tmp_path: Path, no_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_models import make_whisper

    other = make_whisper(tmp_path / "other-whisper", seed=3)
    plain = evaluate(prepare(ask(other, "heard", base=str(made / "whisper"))))
    assert costs(plain) == (None, None)
    monkeypatch.setattr(lazy_model, "load", lambda *_, **__: pytest.fail("scores were computed anew"))
    timed, again = (
        evaluate(prepare(ask(other, "heard", base=str(made / "whisper"), cost=True))) for _ in range(2)
    )
    first, second = costs(timed), costs(again)
    assert first[0] is not None and first[1] is not None and second[1] is not None
    assert first[0].measured_at == first[1].measured_at != second[1].measured_at
    assert only(first[0]).clips != only(second[0]).clips
    for result in (timed, again):
        assert outside_measured(result.base) == outside_measured(plain.base)
        assert outside_measured(result.checkpoint) == outside_measured(plain.checkpoint)
        assert result.comparison == plain.comparison == compare_result(result.directory)
    assert costs(evaluate(prepare(ask(other, "heard", base=str(made / "whisper"))))) == second
    assert timed.checkpoint.measured["seconds"] == plain.checkpoint.measured["seconds"]


def test_cost_reads_and_writes_no_prediction(
    factories: str, ask: Ask, tmp_path: Path, no_memory: None
) -> None:
    measure(prepare(ask(f"{factories}:slow", "heard", base=f"{factories}:fast")))
    assert not list((tmp_path / "cache").rglob("*"))


def test_what_is_identical_or_does_not_hear_is_not_run(made: Path, ask: Ask, no_memory: None) -> None:
    system = f"asr={made / 'whisper'},lm={made / 'lora'}"
    base = f"asr={made / 'whisper'},lm={made / 'llama'}"
    measured = measure(prepare(ask(system, "choices,heard", base=base)))
    for arm in measured.values():
        said = {component.role: component.not_measured for component in arm.components}
        assert said == {"asr": "identical in both arms", "lm": "only hearing is timed"}
        assert all(component.clips == () for component in arm.components)


class Cleaner:
    """Returns what it hears, at the rate that it works at, in two pieces where it is asked to stream."""

    sampling_rate = 48_000

    def __init__(self) -> None:
        self.rates: set[int] = set()

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        self.rates |= {clip.sampling_rate for clip in audio}
        return list(audio)

    def enhance_stream(self, audio: Audio) -> Iterator[Audio]:
        yield Audio(samples=audio.samples[:0], sampling_rate=48_000)
        yield audio


def test_a_system_that_cleans_and_hears_is_planned_and_timed_part_by_part(
    made: Path, ask: Ask, tiny_tasks: Path, no_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_tasks import write_speech, write_task

    write_task(
        tiny_tasks, "cleaned", write_speech(tiny_tasks), kind="enhancement", metrics=["si_sdr"],
        primary="si_sdr", conditions=[{"noise": "white", "snr_db": 0}],
    )  # fmt: skip
    cleaner = Component(
        role="enhancer", source="cleaner", format="factory", path=None, architecture="Cleaner",
        fingerprint="0" * 64, capabilities=("enhance",), parameters=1_000_000,
    )  # fmt: skip
    ears = resolve(str(made / "whisper")).components["asr"]
    system = Checkpoint(name="system", components={"enhancer": cleaner, "asr": ears})
    plan = prepare(ask(made / "whisper", "heard")).plan
    selection = load_registry([tiny_tasks]).select(["heard", "cleaned"])
    able: frozenset[str] = frozenset({"enhance", "transcribe"})
    both = make_plan(selection, settings=plan.settings, capabilities={"base": able, "checkpoint": able})
    lines = {line.name: line for line in forecast(both, (system, system))}
    assert {name for name, line in lines.items() if line.seconds and not line.skipped} == {"heard", "cleaned"}
    loaded = Cleaner()
    monkeypatch.setattr(
        cost,
        "load",
        lambda component, settings: loaded if component is cleaner else load(component, settings),
    )
    measured = measure_cost({"checkpoint": system}, both, prompting=Prompting(), progress=Silent())
    enhancer, asr = measured["checkpoint"].components
    assert (enhancer.role, enhancer.capability, asr.role, asr.capability) == (
        "enhancer",
        "enhance",
        "asr",
        "transcribe",
    )
    assert {len(enhancer.clips), len(asr.clips)} == {cost.MOST_CLIPS}
    assert loaded.rates == {48_000}
    assert all(
        clip.clip.endswith("white 0 dB") and clip.first_output_s is not None for clip in enhancer.clips
    )
    assert all(clip.clip.endswith("babble 5 dB") and clip.first_output_s is None for clip in asr.clips)
    durations = {sample.id: sample.size for sample in both.tasks[0].samples}
    for clip in (*enhancer.clips, *asr.clips):
        assert clip.audio_s == pytest.approx(durations[clip.clip.split(", ")[1]])


def test_a_checkpoint_without_a_base_is_timed_alone(made: Path, ask: Ask, no_memory: None) -> None:
    result = evaluate(prepare(ask(made / "whisper", "heard", cost=True)))
    assert result.base is None
    assert len(only(Cost.of(result.checkpoint.measured)).clips) == cost.MOST_CLIPS


def test_arms_that_cannot_be_loaded_together_leave_the_scores_as_they_are(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_models import make_whisper

    def no_room(*_: Any) -> None:
        raise MemoryError("no room for two")

    monkeypatch.setattr(cost, "load", no_room)
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = evaluate(prepare(ask(other, "heard", base=str(made / "whisper"), cost=True)))
    assert result.checkpoint.tasks[0].status == "done"
    assert "no room for two" in only(Cost.of(result.checkpoint.measured)).not_measured


def clips(*seconds: float) -> list[ClipTime]:
    return [ClipTime(clip=str(i), audio_s=2.0, seconds=s) for i, s in enumerate(seconds)]


def test_equal_times_have_ratio_one_and_swapped_arms_the_inverse() -> None:
    fast, slow = clips(0.1, 0.2, 0.4), clips(0.2, 0.5, 0.7)
    same, there, back = time_ratio(fast, fast), time_ratio(fast, slow), time_ratio(slow, fast)
    assert same is not None and (same.ratio, same.low, same.high) == (1, 1, 1)
    assert there is not None and back is not None and there.high is not None and back.low is not None
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.high * back.low == pytest.approx(1)
    assert there.ratio == pytest.approx(math.prod([2, 2.5, 1.75]) ** (1 / 3))


def test_one_clip_has_a_ratio_but_no_interval_and_none_has_nothing() -> None:
    one = time_ratio(clips(0.1), clips(0.3))
    assert one is not None and (one.ratio, one.low, one.high) == (pytest.approx(3), None, None)
    assert time_ratio([], clips(0.1)) is None and speed([]) is None


def test_speed_is_pooled_and_the_95th_percentile_interpolated() -> None:
    figures = speed(clips(*[0.1] * 19, 2.1))
    assert figures is not None
    assert figures.rtfx == pytest.approx(40 / 4.0)
    assert figures.latency_mean_s == pytest.approx(0.2)
    assert figures.latency_p95_s == pytest.approx(0.1 + 0.05 * 2.0)


def test_a_block_of_another_version_is_as_good_as_none() -> None:
    assert Cost.of({"cost": {"seconds": 1}}) is None and Cost.of({}) is None

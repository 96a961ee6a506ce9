"""The cost of hearing (``--cost``): both arms loaded at once and timed in turn, clip by clip.

Nothing here reads or writes the prediction cache: a time is measured now, or missing.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import get_args

import numpy as np

from forgetbench.data.samples import Sample, choose
from forgetbench.engine.hearing import Clip, hear, hear_first_output, streams
from forgetbench.engine.peak_memory import Job, peak_memory_bytes
from forgetbench.engine.plan import Plan, PlannedTask
from forgetbench.engine.processes import available_cores
from forgetbench.engine.progress import Progress
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.turn_cost import measure_turns
from forgetbench.errors import SampleError
from forgetbench.models.component import Checkpoint, Component, Role
from forgetbench.models.interface import Audio, Enhancer, Model, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost, Heard, TurnTime
from forgetbench.schema.run import Arm
from forgetbench.schema.task import Capability

MOST_CLIPS = 20
"""Recordings that each component is timed on."""
WARM_UP = 2
"""Clips that each arm hears, backwards and untimed, before the first that counts."""

Call = Callable[[], bool]
"""Hears one clip; False where nothing came out, so that there is no time to tell."""
ByArm = Mapping[Arm, Clip]
"""The same recording for each arm, at its model's rate."""


def measure_cost(
    arms: Mapping[Arm, Checkpoint],
    plan: Plan,
    *,
    prompting: Prompting,
    progress: Progress,
) -> dict[Arm, Cost]:
    """Time every component that hears, and find its peak memory; one that both arms have is not run.

    Args:
        arms: Base and checkpoint, or the checkpoint alone.
        plan: Its speech tasks give the clips.
        prompting: How the requests of a turn reach the models that answer.
        progress: Told of every clip.
    """
    measured_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    found: dict[Arm, list[ComponentCost]] = {arm: [] for arm in arms}
    for role in arms["checkpoint"].components:
        for arm, costs in _measure_role(role, arms, plan, progress).items():
            found[arm] += costs
    turns, why_no_turns = _measure_turns(arms, plan, prompting, progress)
    return {
        arm: Cost(
            measured_at=measured_at,
            processors=available_cores(),
            components=tuple(costs),
            turns=turns.get(arm, ()),
            turns_not_measured=why_no_turns,
        )
        for arm, costs in found.items()
    }


def _measure_turns(
    arms: Mapping[Arm, Checkpoint],
    plan: Plan,
    prompting: Prompting,
    progress: Progress,
) -> tuple[dict[Arm, tuple[TurnTime, ...]], str]:
    """Time whole turns of the arms that answer speech, unless they are the same system; or say why not."""
    able = {arm: checkpoint for arm, checkpoint in arms.items() if checkpoint.assistant is not None}
    recordings = choose_recordings(plan, "answer_audio")
    systems = {arm: c.assistant for arm, c in able.items() if c.assistant is not None}
    if not recordings or not able or _all_the_same(systems):
        return {}, ""
    try:
        turns = measure_turns(able, recordings, plan.settings.load, prompting, progress)
    except Exception as error:  # the scores are there, and stay
        return {}, f"the systems cannot be loaded together ({type(error).__name__}: {error})"
    return turns, "" if any(turns.values()) else "no spoken request could be answered"


def take_turns(
    calls: Sequence[Mapping[Arm, Call]], *, clock: Callable[[], float] = time.perf_counter
) -> Iterator[dict[Arm, float]]:
    """Time each clip in every arm, in an order that turns with each clip.

    It is base, checkpoint, checkpoint, base, and so on. What slows the machine down meets both arms, and no
    arm always comes first.

    Args:
        calls: For each clip, how each arm hears it.
        clock: Returns seconds, and never goes back.

    Yields:
        Seconds by arm, clip by clip, without the arms that nothing came out of.
    """
    for position, clip in enumerate(calls):
        seconds: dict[Arm, float] = {}
        for arm in list(clip)[:: 1 if position % 2 == 0 else -1]:
            start = clock()
            if clip[arm]():
                seconds[arm] = clock() - start
        yield seconds


def choose_recordings(plan: Plan, capability: Capability) -> dict[str, tuple[PlannedTask, Sample]]:
    """Return a seeded part of the recordings of the selected tasks, each in one of its conditions."""
    recordings: dict[str, dict[str, tuple[PlannedTask, Sample]]] = {}
    for planned in plan.tasks:
        if planned.speech is None or planned.skipped or planned.task.capability != capability:
            continue
        for sample in planned.samples:
            if sample.error is None:
                name = ", ".join(filter(None, (planned.task.name, sample.id, sample.condition_label)))
                recordings.setdefault(f"{planned.dataset} {sample.id}", {})[name] = (planned, sample)
    seed = plan.settings.seed
    chosen = [recordings[key] for key in choose(list(recordings), MOST_CLIPS, seed)]
    return {name: heard[name] for heard in chosen for name in choose(list(heard), 1, seed)}


def _measure_role(
    role: Role, arms: Mapping[Arm, Checkpoint], plan: Plan, progress: Progress
) -> dict[Arm, list[ComponentCost]]:
    checkpoint = arms["checkpoint"]
    served = [c for c in get_args(Heard) if checkpoint.component_for(c) is checkpoint.components[role]]
    components = {arm: c for arm, owner in arms.items() if (c := owner.components.get(role)) is not None}
    identical = _all_the_same(components)
    if identical or not served:
        reason = "identical in both arms" if identical else "only hearing is timed"
        return {arm: [ComponentCost(role=role, not_measured=reason)] for arm in components}
    costs: dict[Arm, list[ComponentCost]] = {arm: [] for arm in components}
    for capability in served:
        able = {arm: c for arm, c in components.items() if capability in c.capabilities}
        for arm, cost in _measure(able, capability, plan, progress).items():
            costs[arm].append(cost)
    return costs


def _all_the_same(components: Mapping[Arm, Component]) -> bool:
    return len(components) > 1 and len({component.fingerprint for component in components.values()}) == 1


def _measure(
    components: Mapping[Arm, Component], capability: Heard, plan: Plan, progress: Progress
) -> dict[Arm, ComponentCost]:
    """Measure one component of each arm on the same clips."""
    role = components["checkpoint"].role
    measured = partial(ComponentCost, role=role, capability=capability)
    try:
        models = {arm: load(component, plan.settings.load) for arm, component in components.items()}
    except Exception as error:  # the scores are there, and stay
        reason = f"the arms cannot be loaded together ({type(error).__name__}: {error})"
        return {arm: measured(not_measured=reason) for arm in components}
    clips = _clips(choose_recordings(plan, capability), models, capability)
    times = _times(clips, models, f"cost: {role}", progress)
    del models
    gc.collect()
    if not times["checkpoint"]:
        reason = (
            "no recording of the selected tasks could be heard" if clips else "no task to hear was selected"
        )
        return {arm: measured(not_measured=reason) for arm in components}
    peaks: dict[Arm, int | None] = {}
    for arm, component in components.items():
        progress.say(f"Measuring peak memory of {component.source} in a process of its own")
        heard = [clip[arm] for clip in clips]
        peaks[arm] = peak_memory_bytes(Job(component=component, settings=plan.settings.load, clips=heard))
    return {arm: measured(clips=tuple(times[arm]), peak_memory_bytes=peaks[arm]) for arm in components}


def _clips(
    recordings: Mapping[str, tuple[PlannedTask, Sample]], models: Mapping[Arm, Model], capability: Heard
) -> list[ByArm]:
    """Make the audio of each arm beforehand, so that decoding and resampling are in no time."""
    clips: list[ByArm] = []
    for name, (planned, sample) in recordings.items():
        assert planned.speech is not None
        language = getattr(planned.task, "language", "")
        clip: dict[Arm, Clip] = {}
        try:
            for arm, model in models.items():
                assert isinstance(model, SpeechRecogniser | Enhancer)
                rate = model.sampling_rate
                waveform = planned.speech.waveform(sample.id, sample.condition, rate)
                audio = Audio(samples=waveform, sampling_rate=rate)
                clip[arm] = Clip(name=name, capability=capability, audio=audio, language=language)
        except SampleError:
            continue
        clips.append(clip)
    return clips


def _times(
    clips: Sequence[ByArm], models: Mapping[Arm, Model], label: str, progress: Progress
) -> dict[Arm, list[ClipTime]]:
    """Return the times of the clips that every arm has heard."""
    for clip in clips[:WARM_UP]:
        for arm, model in models.items():
            _attempt(hear, model, _backwards(clip[arm]), progress)
    seconds: list[dict[Arm, float]] = []
    progress.begin(label, len(clips), 0)
    for taken in take_turns(_calls(hear, models, clips, progress)):
        seconds.append(taken)
        progress.advance(1)
    progress.end()
    streaming = {arm: m for arm, m in models.items() if clips and streams(m, clips[0][arm].capability)}
    firsts = take_turns(_calls(hear_first_output, streaming, clips, progress))
    times: dict[Arm, list[ClipTime]] = {arm: [] for arm in models}
    for clip, taken, first in zip(clips, seconds, firsts, strict=True):
        for arm in models if taken.keys() == models.keys() else ():
            times[arm].append(
                ClipTime(
                    clip=clip[arm].name,
                    audio_s=clip[arm].duration_s,
                    seconds=taken[arm],
                    first_output_s=first.get(arm),
                )
            )
    return times


def _calls(
    hear_one: Callable[[Model, Clip], bool],
    models: Mapping[Arm, Model],
    clips: Sequence[ByArm],
    progress: Progress,
) -> list[dict[Arm, Call]]:
    return [
        {arm: partial(_attempt, hear_one, model, clip[arm], progress) for arm, model in models.items()}
        for clip in clips
    ]


def _attempt(hear_one: Callable[[Model, Clip], bool], model: Model, clip: Clip, progress: Progress) -> bool:
    """Hear a clip; one that a model fails on costs that clip, in both arms."""
    try:
        return hear_one(model, clip)
    except Exception as error:
        progress.say(f"cost, {clip.name}: {type(error).__name__}: {error}")
        return False


def _backwards(clip: Clip) -> Clip:
    """Return a clip of the same length and level that is never the one that is timed."""
    samples = np.ascontiguousarray(clip.audio.samples[::-1])
    return replace(clip, audio=Audio(samples=samples, sampling_rate=clip.audio.sampling_rate))

"""Latency of a turn (``--cost``): from the end of a spoken request to the first token of the answer.

The whole request is at hand when the clock starts, and each component waits for the one before it, as in a
system that does not stream. Making a clip and resampling between components are in no time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from forgetbench.data.audio import resample
from forgetbench.data.samples import Sample
from forgetbench.engine.assistant import reading
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.prompting import Prompting, prompt_of, spoken_request
from forgetbench.engine.returned_audio import as_mono
from forgetbench.models.component import Checkpoint, Component, Role
from forgetbench.models.interface import (
    AnswersAudio,
    Audio,
    Enhancer,
    GenerateRequest,
    Model,
    SpeechRecogniser,
    TextModel,
)
from forgetbench.models.load import load
from forgetbench.schema.cost import TurnTime
from forgetbench.schema.run import Arm, LoadSettings
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import SpokenQuestion, SpokenRefusal

Chain = Sequence[tuple[Role, Model]]
Recordings = Mapping[str, tuple[PlannedTask, Sample]]


def measure_turns(
    arms: Mapping[Arm, Checkpoint],
    recordings: Recordings,
    settings: LoadSettings,
    prompting: Prompting,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Arm, tuple[TurnTime, ...]]:
    """Time the turns of every arm, clip by clip, in an order that turns with each clip.

    Args:
        arms: Base and checkpoint, or the checkpoint alone; each can answer speech.
        recordings: Spoken samples by name.
        settings: How the models are loaded; a component that both arms share is loaded once.
        prompting: How requests reach the models that answer, as where they are scored.
        progress: Told of every clip, and of those that a system fails on: they count in no arm.
        clock: Returns seconds, and never goes back.
    """
    chains = _load(arms, settings)
    times: dict[Arm, list[TurnTime]] = {arm: [] for arm in arms}
    progress.begin("cost: turn", len(recordings), 0)
    for position, (name, (planned, sample)) in enumerate(recordings.items()):
        order = list(chains)[:: 1 if position % 2 == 0 else -1]
        try:
            if position == 0:
                for arm in order:
                    _turn(chains[arm], planned, sample, prompting, clock)
            found = {arm: _turn(chains[arm], planned, sample, prompting, clock) for arm in order}
        except Exception as error:  # the scores are there, and stay
            progress.say(f"cost, {name}: {type(error).__name__}: {error}")
            continue
        for arm, seconds in found.items():
            times[arm].append(TurnTime(clip=name, audio_s=sample.size, seconds=seconds))
        progress.advance(1)
    progress.end()
    del chains
    gc.collect()
    return {arm: tuple(found) for arm, found in times.items()}


def _load(arms: Mapping[Arm, Checkpoint], settings: LoadSettings) -> dict[Arm, Chain]:
    loaded: dict[str, Model] = {}
    chains: dict[Arm, Chain] = {}
    for arm, checkpoint in arms.items():
        assistant = checkpoint.assistant
        assert assistant is not None
        parts: tuple[Component, ...] = assistant.parts or (assistant,)
        for part in parts:
            if part.fingerprint not in loaded:
                loaded[part.fingerprint] = load(part, settings)
        chains[arm] = [(part.role, loaded[part.fingerprint]) for part in parts]
    return chains


def _turn(
    chain: Chain, planned: PlannedTask, sample: Sample, prompting: Prompting, clock: Callable[[], float]
) -> dict[Role, float]:
    """Return the seconds of each component for one clip."""
    speech = planned.speech
    assert speech is not None
    rate = _rate(chain[0][1])
    heard: Audio | str = Audio(samples=speech.waveform(sample.id, sample.condition, rate), sampling_rate=rate)
    seconds: dict[Role, float] = {}
    for role, model in chain:
        step = _step(role, model, planned, sample, heard, prompting)
        start = clock()
        heard = step()
        seconds[role] = clock() - start
    return seconds


def _step(
    role: Role,
    model: Model,
    planned: PlannedTask,
    sample: Sample,
    heard: Audio | str,
    prompting: Prompting,
) -> Callable[[], Audio | str]:
    """Return the work of one component, its input made ready."""
    task = planned.task
    assert isinstance(task, SpokenQuestion | SpokenRefusal)
    if isinstance(heard, str):
        assert isinstance(model, TextModel)
        read = reading(replace(planned, samples=(sample,)), [Answer(prediction=RawPrediction(text=heard))])
        return lambda: _first_token(model, read, prompting)
    audio = _at(heard, _rate(model))
    if role == "enhancer":
        assert isinstance(model, Enhancer)
        rate = model.sampling_rate
        return lambda: as_mono(model.enhance([audio])[0], sampling_rate=rate).audio
    if role == "asr":
        assert isinstance(model, SpeechRecogniser)
        return lambda: model.transcribe([audio], language=task.language)[0].text
    assert isinstance(model, AnswersAudio)
    request = replace(spoken_request(task, sample, audio, prompting), max_new_tokens=1)
    return lambda: model.answer_audio([request])[0].text


def _first_token(model: TextModel, read: PlannedTask, prompting: Prompting) -> str:
    prompt, rendered = prompt_of(read, read.samples[0], model, prompting)
    return model.generate([GenerateRequest(prompt=prompt, max_new_tokens=1, rendered=rendered)])[0].text


def _rate(model: Model) -> int:
    return int(getattr(model, "sampling_rate", 16_000))


def _at(audio: Audio, rate: int) -> Audio:
    samples = (
        np.nan_to_num(resample(audio.samples, audio.sampling_rate, rate)) if len(audio.samples) else None
    )
    return Audio(
        samples=np.zeros(rate // 10, dtype=np.float32) if samples is None else samples, sampling_rate=rate
    )

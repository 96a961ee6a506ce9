"""What a model hears of the recordings of a batch, and what it makes of them, by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forgetbench.data.audio import listenable, resample
from forgetbench.data.samples import Sample
from forgetbench.engine.audio_store import get, put
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.returned_audio import as_mono
from forgetbench.errors import SampleError
from forgetbench.models.interface import (
    Audio,
    Output,
)
from forgetbench.schema.sample import RawPrediction

Made = TypeVar("Made")
"""What a model makes of one recording."""


def hear(
    planned: PlannedTask, samples: Sequence[Sample], sampling_rate: int, *, column: str | None = None
) -> tuple[dict[int, Audio], dict[int, Answer]]:
    """Return what is heard of each sample, and the answers of those that cannot be, by position."""
    assert planned.speech is not None
    heard: dict[int, Audio] = {}
    answers: dict[int, Answer] = {}
    for position, sample in enumerate(samples):
        try:
            waveform = _waveform(planned, sample, sampling_rate, column)
        except SampleError as error:
            answers[position] = Answer(prediction=None, error=error.code)
        else:
            heard[position] = Audio(samples=waveform, sampling_rate=sampling_rate)
    return heard, answers


def _waveform(
    planned: PlannedTask, sample: Sample, sampling_rate: int, column: str | None
) -> NDArray[np.float32]:
    """Return a recording as it is heard, or what an enhancer made of it: what is no number is silence."""
    assert planned.speech is not None
    file = planned.enhanced.get(sample.content)
    if file is None:
        return planned.speech.waveform(sample.id, sample.condition, sampling_rate, column=column)
    audio = get(file)
    if not len(audio.samples):
        return np.zeros(sampling_rate // 10, dtype=np.float32)
    return resample(listenable(audio.samples), audio.sampling_rate, sampling_rate)


def converted_from_hz(planned: PlannedTask, sample: Sample, sampling_rate: int) -> int | None:
    """Return the rate that a recording was stored at, if it is not the model's."""
    assert planned.speech is not None
    if sample.content in planned.enhanced:
        return None
    source_rate = planned.speech.source_rate(sample.id)
    return source_rate if source_rate != sampling_rate else None


def heard_by(
    planned: PlannedTask,
    samples: Sequence[Sample],
    sampling_rate: int,
    ask: Callable[[Sequence[Audio]], Sequence[Made]],
    prediction: Callable[[Made], RawPrediction],
) -> list[Answer]:
    """Return what a model makes of the recordings of a batch, each output as a prediction."""
    heard, answers = hear(planned, samples, sampling_rate)
    outputs = ask(list(heard.values())) if heard else []
    for position, output in zip(heard, outputs, strict=True):
        converted = converted_from_hz(planned, samples[position], sampling_rate)
        answers[position] = Answer(prediction=prediction(output), resampled_from_hz=converted)
    return [answers[position] for position in range(len(samples))]


def kept(
    planned: PlannedTask,
    samples: Sequence[Sample],
    positions: Sequence[int],
    outputs: Sequence[Audio],
    sampling_rate: int,
) -> dict[int, Answer]:
    """Return the audio that a model made of recordings, stored, by position."""
    answers = {}
    for position, output in zip(positions, outputs, strict=True):
        mono, n_channels = as_mono(output, sampling_rate=sampling_rate)
        converted = converted_from_hz(planned, samples[position], sampling_rate)
        answers[position] = Answer(
            prediction=RawPrediction(audio=put(mono, n_channels=n_channels)), resampled_from_hz=converted
        )
    return answers


def text_prediction(output: Output) -> RawPrediction:
    """Return what a model wrote; a lone surrogate is no character, and an answer all the same."""
    text = output.text
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return RawPrediction(text=text, n_tokens=(output.n_tokens,), truncated=output.truncated)

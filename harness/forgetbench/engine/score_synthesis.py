"""Scoring synthetic speech by what a fixed recogniser hears of it: loaded, asked, and let go."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import numpy as np

from forgetbench.data.audio import resample
from forgetbench.engine.audio_store import get
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.score import Scored
from forgetbench.errors import SampleError
from forgetbench.metrics.asr import asr_stats
from forgetbench.models.interface import Audio, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.schema.run import Settings
from forgetbench.schema.sample import AudioFile
from forgetbench.schema.task import Synthesis


def score_synthesis(
    planned: PlannedTask, answers: Sequence[Answer], *, settings: Settings, progress: Progress
) -> list[Scored]:
    """Return the word errors of a recogniser on every answer, in order; no audio is heard as silence.

    Args:
        planned: A synthesis task, its recogniser found.
        answers: One per sample.
        settings: Type and device of the recogniser, and how many clips it hears at a time.
        progress: Told that it is loaded.

    Raises:
        CheckpointError: It cannot be loaded.
    """
    task = planned.task
    assert isinstance(task, Synthesis) and planned.recogniser is not None
    scored = [Scored(error=answer.error) for answer in answers]
    spoken = {i: a.prediction.audio for i, a in enumerate(answers) if a.prediction and a.prediction.audio}
    if not spoken:
        return scored
    progress.say(f"{task.name}: heard by {planned.recogniser.source}")
    model = load(planned.recogniser, settings.load)
    assert isinstance(model, SpeechRecogniser)
    clips: dict[int, Audio] = {}
    for position, file in spoken.items():
        try:
            clips[position] = _heard(file, model.sampling_rate)
        except SampleError as lost:
            scored[position] = Scored(error=lost.code)
    positions = list(clips)
    for start in range(0, len(positions), settings.batch_size):
        batch = positions[start : start + settings.batch_size]
        outputs = model.transcribe([clips[i] for i in batch], language=task.language)
        for position, output in zip(batch, outputs, strict=True):
            reference = planned.samples[position].reference
            stats = asr_stats(reference, output.text, normaliser=task.normaliser)
            scored[position] = Scored(stats={name: stats[name] for name in ("wer", "cer", "wer_raw")})
    del model
    gc.collect()
    return scored


def _heard(file: AudioFile, rate: int) -> Audio:
    audio = get(file)
    if not len(audio.samples):
        return Audio(samples=np.zeros(rate // 10, dtype=np.float32), sampling_rate=rate)
    finite = np.nan_to_num(audio.samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return Audio(samples=resample(finite, audio.sampling_rate, rate), sampling_rate=rate)

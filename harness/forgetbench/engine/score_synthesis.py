"""Scoring speech that a model made, by what a fixed recogniser hears of it and by whose voice it is."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence

import numpy as np

from forgetbench.data.audio import resample
from forgetbench.engine.audio_store import get
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.score import Scored, Stats
from forgetbench.errors import SampleError
from forgetbench.metrics.asr import asr_stats
from forgetbench.metrics.speaker import cloned, speaker_similarity
from forgetbench.metrics.translation import translation_stats
from forgetbench.models.interface import Audio, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.schema.run import Settings
from forgetbench.schema.sample import AudioFile
from forgetbench.schema.task import Conversion, HeardByRecogniser, VoiceCloning

BY_VOICE = frozenset({"speaker_similarity", "cloned"})
"""Metrics that ask whose voice it is."""
BY_MEANING = frozenset({"sentence_bleu", "sentence_chrf"})


def score_synthesis(
    planned: PlannedTask, answers: Sequence[Answer], *, settings: Settings, progress: Progress
) -> list[Scored]:
    """Return the scores of every answer, in order; no audio is heard as silence, and by nobody's voice.

    Args:
        planned: A task whose answers are speech, its recogniser found.
        answers: One per sample.
        settings: Type and device of the recogniser, and how many clips it hears at a time.
        progress: Told that it is loaded.

    Raises:
        CheckpointError: The recogniser or the speaker encoder cannot be loaded.
    """
    task = planned.task
    assert isinstance(task, HeardByRecogniser)
    scored = [Scored(error=answer.error) for answer in answers]
    spoken: dict[int, Audio] = {}
    for position, answer in enumerate(answers):
        if answer.prediction is not None and answer.prediction.audio is not None:
            try:
                spoken[position] = _heard(answer.prediction.audio)
            except SampleError as lost:
                scored[position] = Scored(error=lost.code)
    if not spoken:
        return scored
    texts = _transcripts(planned, spoken, settings, progress)
    similar = _similarities(planned, spoken) if BY_VOICE.intersection(task.metrics) else {}
    for position, text in texts.items():
        stats = _stats(task, planned.samples[position].reference, text)
        if position in similar:
            errors, n_words = stats["wer"]  # type: ignore[misc]
            similarity = similar[position]
            stats["speaker_similarity"] = similarity
            stats["cloned"] = cloned(similarity=similarity, errors=errors, n_words=n_words)
        found = {name: value for name, value in stats.items() if name in task.metrics or name in _BESIDE}
        scored[position] = Scored(stats=found)
    return scored


_BESIDE = ("wer", "cer", "wer_raw")


def _stats(task: HeardByRecogniser, reference: str, text: str) -> Stats:
    counted = asr_stats(reference, text, normaliser=task.normaliser)
    stats: Stats = {name: counted[name] for name in _BESIDE}
    return {**stats, **translation_stats(reference, text)} if BY_MEANING.intersection(task.metrics) else stats


def _transcripts(
    planned: PlannedTask, spoken: Mapping[int, Audio], settings: Settings, progress: Progress
) -> dict[int, str]:
    """Return what the recogniser writes of each clip, by position; the model is loaded and let go."""
    task = planned.task
    assert isinstance(task, HeardByRecogniser) and planned.recogniser is not None
    progress.say(f"{task.name}: heard by {planned.recogniser.source}")
    model = load(planned.recogniser, settings.load)
    assert isinstance(model, SpeechRecogniser)
    found: dict[int, str] = {}
    positions = list(spoken)
    for start in range(0, len(positions), settings.batch_size):
        batch = positions[start : start + settings.batch_size]
        clips = [_at_rate(spoken[i], model.sampling_rate) for i in batch]
        outputs = model.transcribe(clips, language=task.language)
        found |= {position: output.text for position, output in zip(batch, outputs, strict=True)}
    del model
    gc.collect()
    return found


def _similarities(planned: PlannedTask, spoken: Mapping[int, Audio]) -> dict[int, float]:
    """Return the likeness of each voice to the one that was wanted, by position."""
    from forgetbench.models.speaker_encoder import SpeakerEncoder

    task, speech = planned.task, planned.speech
    assert isinstance(task, Conversion | VoiceCloning) and speech is not None
    column = task.voice if isinstance(task, Conversion) else None
    encoder = SpeakerEncoder()
    rate = encoder.sampling_rate
    found = {}
    for position, clip in spoken.items():
        wanted = speech.waveform(planned.samples[position].id, None, rate, column=column)
        found[position] = speaker_similarity(
            encoder.embed(wanted), encoder.embed(_at_rate(clip, rate).samples)
        )
    return found


def _heard(file: AudioFile) -> Audio:
    audio = get(file)
    if not len(audio.samples):
        return Audio(
            samples=np.zeros(audio.sampling_rate // 10, np.float32), sampling_rate=audio.sampling_rate
        )
    finite = np.nan_to_num(audio.samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return Audio(samples=finite, sampling_rate=audio.sampling_rate)


def _at_rate(audio: Audio, rate: int) -> Audio:
    return Audio(samples=resample(audio.samples, audio.sampling_rate, rate), sampling_rate=rate)

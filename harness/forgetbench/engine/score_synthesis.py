"""Scoring speech that a model made: what a recogniser hears of it (once), whose voice it is, its quality."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forgetbench.data.audio import is_silent, listenable, resample
from forgetbench.data.samples import Sample
from forgetbench.engine.audio_store import get, put
from forgetbench.engine.journal import Answer, Journal
from forgetbench.engine.one_by_one import whole_or_one_by_one
from forgetbench.engine.plan import ENGINE_VERSION, HEARING_VERSION, PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.recordings import text_prediction
from forgetbench.engine.score import SCORING_ERROR, Scored, Stats
from forgetbench.errors import SampleError
from forgetbench.metrics.asr import asr_stats, share_heard
from forgetbench.metrics.diagnostics import looping
from forgetbench.metrics.enhancement import speech_quality_without_reference
from forgetbench.metrics.speaker import cloned, speaker_similarity
from forgetbench.metrics.translation import translation_stats
from forgetbench.metrics.wordless import RATE, has_words, invented, wordless_sounds
from forgetbench.models.interface import Audio, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.schema.run import Settings
from forgetbench.schema.sample import AudioFile, RawPrediction
from forgetbench.schema.task import HeardByRecogniser, VoiceCloning

if TYPE_CHECKING:
    from forgetbench.models.speaker_encoder import SpeakerEncoder

BY_VOICE = frozenset({"speaker_similarity", "cloned"})
"""Metrics that ask whose voice it is."""
BY_MEANING = frozenset({"sentence_bleu", "sentence_chrf"})


def score_synthesis(
    planned: PlannedTask,
    answers: Sequence[Answer],
    *,
    predictions: Path,
    settings: Settings,
    progress: Progress,
) -> list[Scored]:
    """Return the scores of every answer, in order.

    No audio and silence are heard as nothing: no recogniser is asked about them, for many invent words there.

    Args:
        planned: A task whose answers are speech, its recogniser found.
        answers: One per sample.
        predictions: The journal of the answers; that of what is heard of them lies beside it.
        settings: Type and device of the recogniser, and how many clips it hears at a time.
        progress: Told that it is loaded.

    Raises:
        CheckpointError: The recogniser or the speaker encoder cannot be loaded.
    """
    task = planned.task
    assert isinstance(task, HeardByRecogniser)
    scored = [Scored(error=answer.error) for answer in answers]
    audio = {
        position: answer.prediction.audio
        for position, answer in enumerate(answers)
        if answer.prediction is not None and answer.prediction.audio is not None
    }
    spoken: dict[int, Audio] = {}
    for position, file in audio.items():
        try:
            spoken[position] = _heard(file)
        except SampleError as lost:
            scored[position] = Scored(error=lost.code)
    if not spoken:
        return scored
    clips = {i: (audio[i].sha256, clip) for i, clip in spoken.items() if not is_silent(clip.samples)}
    wordless = _wordless() if clips and "cloned" in task.metrics else []
    with Journal.open(_transcripts_path(planned, predictions, settings)) as journal:
        _hear(
            planned,
            [*_batches(list(clips.values()), settings.batch_size), wordless],
            journal,
            settings,
            progress,
        )
        texts = {i: _text(journal, clips[i][0]) if i in clips else "" for i in spoken}
        of_wordless = [text for name, _ in wordless if (text := _text(journal, name)) is not None]
    no_words = invented(of_wordless, normaliser=task.normaliser)
    encoder = _speaker_encoder() if BY_VOICE.intersection(task.metrics) else None
    for position, clip in spoken.items():
        sample, text = planned.samples[position], texts[position]
        scored[position] = _scored(planned, sample, text, clip, encoder, no_words)
    return scored


_BESIDE = ("wer", "cer", "wer_raw", "degenerate")


def _scored(
    planned: PlannedTask,
    sample: Sample,
    text: str | None,
    clip: Audio,
    encoder: SpeakerEncoder | None,
    no_words: Collection[str],
) -> Scored:
    """Return the scores of one clip by what was heard of it; None where the recogniser failed on it."""
    task = planned.task
    assert isinstance(task, HeardByRecogniser)
    if text is None:
        return Scored(error=SCORING_ERROR)
    stats: Stats = {**asr_stats(sample.reference, text, normaliser=task.normaliser)}
    if BY_MEANING.intersection(task.metrics):
        stats |= translation_stats(sample.reference, text)
    if "dnsmos" in task.metrics:
        stats["dnsmos"] = speech_quality_without_reference(clip.samples, sampling_rate=clip.sampling_rate)
    try:
        if encoder is not None:
            stats["speaker_similarity"] = similarity = _similarity(planned, sample, clip, encoder)
            if "cloned" in task.metrics:
                heard = share_heard(sample.reference, text, normaliser=task.normaliser)
                stats["cloned"] = cloned(similarity=similarity, heard=heard)
                words = has_words(text, no_words=no_words, normaliser=task.normaliser)
                stats["degenerate"] = float(not words or looping(text))
    except SampleError as unusable:
        return Scored(error=unusable.code)
    kept = {name: stats[name] for name in stats if name in task.metrics or name in _BESIDE}
    return Scored(stats=kept, heard=text)


Clips = list[tuple[str, Audio]]
"""Each with the sha256 of its file."""


def _wordless() -> Clips:
    clips = [Audio(samples=samples, sampling_rate=RATE) for samples in wordless_sounds()]
    return [(put(clip).sha256, clip) for clip in clips]


def _batches(clips: Clips, size: int) -> list[Clips]:
    return [clips[start : start + size] for start in range(0, len(clips), size)]


def _hear(
    planned: PlannedTask,
    batches: Sequence[Clips],
    journal: Journal,
    settings: Settings,
    progress: Progress,
) -> None:
    """Have the recogniser write what the journal lacks, batch by whole batch; it is loaded and let go."""
    task = planned.task
    assert isinstance(task, HeardByRecogniser) and planned.recogniser is not None
    missing = [batch for batch in batches if any(name not in journal.answers for name, _ in batch)]
    if not missing:
        return
    progress.say(f"{task.name}: heard by {planned.recogniser.source}")
    model = load(planned.recogniser, settings.load)
    assert isinstance(model, SpeechRecogniser)

    def failed(error: Exception) -> None:
        progress.say(f"{task.name}, the recogniser: {type(error).__name__}: {error}")

    for batch in missing:
        clips = [_at_rate(clip, model.sampling_rate) for _, clip in batch]
        heard = whole_or_one_by_one(partial(_written, model, task.language), clips, failed=failed)
        said = zip(batch, heard, strict=True)
        journal.write({name: Answer(prediction=text) for (name, _), text in said if text is not None})
    del model
    gc.collect()


def _written(model: SpeechRecogniser, language: str, clips: Sequence[Audio]) -> list[RawPrediction]:
    return [text_prediction(output) for output in model.transcribe(clips, language=language)]


def _text(journal: Journal, name: str) -> str | None:
    """Return what the recogniser wrote of a clip; None where it failed on it."""
    answer = journal.answers.get(name)
    return answer.prediction.text if answer is not None and answer.prediction is not None else None


def _transcripts_path(planned: PlannedTask, predictions: Path, settings: Settings) -> Path:
    """Return the journal for transcripts: its name holds all that decides them beside the audio."""
    task = planned.task
    assert isinstance(task, HeardByRecogniser) and planned.recogniser is not None
    load = settings.load.model_dump(mode="json")
    # In half precision the company in a batch can change a transcript.
    batch_size = None if settings.load.dtype == "float32" else settings.batch_size
    decides = [
        ENGINE_VERSION,
        HEARING_VERSION,
        planned.recogniser.fingerprint,
        task.language,
        load,
        batch_size,
    ]
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    return predictions.with_name(f"{predictions.stem}.heard-{digest}.jsonl")


def _speaker_encoder() -> SpeakerEncoder:
    from forgetbench.models.speaker_encoder import SpeakerEncoder

    return SpeakerEncoder()


def _similarity(planned: PlannedTask, sample: Sample, clip: Audio, encoder: SpeakerEncoder) -> float:
    """Return the likeness of a voice to the one that was wanted.

    Raises:
        SampleError: ``unusable_reference``: the voice that was wanted is silent.
    """
    task, speech, rate = planned.task, planned.speech, encoder.sampling_rate
    assert isinstance(task, HeardByRecogniser) and speech is not None
    column = None if isinstance(task, VoiceCloning) else task.voice
    wanted = encoder.embed(speech.waveform(sample.id, None, rate, column=column))
    if not np.any(wanted):
        raise SampleError("unusable_reference", sample.id, "has a voice that is silent")
    return speaker_similarity(wanted, encoder.embed(_at_rate(clip, rate).samples))


def _heard(file: AudioFile) -> Audio:
    audio = get(file)
    if not len(audio.samples):
        return Audio(
            samples=np.zeros(audio.sampling_rate // 10, np.float32), sampling_rate=audio.sampling_rate
        )
    return Audio(samples=listenable(audio.samples), sampling_rate=audio.sampling_rate)


def _at_rate(audio: Audio, rate: int) -> Audio:
    return Audio(samples=resample(audio.samples, audio.sampling_rate, rate), sampling_rate=rate)

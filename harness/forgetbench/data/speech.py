"""The recordings of a task, and what a model hears of them: resampled, in the task's conditions."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from forgetbench.data.audio import UNKNOWN_FRAMES, read_audio, resample
from forgetbench.data.noise import BABBLE_TALKERS
from forgetbench.data.recording import recording_bytes
from forgetbench.data.scene import make_scene
from forgetbench.data.waveform_cache import WaveformCache
from forgetbench.errors import SampleError
from forgetbench.metrics.audiogram import Audiogram
from forgetbench.schema.task import (
    Condition,
    Conversion,
    Enhancement,
    Separation,
    SpeechTask,
    Synthesis,
    VoiceCloning,
)

Waveform = NDArray[np.float32]

MAKES_SOUND = (Enhancement, Separation, Conversion, VoiceCloning)
"""Tasks whose model hears what the microphone picks up: a listener's loss and hearing aid come after it."""
OTHERS = {"babble": BABBLE_TALKERS, "speech_shaped": 50}
"""How many recordings by others a noise is made of."""


class SpeechSet:
    """All recordings of a task's file, by sample id.

    Noise that is made of speech comes from the whole file, so that ``--limit`` changes no waveform.

    Args:
        task: The definition.
        rows: Rows by sample id.
        folder: Where relative audio paths start.
        task_folder: Where relative paths of the conditions start.
        root: Folder that relative audio paths stay in; None for anywhere.
        seed: Of the conditions, together with sample id and condition.

    Raises:
        DataError: A condition needs recordings, a listener or a room that cannot be had.
        MissingPackageError: A condition needs a package that is not installed.
    """

    def __init__(
        self,
        task: SpeechTask | Synthesis,
        rows: Mapping[str, Mapping[str, Any]],
        folder: Path,
        *,
        task_folder: Path,
        seed: int,
        root: Path | None = None,
    ) -> None:
        self._task, self._rows, self._folder, self._seed = task, rows, folder, seed
        self._root = root
        self._refused: dict[str, str] = {}
        self._scenes = {
            condition: make_scene(condition, task_folder, sampling_rate=task.sampling_rate, seed=seed)
            for condition in getattr(task, "conditions", ())
        }
        self._source_rates: dict[str, int] = {}
        self._cache = WaveformCache()

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {key: self._digest(key) for key in self._rows}

    @cached_property
    def digest(self) -> str:
        """sha256 over all recordings and who speaks in them."""
        recordings = (f"{digest} {speaker}" for digest, _, speaker in self._ordered)
        return hashlib.sha256("\n".join(recordings).encode()).hexdigest()

    @cached_property
    def _ordered(self) -> list[tuple[str, str, str]]:
        """Digest, id and speaker of each recording, in an order that no file decides."""
        return sorted((digest, key, self._speaker(key)) for key, digest in self._digests.items())

    def content(self, key: str, condition: Condition | None) -> tuple[str, ...]:
        """Return the hashes of everything that decides what is heard."""
        if condition is None:
            return (self._digests[key],)
        talkers = self.digest if condition.noise in OTHERS else ""
        return (self._digests[key], self._scenes[condition].content, str(self._seed), key, talkers)

    def changed(self, keys: Iterable[str]) -> list[str]:
        """Return those recordings that are not what they were when the plan was made, or are not there."""
        return [key for key in keys if self._digest(key) != self._digests[key]]

    def __getstate__(self) -> dict[str, Any]:
        """Go to other processes with the digests and without waveforms."""
        assert self._digests
        return {**self.__dict__, "_cache": WaveformCache()}

    def error(self, key: str) -> str | None:
        """Return the error code of a recording that is not there, or is not to be read."""
        return self._refused.get(key) if self._digests[key] == "missing" else None

    def duration_s(self, key: str) -> float:
        """Return the duration by the manifest, else by the file's header; 0 where neither tells."""
        promised = self._promised_s(key)
        if promised is not None:
            return promised
        if self.error(key) is not None:
            return 0.0
        column = self._task.dataset.fields.audio
        audio = self._rows[key][column]
        try:
            source = self._folder / audio if isinstance(audio, str) else io.BytesIO(self._bytes(key, column))
            info = soundfile.info(source)
            return float(info.duration) if info.frames < UNKNOWN_FRAMES else 0.0
        except (soundfile.SoundFileError, OSError, SampleError):
            return 0.0

    def waveform(
        self, key: str, condition: Condition | None, sampling_rate: int, *, column: str | None = None
    ) -> Waveform:
        """Return what a model hears: float32, shape (n,), at ``sampling_rate`` Hz, the same in both arms.

        A model that makes sound of sound hears what the microphone picks up: amplification and hearing loss
        come after it. Another ``column`` of a row is heard in the same noise.

        Raises:
            SampleError: The recording cannot be used.
        """
        rate = self._task.sampling_rate
        mixes = isinstance(self._task, Separation) and column is None
        speech = mixture(self.stems(key)) if mixes else self._decoded(key, rate, column)
        if condition is not None:
            speech = self._in_condition(key, speech, condition)
        heard = resample(speech, rate, sampling_rate)
        return heard if heard.flags.writeable else heard.copy()

    def _in_condition(self, key: str, speech: Waveform, condition: Condition) -> Waveform:
        if not np.any(speech):
            raise SampleError("silent_audio", key, "is silent: there is no level to set the condition by")
        rate, scene = self._task.sampling_rate, self._scenes[condition]
        seed = hashlib.sha256(f"{self._seed}\x1f{key}\x1f{scene.seed_name}".encode()).digest()
        return scene.hear(
            speech,
            rate,
            rng=np.random.default_rng(np.frombuffer(seed, dtype=np.uint64)),
            others=lambda rng: self._others(key, rate, rng, OTHERS.get(str(condition.noise), 0)),
            unaided=isinstance(self._task, MAKES_SOUND),
        )

    def clean(self, key: str) -> Waveform:
        """Return what an enhanced recording is compared with: float32, shape (n,), at the task's rate.

        It is the recording in the column ``clean``, or else the recording itself before its conditions.

        Raises:
            SampleError: The recording cannot be used.
        """
        return self._decoded(key, self._task.sampling_rate, self._task.dataset.fields.clean)

    def stems(self, key: str) -> list[Waveform]:
        """Return all recordings of a row but the clean one, at the task's rate, each of its own length.

        Raises:
            SampleError: One of them cannot be used.
        """
        assert isinstance(self._task, SpeechTask)
        columns = (None, *self._task.other_recordings)
        return [self._decoded(key, self._task.sampling_rate, column) for column in columns]

    def audiogram(self, condition: Condition | None) -> Audiogram | None:
        """Return the hearing loss of a condition's listener; None for normal hearing."""
        return self._scenes[condition].audiogram if condition else None

    def source_rate(self, key: str) -> int:
        """Return the sampling rate in Hz that a recording, once heard, was stored at."""
        return self._source_rates[key]

    def _digest(self, key: str) -> str:
        """Return the sha256 of each recording of a row."""
        try:
            digests = [
                hashlib.sha256(self._bytes(key, column)).hexdigest() for column in self._task.recordings
            ]
        except SampleError as error:
            self._refused[key] = error.code
            return "missing"
        return " ".join(digests)

    def _bytes(self, key: str, column: str) -> bytes:
        return recording_bytes(self._rows[key].get(column), self._folder, key, root=self._root)

    def _decoded(self, key: str, sampling_rate: int, column: str | None = None) -> Waveform:
        if column is not None:
            samples, source_rate = read_audio(self._bytes(key, column), f"{key}, {column}")
            return resample(samples, source_rate, sampling_rate)
        return self._cache.get((key, sampling_rate), lambda: self._decode(key, sampling_rate))

    def _decode(self, key: str, sampling_rate: int) -> Waveform:
        content = self._bytes(key, self._task.dataset.fields.audio)
        samples, source_rate = read_audio(content, key, expected_s=self._promised_s(key))
        self._source_rates[key] = source_rate
        return resample(samples, source_rate, sampling_rate)

    def _promised_s(self, key: str) -> float | None:
        """Return the duration in seconds that the manifest promises; in a CSV file it is text.

        None where it promises nothing: no number, or one that no recording lasts, as NaN for a missing one.
        """
        try:
            promised = float(self._rows[key]["duration_s"])
        except (KeyError, TypeError, ValueError):
            return None
        return promised if 0 < promised < math.inf else None

    def _speaker(self, key: str) -> str:
        column = self._task.dataset.fields.cluster
        speaker = self._rows[key].get(column) if column else None
        return "" if speaker is None else str(speaker)

    def _others(self, key: str, sampling_rate: int, rng: np.random.Generator, n: int) -> list[Waveform]:
        """Draw up to ``n`` usable recordings by other speakers; by the same one where there is no other."""
        if n == 0:
            return []
        own = self._speaker(key)
        keys = [(other, speaker) for _, other, speaker in self._ordered if other != key]
        by_others = [other for other, speaker in keys if speaker != own]
        candidates = by_others or [other for other, _ in keys]
        found: list[Waveform] = []
        for index in rng.permutation(len(candidates)):
            try:
                waveform = self._decoded(candidates[int(index)], sampling_rate)
            except SampleError:
                continue
            if np.any(waveform):
                found.append(waveform)
            if len(found) == n:
                break
        return found


def mixture(stems: Sequence[Waveform]) -> Waveform:
    """Return the sum of recordings, as long as the longest."""
    mixed = np.zeros(max(map(len, stems)), dtype=np.float32)
    for stem in stems:
        mixed[: len(stem)] += stem
    return mixed

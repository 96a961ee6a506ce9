"""The recordings of a task, and what a model hears of them: resampled, with noise where asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from forgetbench.data.audio import read_audio, read_bytes, resample
from forgetbench.data.noise import BABBLE_TALKERS, make_noise, mix_at_snr
from forgetbench.errors import SampleError
from forgetbench.schema.task import Condition, SpeechTask

Waveform = NDArray[np.float32]

OTHERS = {"babble": BABBLE_TALKERS, "speech_shaped": 50}
"""How many recordings by others a noise is made of."""


class SpeechSet:
    """All recordings of a task's file, by sample id.

    Noise that is made of speech comes from the whole file, so that ``--limit`` changes no waveform.

    Args:
        task: The definition.
        rows: Rows by sample id.
        folder: Where relative audio paths start.
        seed: Of the noise, together with sample id and condition.
    """

    def __init__(
        self, task: SpeechTask, rows: Mapping[str, Mapping[str, Any]], folder: Path, *, seed: int
    ) -> None:
        self._task, self._rows, self._folder, self._seed = task, rows, folder, seed
        self._source_rates: dict[str, int] = {}
        self._decoded = lru_cache(maxsize=512)(self._decode)

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
        return (self._digests[key], condition.model_dump_json(), str(self._seed), key, self.digest)

    def error(self, key: str) -> str | None:
        """Return the error code of a recording that is not there."""
        return "missing_audio" if self._digests[key] == "missing" else None

    def duration_s(self, key: str) -> float:
        """Return the duration by the manifest, else by the file's header; 0 where neither tells."""
        promised = self._rows[key].get("duration_s")
        if isinstance(promised, int | float):
            return float(promised)
        audio = self._rows[key][self._task.dataset.fields.audio]
        if isinstance(audio, str):
            try:
                return float(soundfile.info(self._folder / audio).duration)
            except (soundfile.SoundFileError, OSError):
                return 0.0
        return 0.0

    def waveform(self, key: str, condition: Condition | None, sampling_rate: int) -> Waveform:
        """Return what a model hears: float32, shape (n,), at ``sampling_rate`` Hz, the same in both arms.

        Raises:
            SampleError: The recording cannot be used.
        """
        rate = self._task.sampling_rate
        speech = self._decoded(key, rate)
        if condition is not None:
            speech = self._in_condition(key, speech, condition)
        return resample(speech, rate, sampling_rate)

    def _in_condition(self, key: str, speech: Waveform, condition: Condition) -> Waveform:
        if condition.noise is None or condition.snr_db is None:
            return speech
        if not np.any(speech):
            raise SampleError("silent_audio", key, "is silent: there is no level to set the noise by")
        rate = self._task.sampling_rate
        seed = hashlib.sha256(f"{self._seed}\x1f{key}\x1f{condition.label}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(seed, dtype=np.uint64))
        others = self._others(key, rate, rng, OTHERS.get(condition.noise, 0))
        noise = make_noise(condition.noise, len(speech), rate, rng=rng, others=others)
        return mix_at_snr(speech, noise, condition.snr_db, rate)

    def source_rate(self, key: str) -> int:
        """Return the sampling rate in Hz that a recording, once heard, was stored at."""
        return self._source_rates[key]

    def _digest(self, key: str) -> str:
        try:
            return hashlib.sha256(self._bytes(key)).hexdigest()
        except SampleError:
            return "missing"

    def _bytes(self, key: str) -> bytes:
        audio = self._rows[key][self._task.dataset.fields.audio]
        if isinstance(audio, Mapping) and isinstance(audio.get("bytes"), bytes):
            return bytes(audio["bytes"])
        if not isinstance(audio, str):
            raise SampleError("missing_audio", key, "the audio field is neither a path nor bytes")
        return read_bytes(self._folder / audio, audio)

    def _decode(self, key: str, sampling_rate: int) -> Waveform:
        promised = self._rows[key].get("duration_s")
        expected_s = float(promised) if isinstance(promised, int | float) else None
        samples, source_rate = read_audio(self._bytes(key), key, expected_s=expected_s)
        self._source_rates[key] = source_rate
        return resample(samples, source_rate, sampling_rate)

    def _speaker(self, key: str) -> str:
        column = self._task.dataset.fields.cluster
        return str(self._rows[key].get(column, "")) if column else ""

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

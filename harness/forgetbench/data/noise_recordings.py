"""Noise from recordings: a seeded piece of a seeded file."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from forgetbench.data.audio import UNKNOWN_FRAMES, read_audio, read_bytes, resample
from forgetbench.data.audio_folder import audio_files
from forgetbench.errors import DataError, SampleError

CROSS_FADE_S = 0.05
_DRAWS = 20
"""How often another piece is drawn in place of a silent one."""


class NoiseRecordings:
    """A file, or all audio files below a folder; every one has been decoded once and is fit for use.

    Args:
        path: Of the file or folder.

    Raises:
        DataError: It does not exist, holds no audio file, or a file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        files = [path] if path.is_file() else audio_files(path)
        if not files:
            cause = "has no audio files" if path.is_dir() else "does not exist"
            raise DataError(
                f"noise recordings {path}", cause, "Give a WAV, FLAC, Ogg or MP3 file or a folder."
            )
        digests = {file: _checked_digest(file) for file in files}
        self._files = sorted(files, key=lambda file: digests[file])
        self._digests = sorted(digests.values())

    @cached_property
    def digest(self) -> str:
        """sha256 over the content of the files; no names."""
        return hashlib.sha256("\n".join(self._digests).encode()).hexdigest()

    def piece(self, n_samples: int, sampling_rate: int, *, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a piece of unit RMS of one of the recordings, float32, shape (n_samples,).

        A recording that is shorter than the piece goes round, cross-faded at the joint with equal power.

        Raises:
            SampleError: ``silent_noise``: only silence was found.
        """
        for _ in range(_DRAWS):
            file = self._files[int(rng.integers(len(self._files)))]
            piece = _read_piece(file, n_samples, sampling_rate, rng).astype(np.float64)
            rms = float(np.sqrt(np.mean(np.square(piece))))
            if rms > 0:
                return np.asarray(piece / rms, dtype=np.float32)
        raise SampleError("silent_noise", "noise recordings", f"{_DRAWS} pieces in a row are silent")


def _checked_digest(file: Path) -> str:
    try:
        content = read_bytes(file, file.name)
        samples, _ = read_audio(content, file.name)
    except SampleError as error:
        raise DataError(f"noise recordings {file}", error.cause, "Mend or remove the file.") from None
    if not np.any(samples):
        raise DataError(f"noise recordings {file}", "is silent", "Remove the file.")
    return hashlib.sha256(content).hexdigest()


def _read_piece(
    file: Path, n_samples: int, sampling_rate: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    with soundfile.SoundFile(file) as sound:
        needed = -(-n_samples * sound.samplerate // sampling_rate) + 1
        place = float(rng.random())
        if needed < sound.frames < UNKNOWN_FRAMES:
            sound.seek(int(place * (sound.frames - needed)))
            piece = _mono(sound.read(needed, dtype="float32", always_2d=True))
        else:
            whole, _ = read_audio(read_bytes(file, file.name), file.name)
            piece = go_round(whole, needed, start=int(place * len(whole)), rate=sound.samplerate)
        return resample(piece, sound.samplerate, sampling_rate)[:n_samples]


def _mono(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(frames.mean(axis=1, dtype=np.float32))


def go_round(recording: NDArray[np.float32], n_samples: int, *, start: int, rate: int) -> NDArray[np.float32]:
    """Return a recording repeated from ``start`` on, its end faded into its beginning, shape (n_samples,)."""
    fade = min(round(CROSS_FADE_S * rate), len(recording) // 2)
    period = recording[: len(recording) - fade].copy()
    angle = np.linspace(0, np.pi / 2, fade, dtype=np.float32)
    period[:fade] = recording[:fade] * np.sin(angle) + recording[len(period) :] * np.cos(angle)
    return np.resize(np.roll(period, -(start % len(period))), n_samples)

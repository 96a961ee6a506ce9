"""Audio that models returned, kept in the cache as float32 WAV under the sha256 of the file."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np

from forgetbench.atomic import write_atomically
from forgetbench.data.audio import is_silent
from forgetbench.engine.storage import storing
from forgetbench.errors import SampleError
from forgetbench.models.interface import Audio
from forgetbench.paths import cache_root
from forgetbench.schema.sample import AudioFile

LOST_AUDIO = "lost_audio"
"""Code of stored audio that is gone or damaged; the next run makes it again."""

_HEADER = struct.Struct("<4sI4s 4sIHHIIHHH 4sII 4sI")
_IEEE_FLOAT = 3
_BYTES_PER_SAMPLE = 4


def put(audio: Audio, *, n_channels: int = 1) -> AudioFile:
    """Store audio; the same samples at the same rate are the same file.

    NaN and infinite samples are kept as they are.

    Args:
        audio: Mono, float32, shape (n,); n may be 0.
        n_channels: How many channels were averaged to make it.

    Raises:
        StorageError: The cache cannot be written.
    """
    content = _wav(audio)
    digest = hashlib.sha256(content).hexdigest()
    put_content(digest, content)
    return AudioFile(
        sha256=digest,
        sampling_rate=audio.sampling_rate,
        n_samples=len(audio.samples),
        n_channels=n_channels,
        is_silent=is_silent(audio.samples),
    )


def get(file: AudioFile) -> Audio:
    """Return stored audio, float32, shape (n,), bit for bit as it was put.

    Raises:
        SampleError: ``lost_audio``: it is gone or damaged.
    """
    path = _path(file.sha256)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SampleError(LOST_AUDIO, str(path), f"cannot be read ({error.strerror or error})") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise SampleError(LOST_AUDIO, str(path), "is damaged: its sha256 is not its name")
    samples = np.frombuffer(content, dtype="<f4", offset=_HEADER.size).astype(np.float32)
    return Audio(samples=samples, sampling_rate=file.sampling_rate)


def content_of(file: AudioFile) -> bytes:
    """Return stored audio as it lies in the cache, for another machine's.

    Raises:
        SampleError: ``lost_audio``.
    """
    return _wav(get(file))


def put_content(digest: str, content: bytes) -> None:
    """Store what :func:`content_of` returned on another machine.

    Args:
        digest: sha256 of ``content``.
        content: The file.

    Raises:
        StorageError: The cache cannot be written.
    """
    path = _path(digest)
    with storing(path):
        if not (path.is_file() and path.read_bytes() == content):
            write_atomically(path, content)


def is_intact(file: AudioFile) -> bool:
    """Say whether stored audio can still be had."""
    try:
        get(file)
    except SampleError:
        return False
    return True


def _path(digest: str) -> Path:
    return cache_root() / "audio" / digest[:2] / f"{digest}.wav"


def _wav(audio: Audio) -> bytes:
    """Return a mono WAV file of IEEE floats.

    Written by hand: libsndfile puts the time of day into such a file, and equal audio must be equal bytes.
    """
    data = np.ascontiguousarray(audio.samples, dtype="<f4").tobytes()
    rate = audio.sampling_rate
    header = _HEADER.pack(
        *(b"RIFF", _HEADER.size - 8 + len(data), b"WAVE"),
        *(b"fmt ", 18, _IEEE_FLOAT, 1, rate, rate * _BYTES_PER_SAMPLE, _BYTES_PER_SAMPLE, 32, 0),
        *(b"fact", 4, len(data) // _BYTES_PER_SAMPLE),
        *(b"data", len(data)),
    )
    return header + data

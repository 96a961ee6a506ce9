"""Audio files as mono float32 waveforms."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from forgetbench.errors import SampleError

LENGTH_TOLERANCE_S = 0.25
UNKNOWN_RIFF_SIZE = 0xFFFFFFFF
"""What a WAV file that was streamed says of its size."""
UNKNOWN_FRAMES = 2**63 - 1
"""What libsndfile says of the length of a FLAC file that was streamed."""
SLOWEST_HZ, FASTEST_HZ = 1_000, 768_000
"""Sampling rates outside of these are no rates of sound."""
_FRAMES_AT_A_TIME = 2**20
_LOUDEST = 1e6
_HALF_A_STEP = 2.0**-16
"""Of 16 bits, in parts of full scale."""


def read_audio(
    source: bytes, name: str, *, expected_s: float | None = None
) -> tuple[NDArray[np.float32], int]:
    """Decode WAV, FLAC, Ogg or MP3.

    Args:
        source: Content of the file.
        name: What an error calls it.
        expected_s: Duration in seconds that the manifest promises.

    Returns:
        Waveform, float32, shape (n,), channels averaged; and its sampling rate in Hz.

    Raises:
        SampleError: ``corrupt_audio``, ``empty_audio``, ``nonfinite_audio`` or ``truncated_audio``.
    """
    if (missing := _missing_bytes(source)) > 0:
        raise SampleError("truncated_audio", name, f"is truncated: {missing} bytes are missing")
    if _lacks_last_page(source):
        raise SampleError("truncated_audio", name, "is truncated: the last page of the Ogg file is missing")
    try:
        with _Forwards(io.BytesIO(source)) as file:
            sampling_rate, announced = file.samplerate, file.frames
            if not SLOWEST_HZ <= sampling_rate <= FASTEST_HZ:
                raise SampleError("corrupt_audio", name, f"is said to be at {sampling_rate} Hz")
            samples = _decoded(file)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        cause = str(getattr(error, "error_string", error)).rstrip(".")
        raise SampleError("corrupt_audio", name, f"cannot be decoded ({cause})") from None
    if samples.size == 0:
        raise SampleError("empty_audio", name, "has no samples")
    if not np.isfinite(samples).all():
        raise SampleError("nonfinite_audio", name, "holds NaN or infinite samples")
    if announced == UNKNOWN_FRAMES:
        announced = samples.size
    expected = expected_s if expected_s is not None else announced / sampling_rate
    if samples.size / sampling_rate < expected - LENGTH_TOLERANCE_S:
        cause = f"is truncated: {samples.size / sampling_rate:.2f} s of {expected:.2f} s"
        raise SampleError("truncated_audio", name, cause)
    return samples, sampling_rate


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is untyped
    """A file that is read from front to back, and never sought in.

    soundfile seeks after each read, which fails at the end of a FLAC file that does not say its length.
    """

    def seekable(self) -> bool:
        """Say no."""
        return False


def _decoded(file: _Forwards) -> NDArray[np.float32]:
    """Return all of a file, block by block: memory is taken for what is there, not for what is promised."""
    blocks = [np.zeros(0, dtype=np.float32)]
    while len(block := file.read(_FRAMES_AT_A_TIME, dtype="float32", always_2d=True)):
        blocks.append(block.mean(axis=1, dtype=np.float32))
    return np.concatenate(blocks)


def _missing_bytes(source: bytes) -> int:
    """Return how much of a WAV file was cut off; libsndfile reads such a file as a shorter one."""
    promised = int.from_bytes(source[4:8], "little")
    if source[:4] != b"RIFF" or promised == UNKNOWN_RIFF_SIZE:
        return 0
    return max(0, promised + 8 - len(source) - 1)  # some writers count the padding byte and leave it out


def _lacks_last_page(source: bytes) -> bool:
    """Return whether an Ogg file ends before its last page; libsndfile reads such a file as a shorter one.

    A page: ``OggS``, version, flags, 20 bytes, number of segments, their sizes, their bytes (RFC 3533).
    """
    if source[:4] != b"OggS":
        return False
    page = source[source.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    is_last = bool(page[5] & 4)
    return not is_last or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def duration_s(path: Path, name: str) -> float:
    """Return how long a recording lasts by its header, in seconds; by its content where that does not tell.

    Args:
        path: WAV, FLAC, Ogg or MP3 file.
        name: What an error calls it.

    Raises:
        SampleError: ``missing_audio`` or ``corrupt_audio``.
    """
    if not path.is_file():
        raise SampleError("missing_audio", name, "is not there")
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise SampleError("corrupt_audio", name, f"cannot be decoded ({error})") from None
    if info.frames < UNKNOWN_FRAMES:
        return float(info.frames / info.samplerate)
    samples, sampling_rate = read_audio(read_bytes(path, name), name)
    return len(samples) / sampling_rate


def read_bytes(path: Path, name: str) -> bytes:
    """Return the content of an audio file.

    Raises:
        SampleError: ``missing_audio``.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SampleError("missing_audio", name, error.strerror or "cannot be read") from None


def listenable(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a model returned as something to be heard: no number is silence, infinity is full scale.

    What is finite is limited to ±10⁶ times full scale, so that a recogniser's own numbers stay finite.
    """
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(finite, -_LOUDEST, _LOUDEST)


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Tell whether there is nothing to hear: no sample, or none that 16 bits would not round to zero.

    Args:
        samples: As a model returned them, shape (n,); what is no number is silence.
    """
    return not bool(np.any(np.abs(listenable(samples)) > _HALF_A_STEP))


def resample(samples: NDArray[np.float32], source_rate: int, target_rate: int) -> NDArray[np.float32]:
    """Return the waveform at another sampling rate (soxr, high quality), float32, shape (n',)."""
    if source_rate == target_rate:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, source_rate, target_rate, quality="HQ"), dtype=np.float32)

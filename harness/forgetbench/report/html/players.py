"""Audio that a page carries with it: short FLAC files as data URIs, bounded in number and size."""

from __future__ import annotations

import base64
import io

import numpy as np

from forgetbench.models.interface import Audio

LONGEST_S = 20.0
"""A longer clip is cut here, and the page says so."""
FASTEST_HZ = 48_000
"""Browsers play no more; what is above is resampled."""


def data_uri(audio: Audio) -> str:
    """Return a clip as a 16-bit FLAC data URI; what is no number is silence, and what exceeds ±1 is clipped.

    Example:
        >>> data_uri(Audio(samples=np.zeros(160, dtype=np.float32), sampling_rate=16_000))[:24]
        'data:audio/flac;base64,Z'
    """
    import soundfile

    from forgetbench.data.audio import resample

    samples, rate = audio.samples[: round(LONGEST_S * audio.sampling_rate)], audio.sampling_rate
    samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    if rate > FASTEST_HZ:
        samples, rate = resample(samples.astype(np.float32), rate, FASTEST_HZ), FASTEST_HZ
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(file.getvalue()).decode()


def duration_s(audio: Audio) -> float:
    """Return the length of a clip in seconds."""
    return len(audio.samples) / audio.sampling_rate

"""Enhancing a batch one clip at a time: no clip is padded, and none hears of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from forgetbench.models.interface import Audio

Waveform = NDArray[np.float32]


def enhance_each(
    audio: Sequence[Audio], process: Callable[[Waveform], Waveform], *, sampling_rate: int
) -> list[Audio]:
    """Return what ``process`` makes of each clip, at the same rate; a clip without samples stays as it is.

    Args:
        audio: At ``sampling_rate``.
        process: From a waveform, float32, shape (n,), to another.
        sampling_rate: In Hz.

    Raises:
        ValueError: A clip is at another rate.
    """
    enhanced = []
    for clip in audio:
        if clip.sampling_rate != sampling_rate:
            raise ValueError(f"audio is at {clip.sampling_rate} Hz, the model works at {sampling_rate} Hz")
        samples = np.ascontiguousarray(clip.samples, dtype=np.float32)
        enhanced.append(
            Audio(samples=process(samples) if samples.size else samples, sampling_rate=sampling_rate)
        )
    return enhanced


def in_frames(
    samples: Waveform, step: Callable[[Waveform, Waveform], object], *, frame: int, delay: int
) -> Waveform:
    """Run a streaming filter over a whole waveform.

    Args:
        samples: float32, shape (n,).
        step: Reads one frame of input and fills one frame of output, both float32, shape (frame,).
        frame: Samples in a frame.
        delay: Samples by which the output lags: silence of this length is fed after the end.

    Returns:
        float32, shape (n + delay,): the end is not cut off, the lag is still there.
    """
    n = len(samples) + delay
    n_padded = -(-n // frame) * frame
    heard = np.zeros(n_padded, dtype=np.float32)
    heard[: len(samples)] = samples
    made = np.zeros_like(heard)
    for start in range(0, n_padded, frame):
        step(heard[start : start + frame], made[start : start + frame])
    return made[:n]

"""Audio as a model returned it, made fit to be stored: what is an answer, and what is a broken loader.

An answer is anything that claims to be sound, and no sound at all. It is kept as it is where it can be:
empty, silent, clipped, NaN or infinite, of any length; None is empty. Several channels are averaged, as those
of a recording are. Sound at no rate, or at one that nothing plays (0 Hz), is kept as silence of as many
samples. All of these are scored, and take a metric's worst bound where it cannot be computed.

What is not of the type that ``models.interface.Enhancer`` promises is a fault of the loader, not the output
of a network: it is a model error, and the line says what was returned.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from forgetbench.data.audio import FASTEST_HZ, SLOWEST_HZ
from forgetbench.models.interface import Audio


class ReturnedAudio(NamedTuple):
    """Mono audio, and the number of channels it was made of."""

    audio: Audio
    n_channels: int


def as_mono(returned: Any, *, sampling_rate: int) -> ReturnedAudio:
    """Return what a model returned as mono float32 audio.

    Args:
        returned: None for no audio, or an ``Audio``; its samples of shape (n,), (1, n), (n, 1), (channels, n)
            or (n, channels), the shorter axis being the channels.
        sampling_rate: Of the model, in Hz: kept for output that has none.

    Raises:
        TypeError: It is something else, or its samples are not floating-point numbers in one or two
            dimensions.
    """
    if returned is None or getattr(returned, "samples", ...) is None:
        returned = Audio(samples=np.zeros(0, dtype=np.float32), sampling_rate=sampling_rate)
    if not hasattr(returned, "samples") or not hasattr(returned, "sampling_rate"):
        raise TypeError(f"the model returned {type(returned).__name__}, not Audio")
    samples = np.asarray(returned.samples)
    if samples.size and samples.dtype.kind != "f":
        raise TypeError(f"the model returned {samples.dtype} samples, not floats of full scale 1")
    if samples.ndim > 1:
        samples = samples.reshape([n for n in samples.shape if n != 1] or [samples.size])
    if samples.ndim not in (1, 2):
        raise TypeError(f"the model returned samples of shape {np.shape(returned.samples)}, not (n,)")
    n_channels = min(samples.shape) if samples.ndim == 2 else 1
    if samples.ndim == 2:
        samples = samples.mean(axis=int(np.argmin(samples.shape))) if samples.size else np.zeros(0)
    rate = _rate(returned.sampling_rate)
    with np.errstate(over="ignore"):
        mono = np.array(samples if rate else np.zeros(samples.shape), dtype=np.float32)
    return ReturnedAudio(Audio(samples=mono, sampling_rate=rate or sampling_rate), max(n_channels, 1))


def _rate(value: Any) -> int | None:
    """Return a sampling rate in whole Hz, or None for one that nothing plays."""
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number:
        raise TypeError(f"the model returned a sampling rate that is {type(value).__name__}, not a number")
    return round(value) if SLOWEST_HZ <= value <= FASTEST_HZ else None

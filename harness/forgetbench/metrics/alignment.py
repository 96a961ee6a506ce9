"""The delay of an enhancer, found from what went in and what came out, and taken away before scoring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

MAX_DELAY_S = 0.5
WHITENING = 0.7
"""Exponent of the spectral weighting: 0 is plain cross-correlation, whose peak is as broad as a pitch period
and moves with any filter; 1 is the phase transform, in which bands of pure noise weigh as much as speech."""
LEAST_PEAK = 15.0
"""Height of the peak over the RMS of all searched lags. Outputs that have nothing of the input in them stay
below 8; enhancers on real speech are above 50."""


def find_delay(heard: Waveform, output: Waveform, *, sampling_rate: int) -> int | None:
    """Return how many samples an output comes after what the model heard, or None where that can't be told.

    The lag, within ±0.5 s, at which the magnitude of the generalised cross-correlation (Knapp & Carter 1976)
    is highest, weighted by ``|cross spectrum|^-0.7``. Its magnitude, so that an inverted polarity is no other
    delay. Against the *noisy input*, not the clean reference: speech and what is left of the noise have come
    through the model with the same delay, so both speak for it, however much noise was taken away.

    Args:
        heard: What the model heard, float32, shape (n,).
        output: What it made of it, float32, shape (n',).
        sampling_rate: Of both, in Hz.

    Returns:
        The delay in samples, positive where the output is late; None for an output that does not resemble
        the input.
    """
    n_lags = min(round(MAX_DELAY_S * sampling_rate), max(len(heard), len(output)) - 1)
    if n_lags < 1:
        return None
    n_fft = 1 << (len(heard) + len(output) - 1).bit_length()
    cross = np.fft.rfft(_centred(output), n_fft) * np.conj(np.fft.rfft(_centred(heard), n_fft))
    magnitude = np.abs(cross)
    floor = np.finfo(np.float64).eps * float(magnitude.max())
    if floor == 0:
        return None
    correlation = np.abs(np.fft.irfft(cross / np.maximum(magnitude, floor) ** WHITENING, n_fft))
    searched = np.concatenate([correlation[-n_lags:], correlation[: n_lags + 1]])
    peak = int(np.argmax(searched))
    if searched[peak] < LEAST_PEAK * np.sqrt(np.mean(searched**2)):
        return None
    return peak - n_lags


def undelayed(output: Waveform, delay: int, n_samples: int) -> Waveform:
    """Return an output moved forward by ``delay`` samples and cut, or filled with zeros, to ``n_samples``.

    Example:
        >>> undelayed(np.array([0, 0, 1, 2], dtype=np.float32), 2, 3)
        array([1., 2., 0.], dtype=float32)
    """
    aligned = np.zeros(n_samples, dtype=np.float32)
    start, late = max(delay, 0), max(-delay, 0)
    part = output[start : start + max(n_samples - late, 0)]
    aligned[late : late + len(part)] = part
    return aligned


def _centred(waveform: Waveform) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = waveform.astype(np.float64) - float(np.mean(waveform, dtype=np.float64))
    return centred

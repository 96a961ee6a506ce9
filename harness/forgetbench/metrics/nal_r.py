"""NAL-R: the linear hearing-aid gain that a prescription gives for an audiogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forgetbench.metrics.audiogram import Audiogram

PRESCRIPTION_HZ = np.array([250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0])
_BIAS_DB = np.array([-17.0, -8.0, 1.0, -1.0, -2.0, -2.0])
_SEVERE_SUM_DB = 180.0
ORDER = 220
"""Of the FIR filter: its delay is half of it, in samples."""
_GRID = 512


def insertion_gains_db(audiogram: Audiogram) -> NDArray[np.float64]:
    """Return the gain in dB at :data:`PRESCRIPTION_HZ`, shape (6,).

    ``0.05·(H500 + H1000 + H2000) + 0.31·H + bias``, never negative; where the three thresholds sum to more
    than 180 dB the first term is ``9 + 0.116·(sum − 180)``. Byrne & Dillon 1986, Ear and Hearing 7(4); the
    form for severe losses and the values at 250 and 6000 Hz are those of pyclarity's ``NALR``.
    """
    levels = audiogram.levels_at(PRESCRIPTION_HZ)
    if levels.max() <= 0:
        return np.zeros(len(PRESCRIPTION_HZ))
    three = float(levels[1:4].sum())
    average = 0.05 * three if three <= _SEVERE_SUM_DB else 9.0 + 0.116 * (three - _SEVERE_SUM_DB)
    return np.asarray(np.maximum(average + 0.31 * levels + _BIAS_DB, 0.0), dtype=np.float64)


def design_filter(audiogram: Audiogram, sampling_rate: int) -> NDArray[np.float64]:
    """Return the linear-phase FIR filter of the prescription, shape (221,), for a rate in Hz.

    Gains in dB are linear over frequency between the prescription's frequencies and held outside of them. The
    filter is that of ``clarity.enhancer.nalr.NALR(220, sampling_rate)``, coefficient by coefficient.
    """
    from scipy.signal import firwin2

    nyquist = sampling_rate / 2
    gains = insertion_gains_db(audiogram)
    known = nyquist > PRESCRIPTION_HZ
    at = np.linspace(0, nyquist, ORDER + 1)
    gain = 10 ** (np.interp(at, PRESCRIPTION_HZ[known], gains[known]) / 20)
    grid = np.linspace(0, 1, _GRID + 1)
    taps = firwin2(ORDER + 1, grid, _on_grid(gain), nfreqs=_GRID + 1, window="hamming", fs=2)
    return np.asarray(taps, dtype=np.float64)


def _on_grid(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return gains at 221 frequencies on the 513 of the design, each stretch ending below its frequency.

    This is how MATLAB's ``fir2`` places them; interpolating would move the response by up to one grid step.
    """
    ends = (np.arange(1, ORDER + 1) / ORDER * (_GRID + 1)).astype(int) - 1
    grid = np.empty(_GRID + 1)
    start = 0
    for left, right, end in zip(gain[:-1], gain[1:], ends, strict=True):
        ramp = np.arange(end - start + 1) / max(end - start, 1)
        grid[start : end + 1] = left + (right - left) * ramp
        start = end + 1
    return grid


def amplify(samples: NDArray[np.float32], audiogram: Audiogram, sampling_rate: int) -> NDArray[np.float32]:
    """Return a waveform with the prescribed gain, float32, shape (n,): same length, no delay.

    Args:
        samples: float32, shape (n,).
        audiogram: The loss that the gain is for.
        sampling_rate: In Hz.
    """
    from scipy.signal import fftconvolve

    taps = design_filter(audiogram, sampling_rate)
    louder = fftconvolve(samples.astype(np.float64), taps)[ORDER // 2 : ORDER // 2 + len(samples)]
    return np.asarray(louder, dtype=np.float32)

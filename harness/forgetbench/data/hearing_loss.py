"""What a hearing loss hides, as noise that masks it for a recogniser."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forgetbench.metrics.audiogram import Audiogram

SPEECH_LEVEL_DB_SPL = 65.0
"""Active level at which the speech is taken to reach the ear: conversation at about a metre."""

BAND_CENTRES_HZ = (
    160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000,
)  # fmt: skip
REFERENCE_INTERNAL_NOISE_DB = (
    0.6, -1.7, -3.9, -6.1, -8.2, -9.7, -10.8, -11.9, -12.5, -13.5, -15.4, -17.7, -21.2, -24.2, -25.9, -23.6,
    -15.8, -7.1,
)  # fmt: skip
"""Spectrum level (dB SPL per Hz), by third octave, of the noise that would set normal hearing's thresholds.

ANSI S3.5-1997, Methods for calculation of the Speech Intelligibility Index, table 3.
"""


def internal_noise_level_db(audiogram: Audiogram, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
    """Return the equivalent internal noise spectrum level, in dB SPL per Hz.

    ``X'(f) = X(f) + T(f)``: reference internal noise plus hearing threshold in dB HL (ANSI S3.5-1997, 4.4,
    eq. 10), linear over log frequency between the third-octave bands and held outside of them.
    """
    frequencies = np.maximum(np.asarray(frequencies_hz, dtype=np.float64), BAND_CENTRES_HZ[0])
    reference = np.interp(np.log(frequencies), np.log(BAND_CENTRES_HZ), REFERENCE_INTERNAL_NOISE_DB)
    return np.asarray(reference + audiogram.levels_at(frequencies), dtype=np.float64)


def internal_noise(
    n_samples: int, sampling_rate: int, audiogram: Audiogram, *, speech_rms: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return noise that masks what a listener with this audiogram cannot hear, float32, shape (n,).

    A log-mel recogniser is nearly blind to level, so that attenuating speech would change nothing; a noise
    under which the inaudible parts vanish does. It stands for lost audibility alone: loudness recruitment,
    spectral and temporal smearing and all that lies beyond the cochlea are left out.

    Args:
        n_samples: Length.
        sampling_rate: In Hz.
        audiogram: The loss.
        speech_rms: RMS of the active speech before amplification, which is :data:`SPEECH_LEVEL_DB_SPL`.
        rng: Source of randomness.
    """
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequencies = np.fft.rfftfreq(n_samples, 1 / sampling_rate)
    level_db = internal_noise_level_db(audiogram, frequencies) - SPEECH_LEVEL_DB_SPL
    density = speech_rms**2 * 10 ** (level_db / 10)
    # White noise of unit variance has a one-sided density of 2 / sampling_rate.
    noise = np.fft.irfft(spectrum * np.sqrt(density * sampling_rate / 2), n_samples)
    return np.asarray(noise, dtype=np.float32)

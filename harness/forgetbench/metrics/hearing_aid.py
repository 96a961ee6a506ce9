"""HASPI and HASQI for a listener's audiogram, as pyclarity has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from forgetbench.metrics.audiogram import STANDARD_FREQUENCIES_HZ, Audiogram
from forgetbench.metrics.nal_r import PRESCRIPTION_HZ, amplify
from forgetbench.metrics.seeded import numpy_seeded
from forgetbench.metrics.speech_quality import UnscorableError

if TYPE_CHECKING:
    from clarity.utils.audiogram import Audiogram as ClarityAudiogram

Waveform = NDArray[np.float32]
Amplification = Literal["nal_r"]

PRESENTATION_DB_SPL = 65.0
"""Level at which the clean reference is presented, as RMS over the clip: what both indices were fitted at."""
MODEL_RATE_HZ = 24_000
"""Sampling rate of pyclarity's ear model."""
NORMAL_HEARING = Audiogram(STANDARD_FREQUENCIES_HZ, (0.0,) * len(STANDARD_FREQUENCIES_HZ))


def haspi(
    clean: Waveform,
    enhanced: Waveform,
    *,
    sampling_rate: int,
    audiogram: Audiogram,
    seed: int,
    amplification: Amplification | None = None,
) -> float:
    """Return HASPI v2 (Kates & Arehart 2021): intelligibility, 0 to 1.

    The reference is the clean speech without amplification, heard by a normal ear.

    Args:
        clean: Reference.
        enhanced: Output, before amplification.
        sampling_rate: Of both, in Hz.
        audiogram: Of the listener's better ear.
        seed: Of the ear's internal noise.
        amplification: What the hearing aid does after the enhancer.

    Raises:
        UnscorableError: Too little of the reference is above the threshold of the ear model.
    """
    from clarity.evaluator.haspi import haspi_v2

    return _index(haspi_v2, clean, enhanced, sampling_rate, audiogram, seed, amplification)


def hasqi(
    clean: Waveform,
    enhanced: Waveform,
    *,
    sampling_rate: int,
    audiogram: Audiogram,
    seed: int,
    amplification: Amplification | None = None,
) -> float:
    """Return HASQI v2 (Kates & Arehart 2014): quality, 0 to 1.

    The reference is the clean speech with NAL-R amplification, which pyclarity adds, heard by the listener's
    own ear. Arguments and errors are those of :func:`haspi`.
    """
    from clarity.evaluator.hasqi import hasqi_v2

    return _index(hasqi_v2, clean, enhanced, sampling_rate, audiogram, seed, amplification)


def level_of_full_scale(clean: Waveform) -> float:
    """Return pyclarity's ``level1``: the level in dB SPL of a signal with RMS 1.

    Recordings are not calibrated, so the clean reference of each sample is put at 65 dB SPL and the output is
    heard with the same gain: a model that lowers the level loses audibility, a quiet recording does not.
    Clarity's own data is calibrated to 100 dB SPL instead.
    """
    return PRESENTATION_DB_SPL - 20 * math.log10(np.sqrt(np.mean(clean.astype(np.float64) ** 2)))


def _index(
    model: Callable[..., tuple[Any, ...]],
    clean: Waveform,
    enhanced: Waveform,
    sampling_rate: int,
    audiogram: Audiogram,
    seed: int,
    amplification: Amplification | None,
) -> float:
    import soxr

    heard = enhanced if amplification is None else amplify(enhanced, audiogram, sampling_rate)
    level1 = level_of_full_scale(clean)
    rate = sampling_rate
    if rate % 1000:  # pyclarity would round the rate to whole kHz
        clean, heard = (soxr.resample(signal, rate, MODEL_RATE_HZ) for signal in (clean, heard))
        rate = MODEL_RATE_HZ
    with numpy_seeded(seed):
        try:
            score, *_ = model(clean, rate, heard, rate, _for_clarity(audiogram), level1=level1)
        except (ValueError, IndexError) as error:
            raise UnscorableError(str(error)) from None
    return float(score)


def _for_clarity(audiogram: Audiogram) -> ClarityAudiogram:
    """Return an audiogram at the frequencies that the ear model is defined for."""
    from clarity.utils.audiogram import Audiogram as ClarityAudiogram

    return ClarityAudiogram(levels=audiogram.levels_at(PRESCRIPTION_HZ), frequencies=PRESCRIPTION_HZ)

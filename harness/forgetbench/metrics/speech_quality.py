"""PESQ, STOI, ESTOI, SI-SDR and DNSMOS of one output, each as its reference package has it.

The signals are aligned float32 waveforms of the same length; :mod:`forgetbench.metrics.enhancement` sees to
that, and to what an unusable output scores.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forgetbench.metrics.seeded import numpy_seeded

Waveform = NDArray[np.float32]

PESQ_RATE_HZ = {"wb": 16_000, "nb": 8_000}
DNSMOS_RATE_HZ = 16_000


class UnscorableError(Exception):
    """The metric has no value for these signals."""


def pesq_score(
    clean: Waveform, enhanced: Waveform, *, sampling_rate: int, mode: Literal["wb", "nb"]
) -> float:
    """Return PESQ as MOS-LQO by the package ``pesq``: P.862.2 (``wb``, 16 kHz) or P.862.1 (``nb``, 8 kHz).

    Args:
        clean: Reference.
        enhanced: Output.
        sampling_rate: Of both, in Hz; they are converted by soxr.
        mode: Wide or narrow band.

    Raises:
        UnscorableError: The reference is shorter than 1/4 s, or no utterance is found.
    """
    import soxr
    from pesq import BufferTooShortError, NoUtterancesError, pesq

    rate = PESQ_RATE_HZ[mode]
    reference, degraded = (soxr.resample(signal, sampling_rate, rate) for signal in (clean, enhanced))
    try:
        return float(pesq(rate, reference, degraded, mode))
    except (BufferTooShortError, NoUtterancesError) as error:
        raise UnscorableError(error.args[0].decode()) from None
    except ValueError as error:  # its C code divided by the level of a band in which nothing is
        raise UnscorableError(str(error)) from None


def stoi_score(
    clean: Waveform, enhanced: Waveform, *, sampling_rate: int, extended: bool, seed: int
) -> float:
    """Return STOI (Taal et al. 2011) or ESTOI (Jensen & Taal 2016) by the package ``pystoi``.

    Args:
        clean: Reference.
        enhanced: Output.
        sampling_rate: Of both, in Hz; pystoi converts to 10 kHz.
        extended: ESTOI.
        seed: Of the noise of 1e-16 that pystoi adds for ESTOI.

    Raises:
        UnscorableError: Fewer than 30 frames (0.4 s) of the *reference* are within 40 dB of its loudest.
            pystoi warns then and returns 1e-5, which is no score.
    """
    from pystoi import stoi

    with numpy_seeded(seed), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            return float(stoi(clean, enhanced, sampling_rate, extended=extended))
        except RuntimeWarning as error:
            raise UnscorableError(str(error)) from None
        except np.exceptions.AxisError:  # shorter than a single frame
            raise UnscorableError("the reference is shorter than a frame") from None


def si_sdr(clean: Waveform, enhanced: Waveform) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, eq. 3 and 4).

    ``10·log10(‖αs‖² / ‖αs − ŝ‖²)``, α = ⟨ŝ, s⟩/‖s‖², means not removed: torchmetrics'
    ``scale_invariant_signal_distortion_ratio`` in float64, its ε included. Written out here because every
    scoring process would import torch for these lines.
    """
    target, estimate = clean.astype(np.float64), enhanced.astype(np.float64)
    eps = np.finfo(np.float64).eps
    scaled = (estimate @ target + eps) / (target @ target + eps) * target
    distortion = scaled - estimate
    return float(10 * np.log10((scaled @ scaled + eps) / (distortion @ distortion + eps)))


def dnsmos_score(enhanced: Waveform, *, sampling_rate: int) -> float:
    """Return the overall MOS that DNSMOS P.835 (Reddy et al. 2022) predicts, by ``speechmos``; no reference.

    Args:
        enhanced: Output; what goes beyond ±1 is cut off, as in any converter.
        sampling_rate: In Hz; converted to 16 kHz by soxr.
    """
    import soxr
    from speechmos import dnsmos

    heard = np.clip(soxr.resample(enhanced, sampling_rate, DNSMOS_RATE_HZ), -1.0, 1.0)
    return float(dnsmos.run(heard, DNSMOS_RATE_HZ)["ovrl_mos"])

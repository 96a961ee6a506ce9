"""SI-SDR of the stems that a mixture was taken apart into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import SampleError
from forgetbench.metrics.alignment import find_delay, undelayed
from forgetbench.metrics.enhancement import is_usable
from forgetbench.metrics.registry import lookup
from forgetbench.metrics.speech_quality import UnscorableError, si_sdr

Waveform = NDArray[np.float32]


def separation_stats(
    stems: Sequence[Waveform], mixture: Waveform, outputs: Sequence[Waveform], *, sampling_rate: int
) -> dict[str, float]:
    """Return the SI-SDR of each stem, averaged, and over the mixture, and of the stem that came off worst.

    Each output is aligned with the mixture; outputs go to stems so that the mean is highest (Yu et al. 2017,
    arXiv 1607.00325), and one that is left over counts for nothing. A stem without an output, or with one
    that is empty, silent or not finite, takes the worst bound.

    Args:
        stems: References, float32, shape (n,) each, up to as long as the mixture.
        mixture: What the model heard.
        outputs: What it returned, at the same sampling rate, of any number and length.
        sampling_rate: In Hz.

    Returns:
        ``si_sdr``, ``si_sdr_improvement`` and ``si_sdr_least``, in dB.

    Raises:
        SampleError: ``unusable_reference``: a stem is silent or constant.
    """
    from scipy.optimize import linear_sum_assignment

    n = len(mixture)
    references = [np.pad(stem, (0, n - len(stem))) for stem in stems]
    for number, stem in enumerate(references, start=1):
        if not is_usable(stem):
            raise SampleError("unusable_reference", f"stem {number}", "is silent or constant")
    aligned = [_aligned(output, mixture, sampling_rate) for output in outputs]
    aligned += [None] * (len(stems) - len(aligned))
    scores = np.array([[_bounded(stem, output) for output in aligned] for stem in references])
    rows, columns = linear_sum_assignment(scores, maximize=True)
    of_stems = scores[rows, columns]
    before = np.array([_bounded(stem, mixture) for stem in references])
    return {
        "si_sdr": float(of_stems.mean()),
        "si_sdr_improvement": float((of_stems - before).mean()),
        "si_sdr_least": float(of_stems.min()),
    }


def _aligned(output: Waveform, mixture: Waveform, sampling_rate: int) -> Waveform | None:
    if not is_usable(output):
        return None
    delay = find_delay(mixture, output, sampling_rate=sampling_rate)
    return undelayed(output, delay or 0, len(mixture))


def _bounded(stem: Waveform, output: Waveform | None) -> float:
    worst = lookup("si_sdr").worst
    assert worst is not None
    if output is None or not is_usable(output):
        return worst
    try:
        return max(si_sdr(stem, output), worst)
    except UnscorableError:
        return worst

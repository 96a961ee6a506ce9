"""Scores of enhanced or resynthesised speech: aligned, measured, and bounded where the output is unusable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import SampleError, TaskError
from forgetbench.metrics import hearing_aid, speech_quality
from forgetbench.metrics.alignment import find_delay, undelayed
from forgetbench.metrics.audiogram import Audiogram
from forgetbench.metrics.hearing_aid import NORMAL_HEARING, Amplification
from forgetbench.metrics.registry import lookup
from forgetbench.metrics.requirements import check_installed
from forgetbench.metrics.speech_quality import UnscorableError
from forgetbench.schema.task import LEAST_RATE_HZ

Waveform = NDArray[np.float32]
Measure = Callable[[Waveform, Waveform], float]

SCORING_VERSION = 1
"""Raised when the same output may get another score; part of the key under which scores are kept."""
SILENCE_PEAK_TO_PEAK = 1e-6
"""An output that moves less than this (−120 dB of full scale) is silent or constant."""
REFERENCE_FREE = frozenset({"dnsmos"})


def enhancement_stats(
    clean: Waveform,
    noisy: Waveform,
    enhanced: Waveform,
    *,
    sampling_rate: int,
    metrics: Sequence[str],
    seed: int,
    audiogram: Audiogram | None = None,
    amplification: Amplification | None = None,
) -> dict[str, float]:
    """Return the asked scores of one output, and its delay in ms where one could be measured.

    The output is aligned with what the model heard and cut or filled to the length of the reference. An
    output that is empty, not finite, silent or constant takes the worst bound of every metric, and no score
    is below that bound (docs/enhancers.md).

    Args:
        clean: Reference, float32, shape (n,).
        noisy: What the model heard, float32, shape (n',).
        enhanced: What it returned, at the same sampling rate, float32, of any length.
        sampling_rate: Of all three, in Hz.
        metrics: Names of :data:`forgetbench.schema.task.AudioMetric`.
        seed: Of the noise inside ESTOI, HASPI and HASQI: the same for both arms.
        audiogram: Of the listener's better ear, for HASPI and HASQI; None is normal hearing.
        amplification: Of the hearing aid, for HASPI and HASQI.

    Raises:
        SampleError: ``unusable_reference``: an asked metric has no value for this clean recording.
        TaskError: The metric is not defined at this sampling rate, or its package is missing.
    """
    check_metrics(metrics, sampling_rate)
    measures = _measures(sampling_rate, seed, audiogram or NORMAL_HEARING, amplification)
    heard = undelayed(noisy, 0, len(clean))
    output, delay = None, None
    if is_usable(enhanced):
        delay = find_delay(noisy, enhanced, sampling_rate=sampling_rate)
        output = undelayed(enhanced, delay or 0, len(clean))
    stats: dict[str, float] = {}
    for metric in metrics:
        if metric == "si_sdr_improvement":
            before, after = (_bounded("si_sdr", measures, clean, signal) for signal in (heard, output))
            stats[metric] = after - before
        else:
            stats[metric] = _bounded(metric, measures, clean, output)
    return stats if delay is None else {**stats, "delay_ms": 1000 * delay / sampling_rate}


def speech_quality_without_reference(output: Waveform, *, sampling_rate: int) -> float:
    """Return DNSMOS of speech that a model made; its worst bound where there is no signal.

    Args:
        output: Float32, shape (n,).
        sampling_rate: In Hz.
    """
    dnsmos = {"dnsmos": lambda _, heard: speech_quality.dnsmos_score(heard, sampling_rate=sampling_rate)}
    return _bounded("dnsmos", dnsmos, output, output)


def check_metrics(metrics: Sequence[str], sampling_rate: int) -> None:
    """Fail before any work where a metric cannot be computed at all.

    Raises:
        TaskError: The sampling rate is too low for it, or its package is missing.
    """
    for metric in metrics:
        least = LEAST_RATE_HZ.get(metric, 0)
        if sampling_rate < least:
            cause = f"is not defined at {sampling_rate} Hz"
            raise TaskError(
                f"metric {metric!r}", cause, f"It needs at least {least} Hz: use pesq_nb or stoi."
            )
    check_installed(metrics)


def is_usable(output: Waveform) -> bool:
    """Say whether an output holds a signal: it is not empty, all of it is finite, and it moves."""
    return (
        output.size > 0 and bool(np.isfinite(output).all()) and float(np.ptp(output)) > SILENCE_PEAK_TO_PEAK
    )


def _bounded(metric: str, measures: Mapping[str, Measure], clean: Waveform, output: Waveform | None) -> float:
    """Return a score, or the metric's worst bound: for no output, for one without a score, and as the floor.

    Whether the reference can be used is asked in the same way for every output, so that both arms agree.
    """
    worst = lookup(metric).worst
    assert worst is not None
    if metric not in REFERENCE_FREE and not is_usable(clean):
        raise _unusable(metric, "is silent or constant")
    if output is not None and is_usable(output):
        try:
            score = measures[metric](clean, output)
        except UnscorableError:
            score = math.nan
        if math.isfinite(score):
            return max(score, worst)
    if metric not in REFERENCE_FREE:
        try:
            measures[metric](clean, clean)
        except UnscorableError as error:
            raise _unusable(metric, str(error)) from None
    return worst


def _unusable(metric: str, cause: str) -> SampleError:
    return SampleError("unusable_reference", f"the clean recording, for {metric}", cause)


def _measures(
    sampling_rate: int, seed: int, audiogram: Audiogram, amplification: Amplification | None
) -> dict[str, Measure]:
    rate = sampling_rate
    worn: dict[str, Any] = {
        "sampling_rate": rate,
        "audiogram": audiogram,
        "seed": seed,
        "amplification": amplification,
    }
    return {
        "pesq_wb": partial(speech_quality.pesq_score, sampling_rate=rate, mode="wb"),
        "pesq_nb": partial(speech_quality.pesq_score, sampling_rate=rate, mode="nb"),
        "stoi": partial(speech_quality.stoi_score, sampling_rate=rate, extended=False, seed=seed),
        "estoi": partial(speech_quality.stoi_score, sampling_rate=rate, extended=True, seed=seed),
        "si_sdr": speech_quality.si_sdr,
        "dnsmos": lambda clean, output: speech_quality.dnsmos_score(output, sampling_rate=rate),
        "haspi": partial(hearing_aid.haspi, **worn),
        "hasqi": partial(hearing_aid.hasqi, **worn),
    }

"""Noise, and its mixing with speech at a signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import SampleError

FRAME_S = 0.02
ACTIVE_RANGE_DB = 30.0
BABBLE_TALKERS = 6
SPECTRUM_WINDOW = 1024
"""Samples in which the spectrum of speech is taken."""

Waveform = NDArray[np.float32]


def make_noise(
    kind: str,
    n_samples: int,
    sampling_rate: int,
    *,
    rng: np.random.Generator,
    others: Sequence[Waveform] = (),
) -> Waveform:
    """Return noise of unit RMS.

    Args:
        kind: ``white``; ``pink`` (power falls by 3 dB per octave); ``speech_shaped`` (Gaussian noise with
            the long-term spectrum of ``others``); ``babble`` (six of ``others``, equally loud, summed).
        n_samples: Length.
        sampling_rate: In Hz, of the noise and of ``others``.
        rng: Source of randomness.
        others: Speech by others, float32, shape (n,) each.

    Returns:
        float32, shape (n_samples,).

    Raises:
        SampleError: ``others`` is empty where the kind needs it.
    """
    if kind in ("babble", "speech_shaped") and not others:
        raise SampleError(
            "no_noise_source", f"{kind} noise", "the set has no other recordings to make it from"
        )
    match kind:
        case "white":
            noise = rng.standard_normal(n_samples)
        case "pink":
            noise = _shaped(
                n_samples, rng, lambda frequency: 1 / np.sqrt(np.maximum(frequency, 20.0)), sampling_rate
            )
        case "speech_shaped":
            noise = _speech_shaped(n_samples, sampling_rate, rng, others)
        case "babble":
            noise = _babble(n_samples, rng, others)
        case _:
            raise ValueError(f"unknown noise {kind!r}")
    return np.asarray(noise / np.sqrt(np.mean(np.square(noise))), dtype=np.float32)


def active_level(speech: Waveform, sampling_rate: int) -> float:
    """Return the RMS over the active speech: the 20 ms frames within 30 dB of the loudest one.

    Pauses do not count, so that a recording with long pauses is not mixed with too little noise.
    """
    size = max(1, round(FRAME_S * sampling_rate))
    n_frames = max(1, len(speech) // size)
    frames = speech[: n_frames * size].astype(np.float64)
    power = np.mean(np.square(frames.reshape(n_frames, -1)), axis=1)
    active = power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return float(np.sqrt(power[active].mean()))


def mix_at_snr(speech: Waveform, noise: Waveform, snr_db: float, sampling_rate: int) -> Waveform:
    """Return speech plus noise, scaled so that active speech level over noise RMS is ``snr_db``.

    Args:
        speech: float32, shape (n,).
        noise: float32, shape (n,).
        snr_db: Signal-to-noise ratio in dB.
        sampling_rate: In Hz.

    Returns:
        float32, shape (n,); it may exceed ±1.
    """
    noise_rms = float(np.sqrt(np.mean(np.square(noise, dtype=np.float64))))
    gain = active_level(speech, sampling_rate) / (10 ** (snr_db / 20) * noise_rms)
    return np.asarray(speech + gain * noise, dtype=np.float32)


def within_full_scale(waveform: Waveform) -> Waveform:
    """Return a waveform scaled down as a whole where it would exceed ±1: never clipped."""
    peak = float(np.abs(waveform).max())
    return np.asarray(waveform / peak, dtype=np.float32) if peak > 1 else waveform


def _shaped(
    n_samples: int,
    rng: np.random.Generator,
    magnitude: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    sampling_rate: int,
) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequency = np.asarray(np.fft.rfftfreq(n_samples, 1 / sampling_rate), dtype=np.float64)
    return np.fft.irfft(spectrum * magnitude(frequency), n_samples)


def _speech_shaped(
    n_samples: int, sampling_rate: int, rng: np.random.Generator, others: Sequence[Waveform]
) -> NDArray[np.float64]:
    frequency, power = long_term_spectrum(np.concatenate(others), sampling_rate)
    amplitude = np.sqrt(power)
    return _shaped(n_samples, rng, lambda f: np.interp(f, frequency, amplitude), sampling_rate)


def long_term_spectrum(
    speech: Waveform, sampling_rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies in Hz and relative power by Welch's method: Hann windows that overlap by half.

    As ``scipy.signal.welch``, in proportion, which transforms window by window and takes four times as long.

    Args:
        speech: float32, shape (n,).
        sampling_rate: In Hz.
    """
    size = min(SPECTRUM_WINDOW, len(speech))
    frames = np.lib.stride_tricks.sliding_window_view(speech, size)[:: max(1, size - size // 2)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    hann = np.hanning(size + 1)[:-1]
    power = np.square(np.abs(np.fft.rfft(frames * hann, axis=1))).mean(axis=0)
    return np.asarray(np.fft.rfftfreq(size, 1 / sampling_rate), dtype=np.float64), power


def _babble(n_samples: int, rng: np.random.Generator, others: Sequence[Waveform]) -> NDArray[np.float64]:
    total = np.zeros(n_samples)
    for index in rng.choice(len(others), size=BABBLE_TALKERS, replace=len(others) < BABBLE_TALKERS):
        talker = others[int(index)].astype(np.float64)
        start = int(rng.integers(len(talker)))
        looped = np.resize(np.roll(talker, -start), n_samples)
        total += looped / max(float(np.sqrt(np.mean(np.square(talker)))), 1e-9)
    return total

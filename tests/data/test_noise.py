from __future__ import annotations

import numpy as np
import pytest

from forgetbench.data.noise import (
    active_level,
    long_term_spectrum,
    make_noise,
    mix_at_snr,
    within_full_scale,
)
from forgetbench.errors import SampleError

RATE = 16_000


def tone(seconds: float = 1.0, frequency: float = 300.0, amplitude: float = 0.1) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def octave_power(noise: np.ndarray, low: float) -> float:
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
    return float(power[(frequency >= low) & (frequency < 2 * low)].sum())


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_mixture_has_the_snr_that_was_asked_for(snr_db: float) -> None:
    speech = tone()
    noise = make_noise("white", len(speech), RATE, rng=np.random.default_rng(0))
    added = mix_at_snr(speech, noise, snr_db, RATE) - speech
    measured = 20 * np.log10(np.sqrt(np.mean(speech**2)) / np.sqrt(np.mean(added**2)))
    assert measured == pytest.approx(snr_db, abs=0.05)


def test_pauses_do_not_lower_the_level_of_speech() -> None:
    with_pause = np.concatenate([tone(), np.zeros(2 * RATE, dtype=np.float32)])
    assert active_level(with_pause, RATE) == pytest.approx(active_level(tone(), RATE), rel=1e-3)


def test_a_loud_mixture_is_scaled_as_a_whole_instead_of_clipped() -> None:
    speech = tone(amplitude=0.9)
    noise = make_noise("white", len(speech), RATE, rng=np.random.default_rng(1))
    mixed = within_full_scale(mix_at_snr(speech, noise, -10, RATE))
    assert np.abs(mixed).max() == pytest.approx(1.0)
    assert np.sum(np.abs(mixed) == 1.0) == 1


def test_pink_noise_has_equal_power_in_each_octave_and_white_has_not() -> None:
    pink = make_noise("pink", 30 * RATE, RATE, rng=np.random.default_rng(2))
    white = make_noise("white", 30 * RATE, RATE, rng=np.random.default_rng(2))
    assert octave_power(pink, 2000) / octave_power(pink, 250) == pytest.approx(1, rel=0.1)
    assert octave_power(white, 2000) / octave_power(white, 250) == pytest.approx(8, rel=0.1)


def test_speech_shaped_noise_has_the_spectrum_of_the_speech() -> None:
    noise = make_noise("speech_shaped", 4 * RATE, RATE, rng=np.random.default_rng(3), others=[tone(2, 1000)])
    assert octave_power(noise, 800) > 100 * octave_power(noise, 4000)


@pytest.mark.parametrize("n_samples", [300, 20_001])
def test_the_spectrum_of_speech_is_scipys(n_samples: int) -> None:
    from scipy.signal import welch

    speech = np.random.default_rng(5).standard_normal(n_samples).astype(np.float32)
    frequency, power = long_term_spectrum(speech, 16_000)
    expected_frequency, expected = welch(speech, 16_000, nperseg=min(1024, n_samples))
    inner = slice(1, -1)  # a one-sided spectrum counts all but the ends twice
    assert frequency == pytest.approx(expected_frequency)
    assert power[inner] / power[inner].sum() == pytest.approx(
        expected[inner] / expected[inner].sum(), rel=1e-4
    )


def test_noise_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    others = [tone(1, 200 + 50 * i) for i in range(8)]

    def babble(seed: int) -> np.ndarray:
        return make_noise("babble", RATE, RATE, rng=np.random.default_rng(seed), others=others)

    assert np.array_equal(babble(4), babble(4))
    assert not np.allclose(babble(4), babble(5))


@pytest.mark.parametrize("kind", ["babble", "speech_shaped"])
def test_noise_of_speech_needs_other_recordings(kind: str) -> None:
    with pytest.raises(SampleError, match="no other recordings"):
        make_noise(kind, RATE, RATE, rng=np.random.default_rng(0))

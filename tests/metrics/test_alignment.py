from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, lfilter

from forgetbench.metrics.alignment import find_delay, undelayed
from metrics.speech_clips import RATE, Waveform, real_pairs, synthetic_pair


def late(waveform: Waveform, samples: int) -> Waveform:
    return np.concatenate([np.zeros(samples, dtype=np.float32), waveform])


def delay_of(heard: Waveform, output: Waveform) -> int | None:
    return find_delay(heard, output, sampling_rate=RATE)


@pytest.mark.parametrize("samples", [0, 1, 7, 160, 320, 4000, 7999])
@pytest.mark.parametrize("gain", [1.0, -1.0, 0.01])
def test_a_delay_is_found_to_the_sample_whatever_gain_and_polarity(samples: int, gain: float) -> None:
    _, noisy = synthetic_pair()
    assert delay_of(noisy, np.float32(gain) * late(noisy, samples)) == samples


def test_an_output_that_starts_early_has_a_negative_delay() -> None:
    _, noisy = synthetic_pair()
    assert delay_of(noisy, noisy[100:]) == -100


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.03, 0.1])
def test_removing_the_noise_does_not_move_the_delay(noise: float) -> None:
    clean, noisy = synthetic_pair(noise=noise)
    assert delay_of(noisy, late(clean, 320)) == 320


def test_clipping_and_a_smooth_filter_do_not_move_it_by_more_than_their_own_delay() -> None:
    _, noisy = synthetic_pair()
    assert delay_of(noisy, late(np.clip(30 * noisy, -1, 1), 50)) == 50
    found = delay_of(noisy, lfilter(*butter(2, 3500, fs=RATE), late(noisy, 50)).astype(np.float32))
    assert found is not None and 50 <= found <= 53


def test_an_output_that_has_nothing_of_the_input_has_no_delay() -> None:
    _, noisy = synthetic_pair()
    for seed in range(100, 110):
        noise = np.random.default_rng(seed).standard_normal(len(noisy)).astype(np.float32)
        assert delay_of(noisy, noise) is None
    assert delay_of(noisy, np.zeros_like(noisy)) is None
    assert delay_of(noisy, noisy[:1]) is None


def test_a_50_ms_clip_is_aligned() -> None:
    _, noisy = synthetic_pair()
    clip = noisy[4000:4800]
    assert delay_of(clip, late(clip, 30)) == 30


def test_undelayed_output_is_the_input_again() -> None:
    _, noisy = synthetic_pair()
    assert np.array_equal(undelayed(late(noisy, 320), 320, len(noisy)), noisy)
    early = undelayed(noisy[100:], -100, len(noisy))
    assert np.array_equal(early[100:], noisy[100:]) and not early[:100].any()
    assert undelayed(noisy, 0, 10).shape == (10,)
    assert undelayed(noisy[:3], -20, 10).tolist() == [0.0] * 10


def rnnoise(noisy: Waveform) -> Waveform:
    """RNNoise itself, frame by frame at 48 kHz, without anything of ours around it."""
    import soxr

    core = import_module("pyrnnoise.rnnoise")
    at_48k = soxr.resample(noisy, RATE, core.SAMPLE_RATE)
    padded = np.pad(at_48k, (0, -len(at_48k) % core.FRAME_SIZE))
    frames = (np.clip(padded, -1, 1) * 32767).astype(np.int16).reshape(-1, 1, core.FRAME_SIZE)
    state = core.create()
    try:
        denoised = [core.process_frame([state], frame)[0][0] for frame in frames]
    finally:
        core.destroy(state)
    output = np.concatenate(denoised).astype(np.float32) / np.float32(32767)
    return np.asarray(soxr.resample(output, core.SAMPLE_RATE, RATE), dtype=np.float32)


@pytest.mark.realdata
def test_rnnoise_is_found_to_be_320_samples_late_at_16_khz(test_data: Path) -> None:
    for pair in real_pairs(test_data):
        assert delay_of(pair.noisy, rnnoise(pair.noisy)) == 320
        assert delay_of(pair.noisy, -rnnoise(pair.noisy)) == 320


@pytest.mark.realdata
def test_the_delay_is_the_same_when_much_more_noise_is_taken_away(test_data: Path) -> None:
    for pair in real_pairs(test_data):
        noise = np.random.default_rng(0).standard_normal(len(pair.noisy)).astype(np.float32)
        noisier = pair.noisy + np.float32(0.05) * noise
        assert delay_of(noisier, rnnoise(noisier)) == 320
        assert delay_of(noisier, pair.clean) == 0

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from forgetbench.data.audio import duration_s, is_silent, listenable, read_audio, read_bytes, resample
from forgetbench.errors import SampleError

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)


def encoded(samples: np.ndarray, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def wav_that_says(rate: int) -> bytes:
    content = bytearray(encoded(NOISE))
    content[24:28] = rate.to_bytes(4, "little")
    return bytes(content)


def flac_that_says(n_samples: int) -> bytes:
    """A FLAC file with another number of samples in its header; 0 is that of a streamed file: not known."""
    content = bytearray(encoded(NOISE, kind="FLAC"))
    fields = int.from_bytes(content[18:26], "big")
    content[18:26] = (fields >> 36 << 36 | n_samples).to_bytes(8, "big")
    return bytes(content)


def test_stereo_becomes_the_mean_of_its_channels() -> None:
    stereo = np.stack([np.full(800, 0.5), np.full(800, -0.1)], axis=1)
    samples, rate = read_audio(encoded(stereo), "x")
    assert rate == 16_000
    assert samples.dtype == np.float32
    assert samples == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"this is no audio", "corrupt_audio"),
        (b"", "corrupt_audio"),
        (encoded(np.zeros(0)), "empty_audio"),
        (encoded(np.array([0.1, np.nan]), subtype="FLOAT"), "nonfinite_audio"),
        (wav_that_says(1), "corrupt_audio"),  # at 16 kHz it would be 16 000 times as long
        (wav_that_says(2_000_000_000), "corrupt_audio"),  # and this one would be nothing
        (flac_that_says(2**36 - 1), "truncated_audio"),  # 256 GB
    ],
    ids=["no audio", "no bytes", "no samples", "NaN", "1 Hz", "2 GHz", "too long a header"],
)
def test_unusable_audio_has_a_code(content: bytes, code: str) -> None:
    with pytest.raises(SampleError) as caught:
        read_audio(content, "x")
    assert caught.value.code == code


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "WAV"])
def test_a_truncated_file_is_an_error_and_not_a_shorter_recording(kind: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000)
    content = encoded(noise, kind=kind)
    with pytest.raises(SampleError) as caught:
        read_audio(content[: len(content) // 2], "x", expected_s=None if kind == "WAV" else 3.0)
    assert caught.value.code in ("truncated_audio", "corrupt_audio")


def test_a_flac_file_that_was_streamed_is_as_long_as_it_is(tmp_path: Path) -> None:
    samples, _ = read_audio(flac_that_says(0), "x")
    assert np.array_equal(samples, read_audio(encoded(NOISE, kind="FLAC"), "x")[0])
    (tmp_path / "x.flac").write_bytes(flac_that_says(0))
    assert duration_s(tmp_path / "x.flac", "x") == len(NOISE) / 16_000


def test_a_missing_file_has_a_code(tmp_path: Path) -> None:
    with pytest.raises(SampleError) as caught:
        read_bytes(tmp_path / "none.wav", "none.wav")
    assert caught.value.code == "missing_audio"


def test_resampling_keeps_a_tone() -> None:
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    down = resample(tone, 48_000, 16_000)
    assert len(down) == 16_000
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(down - expected)[500:-500].max() < 1e-3


def test_whatever_a_model_returned_can_be_listened_to() -> None:
    returned = np.array([0.5, np.nan, np.inf, -np.inf, 3e38, -3e38, 2.0], np.float32)
    heard = listenable(returned)
    assert heard.tolist() == [0.5, 0.0, 1.0, -1.0, 1e6, -1e6, 2.0]
    assert heard.dtype == np.float32


@pytest.mark.parametrize(
    ("samples", "silent"),
    [
        ([], True),
        ([0.0] * 9, True),
        ([np.nan] * 9, True),
        ([0.0, 2**-16, -(2**-16)], True),
        ([0.0, 2**-15], False),
        ([np.nan, 0.1], False),
        ([np.inf], False),
    ],
)
def test_silence_is_what_16_bits_would_hold_as_zeros(samples: list[float], silent: bool) -> None:
    assert is_silent(np.array(samples, dtype=np.float32)) is silent

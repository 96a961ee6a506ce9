from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from forgetbench.data.noise_recordings import NoiseRecordings, go_round
from forgetbench.errors import DataError, SampleError

RATE = 16_000


def hum(seconds: float, rate: int = RATE, frequency: float = 100.0) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def piece(recordings: NoiseRecordings, n: int, seed: int = 0) -> np.ndarray:
    return recordings.piece(n, RATE, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_every_format_and_rate_gives_noise_of_unit_rms(tmp_path: Path, ending: str, rate: int) -> None:
    soundfile.write(tmp_path / f"noise.{ending}", hum(2, rate), rate)
    for n in (8000, 40_000):
        found = piece(NoiseRecordings(tmp_path), n)
        assert len(found) == n
        assert np.sqrt(np.mean(found**2)) == pytest.approx(1)
        assert np.argmax(np.abs(np.fft.rfft(found))) * RATE / n == pytest.approx(100, abs=RATE / n)


def test_a_streamed_flac_file_that_does_not_say_its_length_is_noise_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.flac", hum(2), RATE)
    content = bytearray((tmp_path / "noise.flac").read_bytes())
    content[21] &= 0xF0  # with the four bytes after it: the number of samples, 0 where it is not known
    content[22:26] = bytes(4)
    (tmp_path / "noise.flac").write_bytes(content)
    for n in (8000, 40_000):
        assert len(piece(NoiseRecordings(tmp_path), n)) == n


def test_a_piece_is_the_seeds_and_not_the_names(tmp_path: Path) -> None:
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", np.random.default_rng(i).uniform(-0.5, 0.5, 48_000), RATE)
    before = NoiseRecordings(tmp_path)
    heard = piece(before, 8000, seed=1)
    assert np.array_equal(heard, piece(before, 8000, seed=1))
    assert not np.allclose(heard, piece(before, 8000, seed=2))
    (tmp_path / "0.wav").rename(tmp_path / "zzz.wav")
    renamed = NoiseRecordings(tmp_path)
    assert renamed.digest == before.digest
    assert np.array_equal(heard, piece(renamed, 8000, seed=1))


def test_another_recording_is_another_digest(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", hum(1), RATE)
    before = NoiseRecordings(tmp_path).digest
    soundfile.write(tmp_path / "b.wav", hum(2), RATE)
    assert NoiseRecordings(tmp_path).digest != before


def test_a_short_recording_goes_round_without_a_click() -> None:
    recording = hum(1.007).astype(np.float32)  # A hard joint would jump by a large part of the amplitude.
    looped = go_round(recording, 5 * RATE, start=777, rate=RATE)
    step = np.abs(np.diff(recording)).max()
    assert np.abs(np.diff(looped)).max() < 3 * step
    assert np.abs(np.diff(np.resize(recording, 5 * RATE))).max() > 5 * step


def test_silence_is_drawn_again_and_named_where_there_is_nothing_else(tmp_path: Path) -> None:
    loud = np.concatenate([np.zeros(RATE * 30), hum(30)])
    soundfile.write(tmp_path / "a.wav", loud, RATE)
    assert all(np.any(piece(NoiseRecordings(tmp_path), 800, seed=seed)) for seed in range(10))
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(RATE * 60), hum(0.01)]), RATE)
    with pytest.raises(SampleError) as caught:
        piece(NoiseRecordings(tmp_path), 100)
    assert caught.value.code == "silent_noise"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"no audio", "cannot be decoded"), (b"", "cannot be decoded")],
)
def test_what_cannot_be_used_is_named_at_once(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "noise.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"noise\.wav.*{message}"):
        NoiseRecordings(path)


def test_an_empty_folder_and_a_silent_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no audio files"):
        NoiseRecordings(tmp_path)
    soundfile.write(tmp_path / "zero.wav", np.zeros(800), RATE)
    with pytest.raises(DataError, match=r"zero\.wav: is silent"):
        NoiseRecordings(tmp_path)

"""Audio that a model returned: what is stored, under which name, and what comes back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from forgetbench.engine.audio_store import get, is_intact, put
from forgetbench.engine.returned_audio import as_mono
from forgetbench.errors import SampleError, StorageError
from forgetbench.models.interface import Audio
from forgetbench.paths import cache_root
from forgetbench.schema.sample import AudioFile


def audio(samples: Any, sampling_rate: Any = 16_000) -> Audio:
    return Audio(samples=samples, sampling_rate=sampling_rate)


def noise(n: int = 1_000) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(n).astype(np.float32)


def path_of(file: AudioFile) -> Any:
    return cache_root() / "audio" / file.sha256[:2] / f"{file.sha256}.wav"


@pytest.mark.parametrize(
    "samples",
    [noise(), 100 * noise(), np.zeros(800, np.float32), np.zeros(0, np.float32)],
    ids=["noise", "beyond full scale", "silent", "empty"],
)
def test_what_was_put_comes_back_bit_for_bit(samples: NDArray[np.float32]) -> None:
    file = put(audio(samples, 48_000))
    back = get(file)
    assert back.samples.dtype == np.float32 and back.sampling_rate == 48_000
    assert back.samples.tobytes() == samples.tobytes()
    assert (file.n_samples, file.sampling_rate) == (len(samples), 48_000)


def test_nan_and_infinity_survive() -> None:
    samples = np.array([0.5, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(get(put(audio(samples))).samples, samples)


def test_other_programs_can_open_the_file() -> None:
    file = put(audio(noise(), 22_050))
    samples, rate = soundfile.read(io.BytesIO(path_of(file).read_bytes()), dtype="float32")
    np.testing.assert_array_equal(samples, noise())
    assert rate == 22_050


def test_equal_audio_is_one_file_and_its_name_is_its_content() -> None:
    assert put(audio(noise())) == put(audio(noise()))
    assert put(audio(noise())).sha256 != put(audio(noise(), 8_000)).sha256
    assert len(list((cache_root() / "audio").rglob("*.wav"))) == 2


@pytest.mark.parametrize("harm", ["gone", "damaged", "cut off"])
def test_lost_audio_is_noticed_and_mended_by_putting_it_again(harm: str) -> None:
    file = put(audio(noise()))
    path = path_of(file)
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-4] if harm == "cut off" else content[:-1] + b"\x7f")
    assert not is_intact(file)
    with pytest.raises(SampleError) as error:
        get(file)
    assert error.value.code == "lost_audio"
    assert put(audio(noise())) == file and is_intact(file)


def test_a_cache_that_cannot_be_written_is_said_in_one_line() -> None:
    cache_root().mkdir(parents=True)
    (cache_root() / "audio").write_text("in the way")
    with pytest.raises(
        StorageError, match=r"cannot be written \(Not a directory\)|cannot be written \(File exists\)"
    ):
        put(audio(noise()))


@pytest.mark.parametrize("shape", [(1_000,), (1, 1_000), (1_000, 1), (1, 1, 1_000)])
def test_axes_of_one_are_dropped(shape: tuple[int, ...]) -> None:
    mono = as_mono(audio(noise().reshape(shape)), sampling_rate=16_000)
    np.testing.assert_array_equal(mono.audio.samples, noise())
    assert mono.n_channels == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_several_channels_are_averaged_and_counted(axis: int) -> None:
    stereo = np.stack([noise(), 0.5 * noise()], axis=axis)
    mono = as_mono(audio(stereo), sampling_rate=16_000)
    np.testing.assert_allclose(mono.audio.samples, 0.75 * noise(), rtol=1e-6)
    assert put(mono.audio, n_channels=mono.n_channels).n_channels == 2


@pytest.mark.parametrize("rate", [0, -16_000, float("nan"), 10**9, None])
def test_sound_at_a_rate_that_nothing_plays_is_kept_as_silence(rate: float | None) -> None:
    mono = as_mono(audio(noise(), rate), sampling_rate=16_000)
    assert len(mono.audio.samples) == len(noise()) and not mono.audio.samples.any()
    assert mono.audio.sampling_rate == 16_000


@pytest.mark.parametrize(
    "samples", [[], np.zeros((2, 0)), np.zeros((1, 0)), [0.25, -0.25], np.ones(4), np.full(3, 1e300)]
)
def test_any_floats_are_stored_as_float32(samples: Any) -> None:
    mono = as_mono(audio(samples, 16_000.0), sampling_rate=8_000)
    assert mono.audio.samples.dtype == np.float32 and mono.audio.sampling_rate == 16_000
    assert get(put(mono.audio)).samples.shape == (np.asarray(samples).size,)


@pytest.mark.parametrize("returned", [None, audio(None)])
def test_no_audio_is_an_empty_answer(returned: Any) -> None:
    mono = as_mono(returned, sampling_rate=22_050)
    assert (len(mono.audio.samples), mono.audio.sampling_rate) == (0, 22_050)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (np.zeros(4, np.float32), "ndarray, not Audio"),
        (audio(np.zeros(4, np.int16)), "int16 samples"),
        (audio(np.zeros(4, complex)), "complex128 samples"),
        (audio("speech"), "samples, not floats"),
        (audio(np.zeros((2, 3, 4))), r"shape \(2, 3, 4\)"),
        (audio(np.float32(1.0)), r"shape \(\)"),
        (audio(noise(), "16 kHz"), "sampling rate that is str"),
    ],
)
def test_what_is_no_audio_is_a_fault_of_the_loader(returned: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        as_mono(returned, sampling_rate=16_000)

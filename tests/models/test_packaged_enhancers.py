"""RNNoise and DeepFilterNet3, as the packages install them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forgetbench.data.audio import read_audio, resample
from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio, Enhancer
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings

RATE = 48_000
DELAYS = {"rnnoise": 960, "deepfilternet3": 1_440}


@pytest.fixture(params=DELAYS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def enhancer(name: str) -> Any:
    model = load(resolve(name).components["enhancer"], LoadSettings())
    assert isinstance(model, Enhancer)
    return model


def enhance(model: Any, *clips: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    returned = model.enhance([Audio(samples=clip, sampling_rate=RATE) for clip in clips])
    assert all(audio.sampling_rate == RATE for audio in returned)
    return [audio.samples for audio in returned]


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """A second of a sentence that ships with the project."""
    recordings = Path(__file__).parents[2] / "tasks" / "hearing" / "mini" / "audio" / "everyday_test"
    samples, rate = read_audio(sorted(recordings.iterdir())[0].read_bytes(), "speech")
    return resample(samples, rate, RATE)[:RATE]


def test_it_is_an_enhancer_with_a_fingerprint_of_its_files(name: str) -> None:
    component = resolve(name).components["enhancer"]
    assert component.capabilities == ("enhance",) and component.source == name
    long = {"rnnoise": "rnnoise:rnnoise", "deepfilternet3": "deepfilternet:deepfilternet3"}[name]
    assert resolve(f"forgetbench.models.{long}").fingerprint == component.fingerprint
    other = next(n for n in DELAYS if n != name)
    assert resolve(other).fingerprint != component.fingerprint


def test_its_size_is_known() -> None:
    rnnoise, deepfilternet = (resolve(name).components["enhancer"] for name in DELAYS)
    assert deepfilternet.parameters == 2_134_649, "published: 2.13 M"
    assert deepfilternet.bytes == 7_983_136
    # A convolution of 65 features to 128 over 3 frames, one of 128 to 384 over 3, three GRUs of 384 of which
    # each gate's matrix keeps its share, and two dense layers.
    dense = 3 * 65 * 128 + 128 + 3 * 128 * 384 + 384 + 1_536 * 33 + 33
    assert rnnoise.parameters == dense + 3 * (2 * 442_368 + 2 * 1_152 + 1_152)
    assert rnnoise.bytes == 14_748_164


def test_it_stands_in_a_system_beside_a_recogniser(made: Any) -> None:
    system = resolve(f"asr={made / 'whisper'},enhancer=rnnoise")
    assert list(system.components) == ["enhancer", "asr"]
    assert system.component_for("enhance") is system.components["enhancer"]


def test_the_output_lags_by_what_is_documented_and_keeps_its_end(
    name: str, speech: NDArray[np.float32]
) -> None:
    (made,) = enhance(enhancer(name), speech)
    assert len(made) == len(speech) + DELAYS[name]
    correlation = np.correlate(made, speech, mode="valid")
    assert abs(int(np.argmax(correlation)) - DELAYS[name]) <= 1


def test_noise_becomes_weaker(name: str) -> None:
    rng = np.random.default_rng(1)
    noise = (0.05 * rng.standard_normal(RATE)).astype(np.float32)
    (made,) = enhance(enhancer(name), noise)
    late = slice(RATE // 2, RATE)
    assert np.std(made[late]) < 0.5 * np.std(noise[late])


def test_a_clip_hears_nothing_of_the_clips_before_it(name: str, speech: NDArray[np.float32]) -> None:
    model = enhancer(name)
    alone = enhance(model, speech[: RATE // 2])[0]
    after_another = enhance(model, speech[::-1].copy(), speech[: RATE // 2])[1]
    np.testing.assert_array_equal(after_another, alone)


UNUSUAL: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "silent": np.zeros_like,
    "50 ms": lambda speech: speech[: RATE // 20],
    "clipped": lambda speech: np.clip(50 * speech, -1, 1),
    "shorter than a frame": lambda speech: speech[:100],
    "beyond full scale": lambda speech: 20 * speech,
    "a view with steps": lambda speech: speech[::2],
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_unusual_input_is_answered_with_finite_audio(
    name: str, what: str, speech: NDArray[np.float32]
) -> None:
    clip = UNUSUAL[what](speech)
    (made,) = enhance(enhancer(name), clip)
    assert len(made) == len(clip) + DELAYS[name] and np.isfinite(made).all()
    assert np.any(made) or what != "clipped"
    assert not np.any(made) or what != "silent"


def test_no_samples_give_no_samples(name: str) -> None:
    assert [len(made) for made in enhance(enhancer(name), np.zeros(0, np.float32))] == [0]


def test_nan_in_gives_nan_out_and_spoils_no_other_clip(name: str, speech: NDArray[np.float32]) -> None:
    clip = speech.copy()
    clip[500] = np.nan
    model = enhancer(name)
    assert np.isnan(enhance(model, clip)[0]).any()
    assert np.isfinite(enhance(model, speech)[0]).all()


def test_audio_at_another_rate_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="16000 Hz, the model works at 48000 Hz"):
        enhancer(name).enhance([Audio(samples=np.ones(9, np.float32), sampling_rate=16_000)])


@pytest.mark.parametrize(
    ("name", "command"),
    [("rnnoise", r"forgetbench\[rnnoise\]"), ("deepfilternet3", r"forgetbench\[deepfilternet\]")],
)
def test_a_missing_package_is_said_with_the_command_that_installs_it(
    name: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match=command):
        resolve(name)

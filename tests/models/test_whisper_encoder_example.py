"""The documented example of a Whisper's encoder as a factory, on tiny ones; real weights are in realdata."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import speech_like

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIPS = [speech_like(seed, 0.5 + seed / 10) for seed in range(3)]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("whisper_encoder")


def test_a_layer_is_averaged_over_the_frames_of_the_clip(example: Any, made: Path) -> None:
    """The rest of the 30 s is not the clip: what is in its frames is left out."""
    encoder = example.WhisperEncoder(str(made / "whisper"))
    found = encoder.embed(CLIPS)
    whole: Any = load(resolve(str(made / "whisper")).components["asr"], LoadSettings())
    extractor, net = whole.processor.feature_extractor, whole.model.model.encoder
    heard = extractor(CLIPS[2].samples, sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        states = net(heard, output_hidden_states=True).hidden_states
    assert found[2].shape == (len(net.layers) + 1, net.config.d_model)
    expected = np.stack([state[0, :35].mean(dim=0).numpy() for state in states])
    np.testing.assert_allclose(found[2], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(encoder.embed(CLIPS[2:])[0], found[2])


@pytest.mark.parametrize("n_samples", [0, 1, 31 * 16_000])
def test_a_clip_of_any_length_has_features(example: Any, made: Path, n_samples: int) -> None:
    clip = Audio(samples=np.zeros(n_samples, np.float32), sampling_rate=16_000)
    encoders = (example.WhisperEncoder(str(made / "whisper")), example.log_mel())
    for encoder in encoders:
        (layers,) = encoder.embed([clip])
        assert np.isfinite(layers).all() and layers.ndim == 2


@pytest.fixture
def deep(made: Path, tmp_path: Path) -> str:
    """The tiny Whisper with three layers in its encoder: one layer has no order."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    folder = shutil.copytree(made / "whisper", tmp_path / "deep")
    torch.manual_seed(1)
    config = WhisperConfig.from_pretrained(folder, encoder_layers=3)
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def test_a_change_changes_features_and_fingerprint(example: Any, deep: str) -> None:
    plain = example.WhisperEncoder(deep)
    for change in (example.reverse_layers, example.draw_weights):
        changed = example.WhisperEncoder(deep, change)
        assert changed.fingerprint != plain.fingerprint
        assert np.abs(changed.embed(CLIPS)[0][-1] - plain.embed(CLIPS)[0][-1]).max() > 1e-4
        again = example.WhisperEncoder(deep, change)
        np.testing.assert_array_equal(again.embed(CLIPS)[0], changed.embed(CLIPS)[0])
    first = example.WhisperEncoder(deep, example.reverse_layers).embed(CLIPS)[0][0]
    np.testing.assert_array_equal(first, plain.embed(CLIPS)[0][0])


def test_the_variable_names_the_checkpoint(example: Any, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHISPER", raising=False)
    with pytest.raises(CheckpointError, match="WHISPER is not set"):
        resolve("whisper_encoder:trained")
    monkeypatch.setenv("WHISPER", str(made / "whisper"))
    component = resolve("whisper_encoder:trained").components["asr"]
    assert component.capabilities == ("embed",)
    model: Any = load(component, LoadSettings())
    assert len(model.embed(CLIPS)) == len(CLIPS)


def test_what_is_no_whisper_is_refused(example: Any, speech_models: Callable[[str], Path]) -> None:
    with pytest.raises(CheckpointError, match="is no Whisper"):
        example.WhisperEncoder(str(speech_models("hubert")))

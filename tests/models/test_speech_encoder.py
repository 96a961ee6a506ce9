"""Encoders without a head: what their layers hold, and that moved layers are found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models.checkpoint import resolve
from forgetbench.models.load import load
from forgetbench.models.speech_encoder import SpeechEncoder
from forgetbench.report.html.page import html_report
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import ctc_settings, speech_like
from tiny_tasks import write_task


def save(folder: Path, architecture: str, *, seed: int = 0, shuffled: bool = False, layers: int = 4) -> Path:
    import transformers

    torch.manual_seed(seed)
    model_class: Any = getattr(transformers, architecture)
    settings = ctc_settings(num_hidden_layers=layers, initializer_range=0.4)
    model = model_class(model_class.config_class(**settings)).eval()
    if shuffled:
        net = getattr(model, model.base_model_prefix, model)
        net.encoder.layers = torch.nn.ModuleList(net.encoder.layers[i] for i in (2, 0, 3, 1))
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def encoder(path: Path) -> SpeechEncoder:
    model = load(resolve(str(path)).components["asr"], LoadSettings())
    assert isinstance(model, SpeechEncoder)
    return model


def probed(model: Path, base: Path, folder: Path) -> Result:
    """Run a probe task whose label is the pitch of a tone in noise."""
    rng, rows = np.random.default_rng(0), []
    for i in range(40):
        label = ("low", "high")[i % 2]
        time_s = np.arange(8_000) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * (200 if label == "low" else 1_500) * time_s)
        samples = tone + rng.normal(0, 0.2, len(time_s))
        soundfile.write(folder / f"{i}.wav", samples, 16_000, subtype="FLOAT")
        rows.append({"id": f"p{i:02}", "audio": f"{i}.wav", "label": label})
    write_task(
        folder, "pitch", rows, kind="probe", fields={"answer": "label"}, metrics=["probe_acc"],
        primary="probe_acc",
    )  # fmt: skip
    request = Request(
        model=str(model), base=str(base), tasks=["tiny"], include_paths=[folder], output=folder / "results",
        offline=True,
    )  # fmt: skip
    return evaluate(prepare(request))


@pytest.mark.parametrize(
    "architecture", ["Wav2Vec2Model", "Wav2Vec2ForPreTraining", "HubertModel", "WavLMModel"]
)
def test_every_layer_is_averaged_over_time(architecture: str, tmp_path: Path) -> None:
    model = encoder(save(tmp_path / "model", architecture))
    clips = [speech_like(seed, 0.5 + seed / 10) for seed in range(3)]
    found = model.embed(clips)
    assert [each.shape for each in found] == [(5, 16)] * 3
    net = getattr(model.model, model.model.base_model_prefix, model.model)
    inputs = model.extractor([clips[2].samples], sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        states = net(inputs, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(found[2], np.stack([s[0].mean(dim=0).numpy() for s in states]), rtol=1e-5)
    np.testing.assert_array_equal(model.embed(clips[2:])[0], found[2])


def test_an_encoder_with_shuffled_layers_is_found_out(tmp_path: Path) -> None:
    """The same weights, in another order: the input of the first layer is unmoved, what follows is not."""
    base = save(tmp_path / "base", "Wav2Vec2Model")
    result = probed(save(tmp_path / "shuffled", "Wav2Vec2Model", shuffled=True), base, tmp_path)
    assert result.comparison is not None
    (drift,) = result.comparison.representation_drift
    assert drift.n == 40 and drift.cka[0] == pytest.approx(1, abs=1e-6)
    assert all(value is not None and value < 0.99 for value in drift.cka[1:])
    task = result.checkpoint.tasks[0]
    assert task.status == "done" and set(task.metrics) == {"probe_acc", "probe_acc_last"}


def test_an_encoder_whose_features_are_rubbish_loses_the_probe(tmp_path: Path) -> None:
    base = save(tmp_path / "base", "HubertModel")
    model = save(tmp_path / "flat", "HubertModel", seed=1)
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    flat = {name: value * 0 if "feature_projection" in name else value for name, value in weights.items()}
    save_file(flat, model / "model.safetensors", metadata={"format": "pt"})
    result = probed(model, base, tmp_path)
    assert result.comparison is not None
    (row,) = result.comparison.rows
    assert row.base is not None and row.base > 0.9
    assert row.degradation is not None and row.degradation > 0.2
    assert "features of 5 layers" in html_report([result])


def test_it_transcribes_nothing(tmp_path: Path) -> None:
    assert resolve(str(save(tmp_path / "model", "WavLMModel"))).capabilities == {"embed"}

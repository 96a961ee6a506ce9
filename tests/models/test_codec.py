"""Neural codecs as resynthesis: real architectures, tiny and random, saved and loaded as users' are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio, Enhancer
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings

SMALL: dict[str, Any] = {"num_filters": 4, "hidden_size": 16, "codebook_size": 32}


def encodec(stereo: bool = False) -> tuple[Any, Any]:
    from transformers import EncodecConfig, EncodecFeatureExtractor, EncodecModel

    chunks: dict[str, Any] = {"chunk_length_s": 0.1, "overlap": 0.01} if stereo else {}
    rate, channels = (48_000, 2) if stereo else (24_000, 1)
    kind: dict[str, Any] = (
        {"normalize": True, "use_causal_conv": False, "norm_type": "time_group_norm"} if stereo else {}
    )
    config = EncodecConfig(
        sampling_rate=rate, audio_channels=channels, target_bandwidths=[1.5, 3.0], codebook_dim=16,
        num_lstm_layers=1, **SMALL, **chunks, **kind,
    )  # fmt: skip
    extractor = EncodecFeatureExtractor(feature_size=channels, sampling_rate=rate, **chunks)
    return EncodecModel(config), extractor


def dac() -> tuple[Any, Any]:
    from transformers import DacConfig, DacFeatureExtractor, DacModel

    config = DacConfig(
        sampling_rate=16_000, encoder_hidden_size=8, decoder_hidden_size=32, n_codebooks=2, codebook_size=32,
        codebook_dim=4, downsampling_ratios=[2, 4, 8, 8], upsampling_ratios=[8, 8, 4, 2],
    )  # fmt: skip
    return DacModel(config), DacFeatureExtractor(sampling_rate=16_000, hop_length=512)


def mimi() -> tuple[Any, Any]:
    from transformers import EncodecFeatureExtractor, MimiConfig, MimiModel

    config = MimiConfig(
        sampling_rate=24_000, codebook_dim=8, vector_quantization_hidden_dimension=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, intermediate_size=16, head_dim=8, upsample_groups=16,
        num_quantizers=3, num_semantic_quantizers=1, sliding_window=50, **SMALL,
    )  # fmt: skip
    return MimiModel(config), EncodecFeatureExtractor(feature_size=1, sampling_rate=24_000)


CODECS = {
    "encodec": (encodec, "EncodecModel", 24_000),
    "encodec-stereo": (lambda: encodec(stereo=True), "EncodecModel", 48_000),
    "dac": (dac, "DacModel", 16_000),
    "mimi": (mimi, "MimiModel", 24_000),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codecs")
    for name, (build, _, _) in CODECS.items():
        torch.manual_seed(0)
        model, extractor = build()
        model.save_pretrained(folder / name)
        extractor.save_pretrained(folder / name)
    return folder


def codec(path: Path) -> Any:
    model = load(resolve(str(path)).components["enhancer"], LoadSettings())
    assert isinstance(model, Enhancer)
    return model


def clip(n: int, rate: int) -> Audio:
    samples = 0.1 * np.random.default_rng(n).standard_normal(n)
    return Audio(samples=samples.astype(np.float32), sampling_rate=rate)


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_directory_resynthesises_at_its_own_rate_and_keeps_the_length(name: str, saved: Path) -> None:
    _, architecture, rate = CODECS[name]
    component = resolve(str(saved / name)).components["enhancer"]
    assert (component.architecture, component.capabilities) == (architecture, ("enhance",))
    assert component.parameters is not None and component.parameters > 0
    model = codec(saved / name)
    assert model.sampling_rate == rate
    clips = [clip(n, rate) for n in (rate // 4, rate // 20, rate // 3 + 1)]
    for given, made in zip(clips, model.enhance(clips), strict=True):
        assert made.sampling_rate == rate and made.samples.dtype == np.float32
        assert made.samples.shape == given.samples.shape
        assert np.isfinite(made.samples).all() and np.any(made.samples)


@pytest.mark.parametrize("name", ["encodec", "dac", "mimi"])
def test_it_says_what_transformers_own_forward_says(name: str, saved: Path) -> None:
    import transformers

    _, architecture, rate = CODECS[name]
    given = clip(512 * 12, rate)
    original = getattr(transformers, architecture).from_pretrained(saved / name).eval()
    with torch.inference_mode():
        expected = original(torch.from_numpy(given.samples)[None, None]).audio_values
    (made,) = codec(saved / name).enhance([given])
    np.testing.assert_allclose(made.samples, np.ravel(expected)[: len(given.samples)], atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_a_clip_hears_nothing_of_the_clips_before_it(name: str, saved: Path) -> None:
    rate = CODECS[name][2]
    model = codec(saved / name)
    alone = model.enhance([clip(rate // 4, rate)])[0].samples
    beside = model.enhance([clip(rate // 5, rate), clip(rate // 4, rate)])[1].samples
    np.testing.assert_array_equal(alone, beside)


@pytest.mark.parametrize("name", CODECS)
def test_silence_and_loud_input_are_answered_with_finite_audio(name: str, saved: Path) -> None:
    rate = CODECS[name][2]
    clips = [np.zeros(rate // 4), np.zeros(0), np.sign(clip(rate // 4, rate).samples)]
    made = codec(saved / name).enhance(
        [Audio(samples=c.astype(np.float32), sampling_rate=rate) for c in clips]
    )
    assert [len(audio.samples) for audio in made] == [len(c) for c in clips]
    assert all(np.isfinite(audio.samples).all() for audio in made)


def test_a_directory_without_feature_extractor_is_refused(saved: Path, tmp_path: Path) -> None:
    encodec()[0].save_pretrained(tmp_path / "bare")
    with pytest.raises(
        CheckpointError, match=r"has no feature extractor.*feature_extractor\.save_pretrained"
    ):
        codec(tmp_path / "bare")

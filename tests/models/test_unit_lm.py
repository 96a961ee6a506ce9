"""A language model over the codes of an EnCodec: tokens, log-likelihoods, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio
from forgetbench.models.load import load
from forgetbench.models.unit_lm import UnitLM
from forgetbench.schema.run import LoadSettings
from tiny_unit_models import RATE, save_tiny_encodec, utterance


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("units") / "speech-lm"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4 * 32 + 1, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, bos_token_id=128,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tiny_encodec(folder / "codec")
    return folder


def unit_lm(folder: Path) -> UnitLM:
    model = load(resolve(str(folder)).components["lm"], LoadSettings())
    assert isinstance(model, UnitLM)
    return model


def clip(low: bool = True, n: int = RATE // 3) -> Audio:
    return Audio(samples=np.asarray(utterance(low, 0)[:n], dtype=np.float32), sampling_rate=RATE)


def test_a_directory_with_a_codec_predicts_speech_and_reads_no_text(saved: Path) -> None:
    checkpoint = resolve(str(saved))
    component = checkpoint.components["lm"]
    assert (component.architecture, component.capabilities) == ("UnitLM", ("score_audio",))
    assert checkpoint.capabilities == {"score_audio"}


def test_a_frame_is_its_codes_coarse_to_fine(saved: Path) -> None:
    model = unit_lm(saved)
    tokens = model.units.of(clip()).reshape(-1, 4)
    values = torch.from_numpy(clip().samples)[None, None]
    codes = model.units.codec.encode(values, bandwidth=1.5).audio_codes[0, 0]  # (codebooks, frames)
    assert tokens.shape == (25, 4)
    for codebook in range(4):
        assert torch.equal(tokens[:, codebook] - 32 * codebook, codes[codebook])


def test_the_log_likelihood_is_that_of_the_definition(saved: Path) -> None:
    """Unit by unit, each given the start token and all units before it, within the window of 64."""
    model = unit_lm(saved)
    short = clip(n=320 * 12)
    tokens = [model.units.start, *model.units.of(short).tolist()]
    expected = 0.0
    for i in range(1, len(tokens)):
        with torch.inference_mode():
            logits = model.model(torch.tensor([tokens[:i]])).logits[0, -1].double()
        expected += float(logits.log_softmax(-1)[tokens[i]])
    (score,) = model.score_audio([short])
    assert score.n_tokens == len(tokens) - 1 == 48
    assert score.logprob == pytest.approx(expected, abs=1e-4)


def test_what_is_longer_than_the_window_is_read_in_parts_and_predicted_once(saved: Path) -> None:
    model = unit_lm(saved)
    (score,) = model.score_audio([clip()])
    assert score.n_tokens == 100 and np.isfinite(score.logprob)
    rows = [model.units.start, *model.units.of(clip()).tolist()]
    expected = 0.0
    for first in (0, 64):
        part = torch.tensor([rows[first : first + 65]])
        with torch.inference_mode():
            logprobs = model.model(part[:, :-1]).logits[0].log_softmax(-1)
        expected += float(logprobs.gather(-1, part[0, 1:, None]).sum())
    assert score.logprob == pytest.approx(expected, abs=1e-3)


def test_a_clip_hears_nothing_of_the_clips_before_it(saved: Path) -> None:
    model = unit_lm(saved)
    assert model.score_audio([clip(), clip(low=False)])[1] == model.score_audio([clip(low=False)])[0]


def test_no_sound_has_no_units(saved: Path) -> None:
    (score,) = unit_lm(saved).score_audio([Audio(samples=np.zeros(0, np.float32), sampling_rate=RATE)])
    assert (score.logprob, score.n_tokens) == (0.0, 0)


def test_another_codec_is_another_checkpoint(saved: Path, tmp_path: Path) -> None:
    from transformers import EncodecModel

    shutil.copytree(saved, tmp_path / "other")
    codec = EncodecModel.from_pretrained(tmp_path / "other" / "codec")
    with torch.no_grad():
        next(codec.parameters()).add_(0.1)
    codec.save_pretrained(tmp_path / "other" / "codec")
    assert resolve(str(saved)).fingerprint != resolve(str(tmp_path / "other")).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebook_size": 256}, "no codebooks of 256 codes"),
        ({"audio_channels": 2}, "no EnCodec of one channel"),
        ({"target_bandwidths": [3.0]}, "a bandwidth of 4 codebooks"),
    ],
)
def test_a_codec_that_does_not_fit_is_refused(
    saved: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    from transformers import EncodecConfig, EncodecModel

    folder = tmp_path / "speech-lm"
    shutil.copytree(saved, folder)
    shutil.rmtree(folder / "codec")
    fields = {"num_filters": 4, "hidden_size": 16, "codebook_size": 32, "codebook_dim": 16}
    config = EncodecConfig(**{**fields, "num_lstm_layers": 1, "target_bandwidths": [1.5, 3.0], **change})
    EncodecModel(config).save_pretrained(folder / "codec")
    with pytest.raises(CheckpointError, match=message):
        unit_lm(folder)

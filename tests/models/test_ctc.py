"""CTC recognisers: each real architecture, tiny and random, by the path that a published checkpoint takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models import ctc
from forgetbench.models.checkpoint import resolve
from forgetbench.models.ctc import CtcRecogniser
from forgetbench.models.interface import Audio, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import CTC, make_wav2vec2, speech_like

Models = Callable[[str], Path]

DURATIONS_S = (1.0, 0.5, 2.3, 0.0, 0.01, 1.0)


def loaded(path: Path) -> CtcRecogniser:
    component = resolve(str(path)).components["asr"]
    assert component.capabilities == ("transcribe",)
    model = load(component, LoadSettings())
    assert isinstance(model, CtcRecogniser) and isinstance(model, SpeechRecogniser)
    return model


@pytest.mark.parametrize("name", CTC)
def test_a_transcript_does_not_depend_on_the_batch(name: str, speech_models: Models) -> None:
    model = loaded(speech_models(name))
    clips = [speech_like(seed, duration_s) for seed, duration_s in enumerate(DURATIONS_S)]
    together = model.transcribe(clips, language="en")
    assert together == [model.transcribe([clip], language="en")[0] for clip in clips]
    assert model.transcribe(clips[::-1], language="en") == together[::-1]
    assert len({output.text for output in together}) > 3
    assert model.transcribe([], language="en") == []


@pytest.mark.parametrize("name", CTC)
def test_only_models_that_heed_the_mask_are_padded(name: str, speech_models: Models) -> None:
    model = loaded(speech_models(name))
    assert model.pads == (name in {"wav2vec2-large", "hubert", "wavlm"})
    if not model.pads:  # the claim behind the rule: under a mask, a longer neighbour changes what is heard
        model.pads = True
        clips = [speech_like(1, 1.0).samples, speech_like(2, 3.0).samples]
        with torch.inference_mode():
            padded, alone = (heads(model, each)[0] for each in (clips, clips[:1]))
        assert (padded[: len(alone)] - alone).abs().max() > 1e-3


def heads(model: CtcRecogniser, clips: list[np.ndarray]) -> torch.Tensor:
    inputs = model.extractor(
        clips, sampling_rate=16_000, padding=True, return_attention_mask=True, return_tensors="pt"
    )
    logits: torch.Tensor = model.model(**inputs).logits
    return logits


def test_the_text_is_that_of_transformers_own_decoding(speech_models: Models) -> None:
    from transformers import AutoModelForCTC, AutoProcessor

    for name in ("wav2vec2-base", "wav2vec2-large"):
        path = speech_models(name)
        processor, plain = AutoProcessor.from_pretrained(path), AutoModelForCTC.from_pretrained(path)
        clip = speech_like(3, 1.7)
        with torch.inference_mode():
            logits = plain(**processor(clip.samples, sampling_rate=16_000, return_tensors="pt")).logits
        special = {"<s>", "</s>", "<unk>"}
        expected = processor.batch_decode(logits.argmax(-1))[0]
        for token in special:
            expected = expected.replace(token, "")
        assert loaded(path).transcribe([clip], language="en")[0].text == " ".join(expected.split())


def test_repeated_tokens_count_once_and_blanks_not_at_all(speech_models: Models) -> None:
    model = loaded(speech_models("wav2vec2-base"))
    ids = model.tokenizer.convert_tokens_to_ids(list("hh_e_ll_lloo||aa".replace("_", "\0")))
    blank, frames = model.tokenizer.pad_token_id, []
    for token, letter in zip(ids, "hh_e_ll_lloo||aa", strict=True):
        frames.append(blank if letter == "_" else token)
    output = model._output(torch.tensor(frames))
    assert output.text == "hello a" and output.n_tokens == 7 and not output.truncated


@pytest.mark.parametrize("name", ["wav2vec2-large", "hubert"])
def test_long_audio_is_heard_in_windows_that_are_stitched_frame_by_frame(
    name: str, speech_models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(speech_models(name))
    monkeypatch.setattr(model.extractor, "do_normalize", False)
    clip = speech_like(5, 7.3)
    with torch.inference_mode():
        whole = model._frames([clip.samples])[0]
        monkeypatch.setattr(ctc, "_WINDOW_S", 3.0)
        monkeypatch.setattr(ctc, "_CONTEXT_S", 0.5)
        stitched = torch.cat(list(model._stitched(clip.samples)))
    assert len(stitched) == len(whole)
    # Attention over 3 s instead of 7.3 s changes some frames; shifted by one frame, nearly all would differ.
    assert (stitched == whole).float().mean() > 0.9 > (stitched[1:] == whole[:-1]).float().mean()
    short = speech_like(6, 2.0)
    long, other = model.transcribe([clip, short], language="en")
    assert long == model._output(stitched) and other == model.transcribe([short], language="en")[0]


def test_audio_over_thirty_seconds_needs_no_setting(speech_models: Models) -> None:
    model = loaded(speech_models("wav2vec2-base"))
    assert model.transcribe([speech_like(7, 41.0)], language="en")[0].n_tokens > 100


def test_another_sampling_rate_is_refused(speech_models: Models) -> None:
    clip = Audio(samples=np.zeros(800, np.float32), sampling_rate=8_000)
    with pytest.raises(ValueError, match="8000 Hz"):
        loaded(speech_models("wav2vec2-base")).transcribe([clip], language="en")


def test_weights_that_only_training_uses_may_be_missing(speech_models: Models, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = Path(shutil.copytree(speech_models("wav2vec2-base"), tmp_path / "published"))
    state = load_file(path / "model.safetensors")
    del state["wav2vec2.masked_spec_embed"]
    save_file(state, path / "model.safetensors")
    clip = speech_like(1, 1.0)
    expected = loaded(speech_models("wav2vec2-base")).transcribe([clip], language="en")
    assert loaded(path).transcribe([clip], language="en") == expected
    del state["lm_head.bias"]
    save_file(state, path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks 1 weights of Wav2Vec2ForCTC, such as lm_head\.bias"):
        loaded(path)


def test_pickled_weights_are_refused(speech_models: Models, tmp_path: Path) -> None:
    path = Path(shutil.copytree(speech_models("wavlm"), tmp_path / "pickled"))
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only as a pickle \(pytorch_model.bin\)"):
        resolve(str(path))


def test_a_pretrained_model_without_a_head_can_be_probed(speech_models: Models, tmp_path: Path) -> None:
    path = Path(shutil.copytree(speech_models("hubert"), tmp_path / "pretrained"))
    config = json.loads((path / "config.json").read_text()) | {"architectures": ["HubertModel"]}
    (path / "config.json").write_text(json.dumps(config))
    assert resolve(str(path)).capabilities == {"embed"}


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (("vocab.json", "tokenizer_config.json"), "tokenizer"),
        (("processor_config.json",), "feature extractor"),
    ],
)
def test_what_is_missing_is_named(
    files: tuple[str, ...], what: str, speech_models: Models, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(speech_models("wav2vec2-base"), tmp_path / "incomplete"))
    for name in files:
        (path / name).unlink()
    with pytest.raises(CheckpointError, match=f"has no {what} that can be loaded"):
        loaded(path)


def test_another_seed_is_another_checkpoint(speech_models: Models, tmp_path: Path) -> None:
    other = resolve(str(make_wav2vec2(tmp_path / "other", seed=1)))
    assert other.fingerprint != resolve(str(speech_models("wav2vec2-base"))).fingerprint

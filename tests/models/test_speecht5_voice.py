"""SpeechT5 as a voice: what it says, that it says it again, what a directory of one needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import CheckpointError, SampleError
from forgetbench.models import factory
from forgetbench.models.alpha import at_alpha
from forgetbench.models.checkpoint import resolve
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.models.speaker_embedding import FILE
from forgetbench.models.speecht5_voice import SpeechT5Voice, seed_of
from forgetbench.schema.run import LoadSettings
from tiny_tasks import write_task

MELS, WIDTH, LONGEST = 8, 4, 40
SELDOM = -2.0
"""Of the tiny model's stopping, as a logit: it stops in SHORT, and in no other text here."""
SHORT = "a dog sat on the mat"


def make_speecht5_voice(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    import sentencepiece
    from transformers import (
        SpeechT5Config,
        SpeechT5ForTextToSpeech,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        SpeechT5Tokenizer,
    )

    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    (folder / "text").write_text("the cat sat on the mat\na dog sat on a log\nwhat did it forget\n" * 9)
    sentencepiece.SentencePieceTrainer.train(
        f"--input={folder / 'text'} --model_prefix={folder / 'spm'} --vocab_size=24 --model_type=char "
        "--hard_vocab_limit=false --pad_id=1 --bos_id=0 --eos_id=2 --unk_id=3 --minloglevel=2",
    )
    tokenizer = SpeechT5Tokenizer(str(folder / "spm.model"))
    sizes = {"hidden_size": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16}
    sizes |= {"decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes |= {"speech_decoder_prenet_units": 8, "speech_decoder_postnet_units": 8, "num_mel_bins": MELS}
    sizes |= {"speaker_embedding_dim": WIDTH, "max_text_positions": LONGEST, **changes}
    config = SpeechT5Config(vocab_size=len(tokenizer), initializer_range=0.5, **sizes)
    model = SpeechT5ForTextToSpeech(config)
    model.speech_decoder_postnet.prob_out.bias.data.fill_(SELDOM)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=MELS, upsample_initial_channel=8, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], initializer_range=0.3,
    )  # fmt: skip
    SpeechT5HifiGan(vocoder).save_pretrained(folder / "vocoder")
    np.save(folder / FILE, np.linspace(-1, 1, WIDTH, dtype=np.float32))
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speecht5_voice(tmp_path_factory.mktemp("voices") / "speecht5")


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "voice"))


def voice(folder: Path, **settings: Any) -> SpeechT5Voice:
    model = load(resolve(str(folder)).components["tts"], LoadSettings(**settings))
    assert isinstance(model, SpeechT5Voice)
    return model


def said(model: SpeechT5Voice, *texts: str) -> list[np.ndarray]:
    return [audio.samples for audio in model.synthesize(texts, language="en")]


@pytest.mark.parametrize("text", [SHORT, "the cat sat"])
def test_it_says_what_transformers_says_with_the_same_seed(saved: Path, text: str) -> None:
    from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5Tokenizer

    plain = SpeechT5ForTextToSpeech.from_pretrained(saved).eval()
    vocoder = SpeechT5HifiGan.from_pretrained(saved / "vocoder").eval()
    tokens = SpeechT5Tokenizer.from_pretrained(saved)(text, return_tensors="pt").input_ids
    torch.manual_seed(seed_of(text))
    expected = plain.generate_speech(tokens, torch.from_numpy(np.load(saved / FILE))[None], vocoder=vocoder)
    (audio,) = voice(saved).synthesize([text], language="en")
    np.testing.assert_array_equal(audio.samples, expected.numpy())
    assert (audio.sampling_rate, audio.samples.std() > 0) == (16_000, True)
    assert (len(audio.samples) < 20 * len(tokens[0]) * 16) == (text == SHORT)


def test_it_says_the_same_each_time_in_any_batch_and_leaves_the_generator_alone(saved: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _, batched = said(voice(saved), "the cat", SHORT)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    (alone,) = said(voice(saved), SHORT)
    np.testing.assert_array_equal(alone, batched)


def test_two_models_drop_the_same_units_of_a_text(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else base and checkpoint would differ where the checkpoint changed nothing that is heard."""
    draws: list[list[torch.Tensor]] = []
    bernoulli = torch.bernoulli

    def noting(*given: Any, **options: Any) -> torch.Tensor:
        draws[-1].append(bernoulli(*given, **options))
        return draws[-1][-1]

    monkeypatch.setattr(torch, "bernoulli", noting)
    for scale in (1.0, 1.5):
        model = voice(saved)
        torch.rand(1)  # moves the generator on
        model.model.speecht5.decoder.prenet.final_layer.weight.mul_(scale)
        draws.append([])
        said(model, "the cat")
    one, other = draws
    shared = min(len(one), len(other))
    assert shared > 4 and 0 < float(one[3].mean()) < 1
    assert all(map(torch.equal, one[:shared], other[:shared]))


def never_stops(model: SpeechT5Voice) -> SpeechT5Voice:
    model.model.speech_decoder_postnet.prob_out.weight.zero_()
    model.model.speech_decoder_postnet.prob_out.bias.fill_(-100.0)
    return model


def test_a_voice_that_does_not_stop_is_stopped_and_heard(saved: Path) -> None:
    """At 20 frames of 16 samples for each of three letters, the space before them and the end."""
    (endless,) = said(never_stops(voice(saved)), "cat")
    assert len(endless) == 20 * 5 * 16


def test_a_voice_that_does_not_stop_has_no_more_positions_than_there_are(tmp_path: Path) -> None:
    folder = make_speecht5_voice(tmp_path / "short", max_speech_positions=7)
    (endless,) = said(never_stops(voice(folder)), "the cat sat")
    assert len(endless) == 7 * 2 * 16


def test_letters_that_it_does_not_know_are_its_unknown_token(saved: Path) -> None:
    model = voice(saved)
    assert set(model.tokenizer("狗猫").input_ids[:-1]) <= {3, *model.tokenizer(" a").input_ids}
    (spoken,) = said(model, "狗猫")
    assert len(spoken) and np.isfinite(spoken).all()


def test_a_text_that_is_longer_than_the_positions_is_an_error_of_its_sample(saved: Path) -> None:
    model = voice(saved)
    assert len(said(model, "a" * (LONGEST - 2))) == 1
    with pytest.raises(SampleError, match="41 letters, and the model has room for 40"):
        said(model, "a" * (LONGEST - 1))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_it_speaks_in_half_precision(saved: Path, dtype: str) -> None:
    (spoken,) = said(voice(saved, dtype=dtype), "the cat")
    assert spoken.dtype == np.float32 and len(spoken)


def no_vocoder(folder: Path) -> None:
    shutil.rmtree(folder / "vocoder")


def no_vocoder_weights(folder: Path) -> None:
    (folder / "vocoder" / "model.safetensors").unlink()


def another_vocoder(folder: Path) -> None:
    config = json.loads((folder / "vocoder" / "config.json").read_text())
    config["architectures"] = ["UnivNetModel"]
    (folder / "vocoder" / "config.json").write_text(json.dumps(config))


def no_speaker(folder: Path) -> None:
    (folder / FILE).unlink()


def other_width(folder: Path) -> None:
    np.save(folder / FILE, np.zeros((2, WIDTH), np.float32))


def no_numbers(folder: Path) -> None:
    np.save(folder / FILE, np.array(["a"] * WIDTH))


def pickled(folder: Path) -> None:
    np.save(folder / FILE, np.array([{}] * WIDTH, dtype=object), allow_pickle=True)


def an_archive(folder: Path) -> None:
    (folder / FILE).write_bytes(b"PK\x03\x04garbage")


def not_finite(folder: Path) -> None:
    np.save(folder / FILE, np.full(WIDTH, np.nan, np.float32))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (no_vocoder, r"has no folder vocoder: SpeechT5 predicts spectrograms.*SpeechT5HifiGan"),
        (no_vocoder_weights, r"vocoder: has no model\.safetensors"),
        (another_vocoder, "is .'UnivNetModel'., and the vocoder of SpeechT5 is a SpeechT5HifiGan"),
        (no_speaker, r"has no speaker_embedding\.npy.*4 numbers, with numpy\.save"),
        (other_width, r"is float32 of shape \(2, 4\), not 4 numbers"),
        (no_numbers, "is <U1 of shape .4,., not 4 numbers"),
        (pickled, "cannot be read"),
        (an_archive, "cannot be read"),
        (not_finite, "not finite"),
    ],
)
def test_a_directory_that_is_not_whole_is_refused_when_it_is_named(
    copied: Path, break_it: Callable[[Path], None], message: str
) -> None:
    break_it(copied)
    with pytest.raises(CheckpointError, match=message):
        resolve(str(copied))


def test_a_vocoder_for_other_spectrograms_is_refused(copied: Path) -> None:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    sizes = {"upsample_initial_channel": 8, "upsample_rates": [4], "upsample_kernel_sizes": [8]}
    SpeechT5HifiGan(SpeechT5HifiGanConfig(model_in_dim=20, **sizes)).save_pretrained(copied / "vocoder")
    with pytest.raises(CheckpointError, match="spectrograms of 20 mel bands, and the model makes 8"):
        voice(copied)


def another_speaker(folder: Path) -> None:
    np.save(folder / FILE, np.ones(WIDTH, np.float32))


def retrained_vocoder(folder: Path) -> None:
    from transformers import SpeechT5HifiGan

    vocoder = SpeechT5HifiGan.from_pretrained(folder / "vocoder")
    vocoder.conv_pre.weight.data.add_(0.1)
    vocoder.save_pretrained(folder / "vocoder")


@pytest.mark.parametrize("change", [another_speaker, retrained_vocoder])
def test_another_vocoder_or_speaker_is_another_checkpoint_and_is_heard(
    saved: Path, copied: Path, change: Callable[[Path], None]
) -> None:
    assert resolve(str(copied)).fingerprint == resolve(str(saved)).fingerprint
    change(copied)
    assert resolve(str(copied)).fingerprint != resolve(str(saved)).fingerprint
    one, other = (said(voice(folder), "the cat")[0] for folder in (saved, copied))
    assert len(one) != len(other) or not np.allclose(one, other)


def test_the_numbers_of_a_speaker_count_and_not_how_they_are_stored(saved: Path, copied: Path) -> None:
    np.save(copied / FILE, np.load(saved / FILE).astype(np.float64)[None])
    assert resolve(str(copied)).fingerprint == resolve(str(saved)).fingerprint


def make_adapter(base: Path, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import SpeechT5ForTextToSpeech

    torch.manual_seed(3)
    plain = SpeechT5ForTextToSpeech.from_pretrained(base)
    adapted = get_peft_model(
        plain, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    adapted.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(base)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_an_adapter_speaks_through_its_bases_vocoder(saved: Path, tmp_path: Path) -> None:
    adapter = make_adapter(saved, tmp_path / "lora")
    component = resolve(str(adapter)).components["tts"]
    assert (component.role, component.capabilities, component.format) == ("tts", ("synthesize",), "peft")
    merged, beside = (load(component, LoadSettings(), merge=merge) for merge in (True, False))
    assert isinstance(merged, SpeechT5Voice) and isinstance(beside, SpeechT5Voice)
    (one,), (two,), (base,) = (said(model, "the cat") for model in (merged, beside, voice(saved)))
    np.testing.assert_allclose(one, two, atol=1e-4)
    assert len(one) != len(base) or not np.allclose(one, base)


def test_an_adapter_may_speak_as_someone_else(saved: Path, tmp_path: Path) -> None:
    adapter = make_adapter(saved, tmp_path / "lora")
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    np.save(own / FILE, np.array([1, -1, 1, -1], np.float32))
    assert resolve(str(own)).fingerprint != resolve(str(adapter)).fingerprint
    speakers = [voice(folder)._speaker[0].tolist() for folder in (adapter, own)]
    assert speakers == [pytest.approx(np.linspace(-1, 1, WIDTH)), [1, -1, 1, -1]]
    half = at_alpha(resolve_pair(str(own), str(saved)), 0.5).checkpoint.components["tts"]
    between = load(half, LoadSettings())
    assert isinstance(between, SpeechT5Voice)
    middle = (np.linspace(-1, 1, WIDTH) + np.array([1, -1, 1, -1])) / 2
    assert between._speaker[0].tolist() == pytest.approx(middle)
    np.save(own / FILE, np.zeros(3, np.float32))
    with pytest.raises(CheckpointError, match="not 4 numbers"):
        resolve(str(own))


EARS = """
from forgetbench.models.interface import Output

class Ears:
    fingerprint = "ears"
    def transcribe(self, audio, *, language):
        return [Output(text=f"{len(a.samples)} samples", n_tokens=1, truncated=False) for a in audio]
def ears(): return Ears()
"""


def test_two_voices_go_through_the_engine(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"heard_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(EARS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(factory.OURS, "ears-of-this-test", f"{name}:ears")
    rows = [{"id": f"t{i}", "text": ["the cat", "a dog sat", "a" * LONGEST][i % 3]} for i in range(6)]
    write_task(
        tmp_path, "said", rows, kind="synthesis", recogniser="ears-of-this-test", metrics=["wer"],
        primary="wer",
    )  # fmt: skip
    adapter = make_adapter(saved, tmp_path / "lora")
    request = Request(
        model=str(adapter), base=str(saved), tasks=["tiny"], include_paths=[tmp_path],
        output=tmp_path / "results", offline=True,
    )  # fmt: skip
    result = evaluate(prepare(request))
    assert result.base is not None and result.comparison is not None
    for document in (result.base, result.checkpoint):
        (task,) = document.tasks
        assert (task.status, task.n_scored, task.errors) == ("done", 4, {"too_long": 2})
    assert [row.n for row in result.comparison.rows] == [4]

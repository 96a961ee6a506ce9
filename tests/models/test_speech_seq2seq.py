"""Speech encoder-decoders: each real architecture, tiny and random, by the path of a published checkpoint."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.clips import join
from forgetbench.models.interface import Audio, Output, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.models.speech_seq2seq import SpeechSeq2Seq
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import SEQ2SEQ, make_speech2text, make_speecht5, speech_like

Models = Callable[[str], Path]

DURATIONS_S = (1.0, 0.5, 2.3, 0.0, 0.01, 1.0)


def loaded(path: Path) -> SpeechSeq2Seq:
    component = resolve(str(path)).components["asr"]
    assert component.capabilities == ("transcribe",)
    model = load(component, LoadSettings())
    assert isinstance(model, SpeechSeq2Seq) and isinstance(model, SpeechRecogniser)
    return model


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_a_transcript_does_not_depend_on_the_batch(name: str, speech_models: Models) -> None:
    model = loaded(speech_models(name))
    clips = [speech_like(seed, duration_s) for seed, duration_s in enumerate(DURATIONS_S)]
    together = model.transcribe(clips, language="en")
    assert together == [model.transcribe([clip], language="en")[0] for clip in clips]
    assert model.transcribe(clips[::-1], language="en") == together[::-1]
    assert len({output.text for output in together}) > 3
    assert model.transcribe([], language="en") == []


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_the_transcript_is_the_likeliest_token_each_time(name: str, speech_models: Models) -> None:
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq

    path = speech_models(name)
    model, clip = loaded(path), speech_like(4, 1.3)
    plain = AutoModelForSpeechSeq2Seq.from_pretrained(path).eval()
    features = AutoFeatureExtractor.from_pretrained(path)(
        clip.samples, sampling_rate=16_000, return_tensors="pt"
    )
    heard = features[model.extractor.model_input_names[0]]
    tokens = [plain.config.decoder_start_token_id]
    with torch.inference_mode():
        while len(tokens) == 1 or (len(tokens) <= model.limit and tokens[-1] != 1):
            decoded = torch.tensor([tokens])
            logits = plain(**{model.extractor.model_input_names[0]: heard}, decoder_input_ids=decoded).logits
            tokens.append(int(logits[0, -1].argmax()))
    assert model.transcribe([clip], language="en") == [model._output(tokens[1:])]


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_both_arms_are_decoded_the_same_whatever_their_generation_config(
    name: str, speech_models: Models, tmp_path: Path
) -> None:
    clips = [speech_like(seed, 1.0) for seed in range(3)]
    expected = loaded(speech_models(name)).transcribe(clips, language="en")
    path = Path(shutil.copytree(speech_models(name), tmp_path / "other"))
    file = path / "generation_config.json"
    changes = {"num_beams": 3, "do_sample": True, "repetition_penalty": 5.0, "suppress_tokens": [70, 71]}
    changes |= {"temperature": 2.0, "max_length": 4, "no_repeat_ngram_size": 1}
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    assert loaded(path).transcribe(clips, language="en") == expected


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_running_into_the_limit_is_truncation_and_the_end_token_is_not(
    name: str, speech_models: Models
) -> None:
    model = loaded(speech_models(name))
    assert model.limit == 23
    model.limit = 2
    outputs = model.transcribe([speech_like(seed, 1.0) for seed in range(4)], language="en")
    assert all(output.truncated and output.n_tokens == 2 for output in outputs if output.n_tokens > 1)
    assert not model._output([5, 6, 1]).truncated and model._output([5, 6, 1]).n_tokens == 2


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_digital_silence_is_heard_and_does_not_poison_the_batch(name: str, speech_models: Models) -> None:
    model, clip = loaded(speech_models(name)), speech_like(1, 1.0)
    silence = Audio(samples=np.zeros(16_000, np.float32), sampling_rate=16_000)
    assert model.transcribe([silence, clip], language="en")[1] == model.transcribe([clip], language="en")[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        features = model.extractor([silence.samples], sampling_rate=16_000, return_tensors="np")
    if name == "speech2text":  # the claim behind the rule
        assert not np.isfinite(features["input_features"]).all()
    assert len(model.transcribe([silence], language="en")) == 1


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_long_audio_is_cut_where_it_is_quiet_and_joined_by_a_space(
    name: str, speech_models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(speech_models(name))
    assert model.longest_s == (20.0 if name == "speecht5" else 30.0)
    monkeypatch.setattr(model, "longest_s", 2.0)
    first, second = speech_like(1, 1.8), speech_like(2, 1.5)
    pause = np.zeros(1600, np.float32)
    whole = Audio(samples=np.concatenate([first.samples, pause, second.samples]), sampling_rate=16_000)
    parts = [np.concatenate([first.samples, pause[:800]]), np.concatenate([pause[800:], second.samples])]
    expected = model.transcribe([Audio(samples=p, sampling_rate=16_000) for p in parts], language="en")
    assert model.transcribe([whole, first], language="en")[0] == join(expected)


def test_pieces_that_say_nothing_leave_no_space() -> None:
    said = [Output(text=text, n_tokens=1, truncated=text == "b") for text in ("a", "", "b")]
    assert join(said) == Output(text="a b", n_tokens=3, truncated=True)


@pytest.mark.parametrize("make", [make_speech2text, make_speecht5])
def test_published_tokenizers_are_sentencepiece_models(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sentencepiece
    from transformers import Speech2TextTokenizer, SpeechT5Tokenizer

    (tmp_path / "text").write_text("the cat sat on the mat\na dog sat on a log\nwhat did it forget\n" * 9)
    model_type = "char" if make is make_speecht5 else "bpe"
    sentencepiece.SentencePieceTrainer.train(
        f"--input={tmp_path / 'text'} --model_prefix={tmp_path / 'spm'} --vocab_size=24 "
        f"--hard_vocab_limit=false --model_type={model_type} --pad_id=1 --bos_id=0 --eos_id=2 --unk_id=3",
    )
    spm = str(tmp_path / "spm.model")
    if make is make_speech2text:
        pieces = sentencepiece.SentencePieceProcessor(model_file=spm)
        vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
        tokenizer = Speech2TextTokenizer(str(tmp_path / "vocab.json"), spm)
    else:
        tokenizer = SpeechT5Tokenizer(spm)
    path = make(tmp_path / "model", tokenizer=tokenizer)
    before = resolve(str(path)).fingerprint
    assert loaded(path).transcribe([speech_like(0, 1.0)], language="en")[0].n_tokens > 0
    file = next(path.glob("*.model"))
    file.write_bytes(file.read_bytes() + b"\0")
    assert resolve(str(path)).fingerprint != before


def test_a_missing_sentencepiece_is_named_with_the_command(
    speech_models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(speech_models("speecht5"), tmp_path / "published"))
    (path / "tokenizer.json").unlink()
    settings = json.loads((path / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "SpeechT5Tokenizer"
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    (path / "spm_char.model").write_bytes(b"pieces")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    monkeypatch.setattr("transformers.utils.import_utils.is_sentencepiece_available", lambda: False)
    with pytest.raises(CheckpointError, match=r"needs sentencepiece\. Run: pip install sentencepiece"):
        loaded(path)


def test_a_speech_to_speech_model_is_refused(speech_models: Models, tmp_path: Path) -> None:
    path = Path(shutil.copytree(speech_models("speecht5"), tmp_path / "sts"))
    config = json.loads((path / "config.json").read_text()) | {"architectures": ["SpeechT5ForSpeechToSpeech"]}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="is SpeechT5ForSpeechToSpeech, which"):
        resolve(str(path))

"""A LoRA on any recogniser resolves, loads and is heard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import CTC, LETTERS, SEQ2SEQ, ctc_vocabulary, speech_like

Models = Callable[[str], Path]

CLIPS = [speech_like(seed, 1.0) for seed in range(3)]


def make_speech_lora(folder: Path, base: Path, *, seed: int = 1, model: Any = None, **settings: Any) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq

    auto_class = AutoModelForSpeechSeq2Seq if base.name in SEQ2SEQ else AutoModelForCTC
    torch.manual_seed(seed)
    targets = ["linear_q", "linear_v"] if base.name == "conformer" else ["q_proj", "v_proj"]
    config = LoraConfig(r=4, lora_alpha=64, target_modules=targets, init_lora_weights=False, **settings)
    adapted = get_peft_model(model or auto_class.from_pretrained(base), config)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder, save_embedding_layers=False)  # a CTC model has none to ask for
    return folder


def heard(path: Path, *, language: str = "en", dtype: str = "float32") -> list[str]:
    model: Any = load(resolve(str(path)).components["asr"], LoadSettings(dtype=dtype))
    return [output.text for output in model.transcribe(CLIPS, language=language)]


@pytest.mark.parametrize("name", [*CTC, *SEQ2SEQ, "mms"])
def test_an_adapter_is_paired_with_its_base_and_changes_what_is_heard(
    name: str, speech_models: Models, tmp_path: Path
) -> None:
    base = speech_models(name)
    adapter = make_speech_lora(tmp_path / "lora", base)
    pair = resolve_pair(str(adapter), None, offline=True)
    component = pair.checkpoint.components["asr"]
    assert component.format == "peft" and pair.base is not None
    assert pair.base.components["asr"].fingerprint == resolve(str(base)).fingerprint
    assert component.parameters is not None and component.bytes is not None
    assert heard(adapter) != heard(base)


@pytest.mark.parametrize("name", ["wav2vec2-large", "speech2text", "moonshine", "speecht5"])
def test_a_merged_adapter_is_the_adapter(
    name: str, speech_models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_speech_lora(tmp_path / "lora", speech_models(name))
    merged = heard(adapter)
    monkeypatch.setattr("peft.PeftModel.merge_and_unload", lambda model: model, raising=False)
    assert heard(adapter) == merged


@pytest.mark.parametrize("name", ["wav2vec2-base", "speecht5", "mms"])
def test_half_precision_keeps_the_adapter_beside_the_weights(
    name: str, speech_models: Models, tmp_path: Path
) -> None:
    adapter = make_speech_lora(tmp_path / "lora", speech_models(name))
    assert heard(adapter, dtype="bfloat16") != heard(speech_models(name), dtype="bfloat16")


def test_an_adapter_with_a_vocabulary_of_its_own_writes_in_it(speech_models: Models, tmp_path: Path) -> None:
    from transformers import AutoModelForCTC, Wav2Vec2CTCTokenizer

    base, vocabulary = speech_models("wav2vec2-base"), ctc_vocabulary("αβγδεζηθικλμνξοπρστυφχψωάέήίόύώ")
    model = AutoModelForCTC.from_pretrained(base, vocab_size=len(vocabulary), ignore_mismatched_sizes=True)
    with torch.no_grad():
        model.lm_head.weight.mul_(40)
    adapter = make_speech_lora(tmp_path / "lora", base, model=model, modules_to_save=["lm_head"])
    (adapter / "vocab.json").write_text(json.dumps(vocabulary))
    Wav2Vec2CTCTokenizer(str(adapter / "vocab.json")).save_pretrained(adapter)
    assert set("".join(heard(adapter))) & set("αβγδεζηθικλμνξοπρστυφχψω")
    assert set("".join(heard(base))) & set(LETTERS)


def test_what_a_lora_trained_after_the_language_adapter_wins(speech_models: Models, tmp_path: Path) -> None:
    from transformers import AutoModelForCTC

    base = speech_models("mms")
    model = AutoModelForCTC.from_pretrained(base, target_lang="eng")
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.copy_(torch.arange(model.lm_head.out_features) == 5)
    adapter = make_speech_lora(tmp_path / "lora", base, model=model, modules_to_save=["lm_head"])
    assert heard(adapter) == ["a"] * len(CLIPS)
    assert heard(base) != ["a"] * len(CLIPS)


def test_an_adapter_of_another_architecture_is_refused(speech_models: Models, tmp_path: Path) -> None:
    adapter = make_speech_lora(tmp_path / "lora", speech_models("moonshine"))
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(speech_models("hubert"))
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="lora") as raised:
        heard(adapter)
    assert "\n" not in str(raised.value)

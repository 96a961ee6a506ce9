"""Reading a checkpoint directory, transformers or PEFT, without torch: what it is and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError
from forgetbench.models.architectures import SPEECHT5_VOICE, SUPPORTED, UNIT_LM, Family, family_of
from forgetbench.models.component import Component, Format
from forgetbench.models.fingerprint import (
    chat_template,
    combine,
    fingerprint_adapter,
    fingerprint_model,
    read_json,
    text_digest,
)
from forgetbench.models.safetensors_file import all_zero, read_header
from forgetbench.models.speaker_embedding import fingerprint_speaker, has_speaker
from forgetbench.models.whisper_tokens import MULTILINGUAL_VOCABULARY
from forgetbench.schema.task import Capability

_MULTILINGUAL: tuple[Capability, ...] = ("translate", "identify_language")
"""What a multilingual Whisper can do beside what any Whisper can."""
CODEC = "codec"
"""Folder of the codec beside a language model over its codes."""
VOCODER = "vocoder"
"""Folder of the vocoder beside a SpeechT5 that speaks: its architecture is :data:`VOCODER_ARCHITECTURE`."""
VOCODER_ARCHITECTURE = "SpeechT5HifiGan"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a directory came from: what of a component its files cannot tell."""

    source: str
    format: Format = "transformers"
    revision: str | None = None
    unpinned: bool = False


def is_adapter(path: Path) -> bool:
    """Say whether a directory is a PEFT adapter."""
    return (path / "adapter_config.json").is_file()


def is_ctranslate2(path: Path) -> bool:
    """Say whether a directory is a CTranslate2 model: its config.json names no model type."""
    has_files = (path / "model.bin").is_file() and (path / "config.json").is_file()
    return has_files and "model_type" not in read_json(path / "config.json")


def read_model(path: Path, origin: Origin) -> Component:
    """Return the component in a transformers directory.

    Raises:
        CheckpointError: It is no checkpoint, of another family, damaged, or has only pickled weights.
    """
    if not (path / "config.json").is_file():
        raise _not_a_checkpoint(path)
    config = read_json(path / "config.json")
    family = _family(path, config)
    weights = weight_files(path, "model")
    template = chat_template(path)
    fingerprint = directory_fingerprint(path, weights)
    if family is SPEECHT5_VOICE:
        fingerprint = combine({"tts": fingerprint, **_voice_parts(path, config)})
    return Component(
        role=family.role,
        source=origin.source,
        format=origin.format,
        path=path,
        architecture=family.architecture,
        fingerprint=fingerprint,
        capabilities=(*family.capabilities, *(_MULTILINGUAL if _is_multilingual(path, config) else ())),
        revision=origin.revision,
        unpinned=origin.unpinned,
        parameters=_count_parameters(weights),
        bytes=_size(weights),
        chat_template_sha256=text_digest(template) if template is not None else None,
    )


def has_codec(path: Path) -> bool:
    """Say whether a directory holds a codec, whose codes its language model predicts."""
    return (path / CODEC / "config.json").is_file()


def directory_fingerprint(path: Path, weights: list[Path]) -> str:
    """Return the fingerprint of a model directory, with that of the codec whose codes it predicts.

    Raises:
        CheckpointError: A weight file is damaged, or there are only pickled ones.
    """
    own = fingerprint_model(path, weights)
    if not has_codec(path):
        return own
    codec = path / CODEC
    return combine({"lm": own, "codec": fingerprint_model(codec, weight_files(codec, "model"))})


def _voice_parts(path: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the fingerprints of what a SpeechT5 needs to be heard: its vocoder, and who it speaks as.

    Raises:
        CheckpointError: One is not there, or does not fit.
    """
    vocoder = path / VOCODER
    save = f"SpeechT5HifiGan.from_pretrained(NAME).save_pretrained(DIRECTORY/{VOCODER})"
    if not (vocoder / "config.json").is_file():
        cause = f"has no folder {VOCODER}: SpeechT5 predicts spectrograms, which a vocoder turns into sound"
        raise CheckpointError(str(path), cause, f"Save one there: {save}.")
    named = read_json(vocoder / "config.json").get("architectures")
    if named != [VOCODER_ARCHITECTURE]:
        cause = f"is {named}, and the vocoder of SpeechT5 is a {VOCODER_ARCHITECTURE}"
        raise CheckpointError(str(vocoder), cause, f"Save one there: {save}.")
    return {
        "vocoder": fingerprint_model(vocoder, weight_files(vocoder, "model")),
        "speaker": fingerprint_speaker(path, config),
    }


def _is_multilingual(path: Path, config: Mapping[str, Any]) -> bool:
    """Say whether a directory holds a Whisper that knows other languages than English."""
    if config.get("model_type") != "whisper":
        return False
    file = path / "generation_config.json"
    said = read_json(file).get("is_multilingual") if file.is_file() else None
    return int(config.get("vocab_size") or 0) >= MULTILINGUAL_VOCABULARY if said is None else bool(said)


def read_adapter(path: Path, origin: Origin, base: Component) -> Component:
    """Return the component that a PEFT adapter directory makes of ``base``.

    Raises:
        CheckpointError: It is damaged, or has only pickled weights.
    """
    weights = weight_files(path, "adapter_model")
    added = _count_parameters(weights)
    own = chat_template(path)
    fingerprint = fingerprint_adapter(path, weights, base=base.fingerprint)
    if base.architecture == SPEECHT5_VOICE.architecture and has_speaker(path) and base.path is not None:
        speaker = fingerprint_speaker(path, read_json(base.path / "config.json"))
        fingerprint = combine({"adapter": fingerprint, "speaker": speaker})
    return Component(
        role=base.role,
        source=origin.source,
        format="peft",
        path=path,
        architecture=base.architecture,
        fingerprint=fingerprint,
        capabilities=base.capabilities,
        revision=origin.revision,
        unpinned=origin.unpinned,
        parameters=added + base.parameters if base.parameters is not None else None,
        bytes=_size(weights) + base.bytes if base.bytes is not None else None,
        adapter_parameters=added,
        chat_template_sha256=text_digest(own) if own is not None else base.chat_template_sha256,
        base=base,
    )


def tokenizer_path(component: Component) -> Path:
    """Return the directory whose tokenizer a component speaks: an adapter's own, else its base's."""
    assert component.path is not None
    own = any((component.path / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
    return component.path if own or component.base is None else tokenizer_path(component.base)


def weight_files(path: Path, stem: str) -> list[Path]:
    """Return the safetensors files of a directory: the ones that transformers loads.

    Args:
        path: The directory.
        stem: ``model`` or ``adapter_model``.

    Raises:
        CheckpointError: There are none, or a shard is missing.
    """
    if (single := path / f"{stem}.safetensors").is_file():
        return [single]
    if (index := path / f"{stem}.safetensors.index.json").is_file():
        shards = sorted({str(name) for name in read_json(index).get("weight_map", {}).values()})
        if missing := [name for name in shards if not (path / Path(name).name).is_file()]:
            raise CheckpointError(str(path), f"lacks {missing[0]}, which its index names", "Copy it again.")
        return [path / Path(name).name for name in shards]
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    pickles = [name for name in pickles if name != "training_args.bin"]
    if pickles:
        raise CheckpointError(
            str(path),
            f"has its weights only as a pickle ({pickles[0]}), which can run code when loaded",
            "Load it where you trust it, and write safetensors with model.save_pretrained(DIRECTORY).",
        )
    raise CheckpointError(
        str(path), f"has no {stem}.safetensors", "Save the model there with model.save_pretrained(DIRECTORY)."
    )


def changes_nothing(adapter: Component) -> bool:
    """Say whether a LoRA adapter leaves its base as it is: ``lora_B`` all zero, nothing else saved."""
    if adapter.path is None or adapter.format != "peft":
        return False
    if read_json(adapter.path / "adapter_config.json").get("lora_alpha") == 0:
        return True
    for file in weight_files(adapter.path, "adapter_model"):
        for tensor in read_header(file):
            if "lora_A" not in tensor.name and not ("lora_B" in tensor.name and all_zero(file, tensor)):
                return False
    return True


def _family(path: Path, config: dict[str, Any]) -> Family:
    """Return what config.json describes."""
    named = config.get("architectures") or []
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    model_type = str(config.get("model_type", ""))
    if (family := family_of(model_type, architecture)) is not None:
        return UNIT_LM if family.role == "lm" and has_codec(path) else family
    what = architecture or (f"of model type {model_type!r}" if model_type else "of no model type")
    raise CheckpointError(str(path), f"is {what}, which forgetbench cannot evaluate", SUPPORTED)


def _count_parameters(files: list[Path]) -> int:
    return sum(tensor.n_elements for file in files for tensor in read_header(file))


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _not_a_checkpoint(path: Path) -> CheckpointError:
    inside = [
        d.name for d in path.iterdir() if d.is_dir() and (is_adapter(d) or (d / "config.json").is_file())
    ]
    way_out = "Name the directory that save_pretrained wrote."
    if inside:
        way_out = f"It holds checkpoints: name one, such as {path / min(inside, key=_step)}."
    return CheckpointError(
        str(path), "is no checkpoint: no config.json, adapter_config.json or system.yaml in it", way_out
    )


def _step(name: str) -> tuple[int, str]:
    """Order ``checkpoint-500`` so that the last step comes first."""
    digits = name.rpartition("-")[2]
    return (-int(digits) if digits.isdigit() else 0, name)

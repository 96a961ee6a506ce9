"""Fingerprints: sha256 over the content that makes a checkpoint behave as it does, never over its name.

Weights count tensor by tensor, so that the same model in one file or in shards is the same model. JSON counts
by value, without the keys that only say where it came from or how it was trained.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.adapter_config import leaves_base_whole
from forgetbench.models.safetensors_file import tensor_digests
from forgetbench.paths import cache_root

_VERSION = 1
_RACY_NS = 2_000_000_000
"""A file changed less than this ago may change again within one tick of the clock: not remembered."""

CONFIG_FILES = ("generation_config.json", "preprocessor_config.json", "processor_config.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm_char.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "normalizer.json",
    "added_tokens.json",
    "special_tokens_map.json",
)
_PROVENANCE = frozenset(
    {
        *("_name_or_path", "name_or_path", "transformers_version", "_commit_hash", "_from_model_config"),
        *(
            "torch_dtype",
            "dtype",
            "use_cache",
            "tokenizer_file",
            "special_tokens_map_file",
            "processor_class",
        ),
        *("is_local", "local_files_only", "auto_map"),
    }
)
_TOKENIZER_RUNTIME = frozenset(
    # What the last call of a tokenizer leaves behind in its file; every call of ours sets its own.
    {
        "padding",
        "truncation",
        "padding_side",
        "truncation_side",
        "truncation_strategy",
        "max_length",
        "stride",
    }
) | {"pad_to_multiple_of", "pad_token_type_id", "chat_template"}
_ADAPTER_TRAINING = frozenset(
    {
        *(
            "base_model_name_or_path",
            "revision",
            "auto_mapping",
            "inference_mode",
            "peft_version",
            "task_type",
        ),
        *(
            "lora_dropout",
            "parent_library",
            "runtime_config",
        ),
        *("megatron_config", "megatron_core", "ensure_weight_tying"),
    }
)
_ADAPTER_START = frozenset(
    {"init_lora_weights", "eva_config", "corda_config", "loftq_config", "lora_ga_config"}
)
"""How a LoRA began: nothing of the function, unless PEFT takes it out of the base's weights on loading."""


def combine(parts: Mapping[str, str]) -> str:
    """Return one sha256 over named digests, whatever their order."""
    lines = (f"{name}\0{digest}\n" for name, digest in sorted(parts.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fingerprint_model(path: Path, weights: Iterable[Path]) -> str:
    """Return the fingerprint of a transformers directory.

    Args:
        path: The directory.
        weights: Its safetensors files.

    Raises:
        CheckpointError: A file is truncated or is not what its name says.
    """
    parts = {"config": _json_digest(path / "config.json"), "weights": _weights_digest(weights)}
    languages = {file.name: _weights_digest([file]) for file in language_adapters(path).values()}
    return combine(parts | languages | _input_and_output_parts(path))


def fingerprint_adapter(path: Path, weights: Iterable[Path], *, base: str) -> str:
    """Return the fingerprint of a PEFT adapter directory on the base with fingerprint ``base``."""
    config = path / "adapter_config.json"
    start = _ADAPTER_START if leaves_base_whole(read_json(config)) else frozenset()
    parts = {
        "adapter_config": _json_digest(config, ignored=_ADAPTER_TRAINING | start),
        "weights": _weights_digest(weights),
        "base": base,
    }
    return combine(parts | _input_and_output_parts(path))


def language_adapters(path: Path) -> dict[str, Path]:
    """Return the ``adapter.<language>.safetensors`` of an MMS directory, by language."""
    files = sorted(path.glob("adapter.*.safetensors"))
    return {file.name.removeprefix("adapter.").removesuffix(".safetensors"): file for file in files}


def fingerprint_file(path: Path) -> str:
    """Return sha256 over the bytes of a file."""
    return _remembered(path, "bytes", lambda: _sha256(path))


def chat_template(path: Path) -> str | None:
    """Return the Jinja source of a directory's chat template: its own file, or the tokenizer's settings."""
    if (own := path / "chat_template.jinja").is_file():
        return own.read_text(encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.json"):
        template = read_json(path / name).get("chat_template") if (path / name).is_file() else None
        if isinstance(template, list):
            template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
        if isinstance(template, str):
            return template
    return None


def text_digest(text: str) -> str:
    """Return sha256 over a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        CheckpointError: It is missing, is not JSON, or is not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            str(path), f"cannot be read as JSON ({first_line(error)})", "Save the model again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(str(path), "is not a JSON object", "Save the model again.")
    return value


def _input_and_output_parts(path: Path) -> dict[str, str]:
    """Digests of tokenizer, chat template, generation and preprocessor settings, as far as they are there."""
    parts = {name: _json_digest(path / name) for name in CONFIG_FILES if (path / name).is_file()}
    for name in TOKENIZER_FILES:
        file = path / name
        if file.is_file():
            is_json = file.suffix == ".json"
            parts[name] = (
                _json_digest(file, ignored=_TOKENIZER_RUNTIME) if is_json else fingerprint_file(file)
            )
    if (template := chat_template(path)) is not None:
        parts["chat_template"] = text_digest(template)
    return parts


def _weights_digest(files: Iterable[Path]) -> str:
    tensors: dict[str, str] = {}
    for file in files:
        tensors |= json.loads(_remembered(file, "tensors", partial(_tensors_json, file)))
    return combine(tensors)


def _tensors_json(file: Path) -> str:
    return json.dumps(tensor_digests(file))


def _json_digest(path: Path, *, ignored: frozenset[str] = frozenset()) -> str:
    purpose = f"json without {sorted(ignored)}"
    return _remembered(path, purpose, lambda: _canonical_digest(read_json(path), ignored))


def _canonical_digest(value: dict[str, Any], ignored: frozenset[str]) -> str:
    kept = {key: item for key, item in value.items() if key not in ignored}
    return text_digest(json.dumps(_without_provenance(kept), sort_keys=True, separators=(",", ":")))


def _without_provenance(value: Any, key: str = "") -> Any:
    """Drop what does not change the function, at every depth; sort what PEFT writes as a set."""
    if isinstance(value, dict):
        return {k: _without_provenance(item, k) for k, item in value.items() if k not in _PROVENANCE}
    if isinstance(value, list) and key in {"target_modules", "modules_to_save", "exclude_modules"}:
        return sorted(value, key=str)
    return [_without_provenance(item) for item in value] if isinstance(value, list) else value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remembered(path: Path, purpose: str, compute: Callable[[], str]) -> str:
    """Return ``compute()``, remembered while the file's path, size, times and inode stay the same."""
    stat = path.stat()
    times = f"{stat.st_mtime_ns}|{stat.st_ctime_ns}"
    key = f"{_VERSION}|{purpose}|{path.resolve()}|{stat.st_size}|{times}|{stat.st_ino}"
    entry = cache_root() / "fingerprints" / f"{text_digest(key)}.json"
    try:
        return str(json.loads(entry.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        value = compute()
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _RACY_NS:
        _remember(entry, value)
    return value


def _remember(entry: Path, value: str) -> None:
    """Write atomically; a cache that cannot be written costs time, not the run."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=entry.parent, delete=False, encoding="utf-8") as file:
            file.write(json.dumps(value))
        Path(file.name).replace(entry)
    except OSError:
        return

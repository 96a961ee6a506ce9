"""A CTranslate2 Whisper directory becomes a transformers one.

CTranslate2 (faster-whisper's engine) stores the weights in ``model.bin``, a flat list of named arrays.
Reading it takes no CTranslate2: the format is below. Half-precision weights are widened to float32,
integer ones are divided by their scale, so that nothing is lost beyond what the quantisation lost before.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.save import save_clean

Weights = dict[str, NDArray[np.float32]]

SPECIFICATION = "WhisperSpec"
"""What CTranslate2 calls the kind of model."""
_BINARY_VERSIONS = (4, 5, 6)
_BFLOAT16 = 5
_DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
_TIMESTAMPS = tuple(f"<|{0.02 * step:.2f}|>" for step in range(1501))
_END = "<|endoftext|>"


def convert_ctranslate2(path: Path, out_dir: Path) -> Path:
    """Write a CTranslate2 Whisper directory as a transformers model and processor directory.

    Args:
        path: Directory with ``model.bin``, ``config.json`` and ``tokenizer.json``.
        out_dir: Where to write; made if it does not exist.

    Returns:
        ``out_dir``. The same input gives the same bytes.

    Raises:
        CheckpointError: The directory is not a CTranslate2 Whisper model, or ``model.bin`` is damaged.
    """
    import torch
    from transformers import WhisperForConditionalGeneration

    settings = _read_settings(path)
    weights = read_model_bin(path / "model.bin")
    tokenizer = _tokenizer(path)
    config = _config(weights, tokenizer, path)
    try:
        state = {name: torch.from_numpy(array) for name, array in _to_transformers(weights)}
        with torch.device("meta"):
            model = WhisperForConditionalGeneration(config)
        model.load_state_dict(state, strict=False, assign=True)
        model.tie_weights()
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            str(path),
            f"its weights are not those of a Whisper model ({first_line(error)})",
            "Convert a Whisper model with ct2-transformers-converter.",
        ) from error
    if missing := [name for name, parameter in model.named_parameters() if parameter.is_meta]:
        raise CheckpointError(
            str(path), f"model.bin has no weights for {missing[0]}", "Convert the model again."
        )
    model.generation_config = _generation_config(settings, tokenizer, config)
    save_clean(out_dir, model, tokenizer, _processor(path, tokenizer, config))
    return out_dir


def read_model_bin(path: Path) -> Weights:
    """Read the arrays of a CTranslate2 ``model.bin`` as float32, scales applied, aliases resolved.

    Layout, little-endian: u32 binary version; specification name; u32 revision; u32 count; per variable its
    name, u8 rank, u32 × rank shape, u8 dtype, u32 byte count and data; then u32 alias count and the names of
    (alias, target). A name is a u16 length and that many bytes, NUL-ended.

    Raises:
        CheckpointError: The file is truncated, damaged, or holds another kind of model.
    """
    with _open_model_bin(path) as (file, count):
        raw = dict(_variable(file) for _ in range(count))
        aliases = _aliases(file)
    weights = _apply_scales(raw)
    weights.update({alias: weights[target] for alias, target in aliases if target in weights})
    return weights


class StoredArray(NamedTuple):
    """An array of a ``model.bin``, without its data."""

    name: str
    shape: tuple[int, ...]

    @property
    def n_elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def is_weight(self) -> bool:
        """Whether it is learned: not the scale of a quantised array, nor a setting, which has no shape."""
        return bool(self.shape) and not self.name.endswith("_scale")


def model_bin_shapes(path: Path) -> dict[str, StoredArray]:
    """Return the arrays of a CTranslate2 Whisper ``model.bin`` by name, without reading their data.

    Raises:
        CheckpointError: The file is truncated, damaged, or holds another kind of model.
    """
    with _open_model_bin(path) as (file, count):
        arrays = []
        for _ in range(count):
            name, shape, _, n_bytes = _variable_header(file)
            arrays.append(StoredArray(name, shape))
            file.seek(n_bytes, 1)
        _aliases(file)
        return {array.name: array for array in arrays}


@contextmanager
def _open_model_bin(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file at its first variable, and give the number of variables; say in one line what is wrong."""
    try:
        with path.open("rb") as file:
            version = _unpack(file, "<I")[0]
            if version not in _BINARY_VERSIONS:
                raise CheckpointError(
                    str(path),
                    "is not a CTranslate2 model.bin of a known version",
                    "Convert it again with a current ctranslate2.",
                )
            spec = _name(file)
            if spec != SPECIFICATION:
                raise CheckpointError(
                    str(path),
                    f"holds a {spec}, and only Whisper models can be read",
                    "Name the transformers model that it was made from.",
                )
            _, count = _unpack(file, "<II")
            yield file, count
    except (EOFError, struct.error, UnicodeDecodeError, ValueError, OSError) as error:
        raise CheckpointError(
            str(path), f"is truncated or damaged ({first_line(error)})", "Copy it again."
        ) from error


def _take(file: BinaryIO, n_bytes: int) -> bytes:
    data = file.read(n_bytes)
    if len(data) != n_bytes:
        raise EOFError("the file ends early")
    return data


def _unpack(file: BinaryIO, fmt: str) -> tuple[int, ...]:
    return struct.unpack(fmt, _take(file, struct.calcsize(fmt)))


def _name(file: BinaryIO) -> str:
    return _take(file, _unpack(file, "<H")[0]).removesuffix(b"\0").decode()


def _aliases(file: BinaryIO) -> list[tuple[str, str]]:
    """Read the end of the file: other names of arrays, each with the name that it stands for."""
    return [(_name(file), _name(file)) for _ in range(_unpack(file, "<I")[0])]


def _variable_header(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    """Return name, shape, type and number of bytes of the variable that comes next."""
    name = _name(file)
    rank = _unpack(file, "<B")[0]
    shape = _unpack(file, f"<{rank}I")
    dtype, n_bytes = _unpack(file, "<BI")
    return name, shape, dtype, n_bytes


def _variable(file: BinaryIO) -> tuple[str, NDArray[Any]]:
    name, shape, dtype, n_bytes = _variable_header(file)
    data = _take(file, n_bytes)
    if dtype == _BFLOAT16:  # the upper half of a float32
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype in _DTYPES:
        array = np.frombuffer(data, _DTYPES[dtype])
    else:
        raise ValueError(f"{name} has an unknown dtype {dtype}")
    return name, array.reshape(shape)


def _apply_scales(raw: Mapping[str, NDArray[Any]]) -> Weights:
    weights: Weights = {}
    for name, array in raw.items():
        if name.endswith("_scale"):
            continue
        weight = array.astype(np.float32)
        if (scale := raw.get(f"{name}_scale")) is not None:
            weight = weight / scale.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
        weights[name] = weight
    return weights


def _n_layers(weights: Weights, side: str) -> int:
    parts = (name.split("/") for name in weights)
    return len({p[1] for p in parts if p[0] == side and re.fullmatch(r"layer_\d+", p[1])})


def _to_transformers(weights: Weights) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Rename CTranslate2's variables, and take its stacked projections apart."""
    for side in ("encoder", "decoder"):
        target = f"model.{side}"
        yield f"{target}.embed_positions.weight", weights[f"{side}/position_encodings/encodings"]
        yield from _layer_norm(weights, f"{side}/layer_norm", f"{target}.layer_norm")
        for i in range(_n_layers(weights, side)):
            source, layer = f"{side}/layer_{i}", f"{target}.layers.{i}"
            yield from _attention(weights, f"{source}/self_attention", f"{layer}.self_attn", cross=False)
            if side == "decoder":
                yield from _attention(weights, f"{source}/attention", f"{layer}.encoder_attn", cross=True)
            yield from _linear(weights, f"{source}/ffn/linear_0", f"{layer}.fc1")
            yield from _linear(weights, f"{source}/ffn/linear_1", f"{layer}.fc2")
            yield from _layer_norm(weights, f"{source}/ffn/layer_norm", f"{layer}.final_layer_norm")
    for conv in ("conv1", "conv2"):
        yield from _linear(weights, f"encoder/{conv}", f"model.encoder.{conv}")
    yield "model.decoder.embed_tokens.weight", weights["decoder/embeddings/weight"]
    yield "proj_out.weight", weights["decoder/embeddings/weight"]


def _linear(weights: Weights, source: str, target: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield f"{target}.weight", weights[f"{source}/weight"]
    yield f"{target}.bias", weights[f"{source}/bias"]


def _layer_norm(weights: Weights, source: str, target: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield f"{target}.weight", weights[f"{source}/gamma"]
    yield f"{target}.bias", weights[f"{source}/beta"]


def _attention(
    weights: Weights, source: str, target: str, *, cross: bool
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Self-attention stacks q, k, v in linear_0; cross-attention has q in linear_0 and k, v in linear_1."""
    stacks = (("linear_0", "q"), ("linear_1", "kv")) if cross else (("linear_0", "qkv"),)
    for linear, letters in stacks:
        weight = np.split(weights[f"{source}/{linear}/weight"], len(letters))
        bias = np.split(weights[f"{source}/{linear}/bias"], len(letters))
        for i, letter in enumerate(letters):
            yield f"{target}.{letter}_proj.weight", np.ascontiguousarray(weight[i])
            if letter != "k":  # Whisper's keys have no bias; CTranslate2 stores zeros
                yield f"{target}.{letter}_proj.bias", np.ascontiguousarray(bias[i])
    yield from _linear(weights, f"{source}/linear_{len(stacks)}", f"{target}.out_proj")
    yield from _layer_norm(weights, f"{source}/layer_norm", f"{target}_layer_norm")


def _read_settings(path: Path) -> dict[str, Any]:
    """Read CTranslate2's own config.json: suppressed tokens and alignment heads."""
    for name in ("model.bin", "config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise CheckpointError(
                str(path),
                f"is not a CTranslate2 Whisper directory: {name} is missing",
                "Convert a Whisper model with ct2-transformers-converter.",
            )
    try:
        settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(
            str(path / "config.json"), f"is not JSON ({first_line(error)})", "Convert the model again."
        ) from error
    if not isinstance(settings, dict):
        raise CheckpointError(str(path / "config.json"), "is not a JSON object", "Convert the model again.")
    return settings


def _tokenizer(path: Path) -> Any:
    """Make the WhisperTokenizer of a tokenizer.json, with the timestamp tokens that some files leave out."""
    from transformers import AddedToken, WhisperTokenizer

    try:
        source = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        special = [token["content"] for token in source["added_tokens"] if token["special"]]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(
            str(path / "tokenizer.json"),
            f"is not a tokenizer ({first_line(error)})",
            "Put the tokenizer.json of the original model beside model.bin.",
        ) from error
    declared: dict[str, Any] = {name: _END for name in ("unk_token", "bos_token", "eos_token", "pad_token")}
    declared |= {"tokenizer_class": "WhisperTokenizer", "model_max_length": 1024}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_text(json.dumps(source), encoding="utf-8")
        document = json.dumps({**declared, "additional_special_tokens": [s for s in special if s != _END]})
        (Path(folder) / "tokenizer_config.json").write_text(document, encoding="utf-8")
        tokenizer = WhisperTokenizer.from_pretrained(folder)
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in _TIMESTAMPS if t not in known])
    return tokenizer


def _token_id(tokenizer: Any, *names: str, path: Path | None = None) -> int:
    vocabulary = tokenizer.get_vocab()
    for name in names:
        if name in vocabulary:
            return int(vocabulary[name])
    raise CheckpointError(
        str(path or "tokenizer.json"),
        f"has no {names[0]} token: not a Whisper tokenizer",
        "Put the tokenizer.json of the original model beside model.bin.",
    )


def _config(weights: Weights, tokenizer: Any, path: Path) -> Any:
    """Read the architecture off the weights' shapes."""
    from transformers import WhisperConfig

    try:
        vocab_size, d_model = weights["decoder/embeddings/weight"].shape
        heads = {
            side: int(weights[f"{side}/num_heads"]) if f"{side}/num_heads" in weights else d_model // 64
            for side in ("encoder", "decoder")
        }
        shapes = {
            "num_mel_bins": weights["encoder/conv1/weight"].shape[1],
            "encoder_ffn_dim": weights["encoder/layer_0/ffn/linear_0/weight"].shape[0],
            "decoder_ffn_dim": weights["decoder/layer_0/ffn/linear_0/weight"].shape[0],
            "max_source_positions": weights["encoder/position_encodings/encodings"].shape[0],
            "max_target_positions": weights["decoder/position_encodings/encodings"].shape[0],
        }
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(
            str(path),
            f"model.bin is not a Whisper model ({first_line(error)})",
            "Convert a Whisper model with ct2-transformers-converter.",
        ) from error
    if len(tokenizer) > vocab_size:
        raise CheckpointError(
            str(path),
            f"tokenizer.json has {len(tokenizer)} tokens, but model.bin only {vocab_size}",
            "Put the tokenizer.json of the same model beside model.bin.",
        )
    end = _token_id(tokenizer, _END, path=path)
    return WhisperConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        encoder_layers=_n_layers(weights, "encoder"),
        decoder_layers=_n_layers(weights, "decoder"),
        encoder_attention_heads=heads["encoder"],
        decoder_attention_heads=heads["decoder"],
        decoder_start_token_id=_token_id(tokenizer, "<|startoftranscript|>", path=path),
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **shapes,
    )


def _generation_config(settings: dict[str, Any], tokenizer: Any, config: Any) -> Any:
    """Return the generation config that OpenAI's checkpoint of the same kind has on the hub.

    CTranslate2's ``lang_ids`` of English-only models are off by one, so languages come from the tokenizer.
    There are no forced ids: transformers places language, task and no-timestamps tokens by itself.
    """
    from transformers import GenerationConfig

    multilingual = config.vocab_size >= 51865
    keywords: dict[str, Any] = {
        "begin_suppress_tokens": list(settings.get("suppress_ids_begin") or []) or None,
        "suppress_tokens": list(settings.get("suppress_ids") or []) or None,
        "bos_token_id": config.bos_token_id,
        "decoder_start_token_id": config.decoder_start_token_id,
        "eos_token_id": config.eos_token_id,
        "pad_token_id": config.pad_token_id,
        "is_multilingual": multilingual,
        "max_initial_timestamp_index": 50,
        "max_length": config.max_target_positions,
        "no_timestamps_token_id": _token_id(tokenizer, "<|notimestamps|>"),
        "prev_sot_token_id": _token_id(tokenizer, "<|startofprev|>"),
        "return_timestamps": False,
    }
    if heads := settings.get("alignment_heads"):
        keywords["alignment_heads"] = heads
    if multilingual:
        first = config.decoder_start_token_id + 1
        last = _token_id(tokenizer, "<|translate|>") - 1
        names = {token_id: name for name, token_id in tokenizer.get_vocab().items()}
        keywords["lang_to_id"] = {names[i]: i for i in range(first, last + 1)}
        keywords["task_to_id"] = {
            task: _token_id(tokenizer, f"<|{task}|>") for task in ("transcribe", "translate")
        }
    return GenerationConfig(**keywords)


def _processor(path: Path, tokenizer: Any, config: Any) -> Any:
    from transformers import WhisperFeatureExtractor, WhisperProcessor

    if (path / "preprocessor_config.json").is_file():
        extractor = WhisperFeatureExtractor.from_pretrained(path)
    else:
        extractor = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    return WhisperProcessor(extractor, tokenizer)

"""What an ONNX file holds, read without onnx or onnxruntime: metadata, sizes and files of external data.

Reads protobuf's wire format by the field numbers of onnx.proto (IR version 3 and above).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Component
from forgetbench.models.directory import Origin
from forgetbench.models.fingerprint import combine, fingerprint_file, text_digest
from forgetbench.models.sampling_rate import KEY, read_sampling_rate

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_EXTERNAL = 1, 2, 13
_INT64 = 7
"""Tensors of this type are shapes and indices, not parameters."""
_HOW = "onnx.helper.set_model_props(model, {'sampling_rate': '16000'})"

Value = int | memoryview


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """An ONNX model as far as its file tells.

    Attributes:
        parameters: Elements of its initializers, without those of type int64.
        external: Files of external data, relative to the model's folder.
        metadata: Its ``metadata_props``.
    """

    parameters: int
    external: tuple[str, ...]
    metadata: dict[str, str]


def read_onnx(path: Path) -> OnnxFile:
    """Return what the structure of an ONNX file tells.

    Raises:
        CheckpointError: It is no ONNX model, or ends early.
    """
    try:
        return parse_onnx(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(
            str(path), "is not an ONNX model, or is cut off", "Export or copy it again."
        ) from error


def read_onnx_component(path: Path, origin: Origin) -> Component:
    """Return the enhancer in an ONNX file; neither onnx nor onnxruntime is needed.

    Raises:
        CheckpointError: It is no ONNX model, lacks its external data, or does not say its sampling rate.
    """
    model = read_onnx(path)
    external = {name: _external_file(path, name) for name in model.external}
    rate = onnx_sampling_rate(path, model)
    parts = {f"external {name}": fingerprint_file(file) for name, file in external.items()}
    parts |= {"model": fingerprint_file(path), KEY: text_digest(str(rate))}
    return Component(
        role="enhancer",
        source=origin.source,
        format="onnx",
        path=path,
        architecture="ONNX",
        fingerprint=combine(parts),
        capabilities=("enhance",),
        parameters=model.parameters,
        bytes=sum(file.stat().st_size for file in (path, *external.values())),
    )


def onnx_sampling_rate(path: Path, model: OnnxFile) -> int:
    """Return the sampling rate that a model works at, in Hz.

    Raises:
        CheckpointError: Nothing says it.
    """
    return read_sampling_rate(path, model.metadata.get(KEY), how=_HOW)


def _external_file(path: Path, name: str) -> Path:
    file = path.parent / name
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise CheckpointError(
            str(path),
            f"wants external data from outside its folder: {name}",
            "Export the network with its weights inside, or beside it.",
        )
    if not file.is_file():
        raise CheckpointError(str(path), f"lacks its external data {name}", "Copy that file beside it.")
    return file


def parse_onnx(content: bytes) -> OnnxFile:
    """Return what the structure of an ONNX model tells.

    Raises:
        ValueError: It is none, or ends early.
    """
    parameters, external, metadata, graphs = 0, set[str](), dict[str, str](), 0
    for number, value in _fields(memoryview(content)):
        if number == _MODEL_GRAPH:
            graphs += 1
            for tensor in _tensors(_message(value)):
                parameters += _n_parameters(tensor)
                external |= _external_names(tensor)
        elif number == _MODEL_METADATA:
            entry = _string_entry(_message(value))
            metadata[entry[0]] = entry[1]
    if not graphs:
        raise ValueError("no graph")
    return OnnxFile(parameters=parameters, external=tuple(sorted(external)), metadata=metadata)


def _tensors(graph: memoryview) -> Iterator[memoryview]:
    """Yield the tensors of a graph and of the graphs inside its nodes."""
    for number, value in _fields(graph):
        if number == _GRAPH_INITIALIZER:
            yield _message(value)
        elif number == _GRAPH_NODE:
            for node_number, attribute in _fields(_message(value)):
                if node_number == _NODE_ATTRIBUTE:
                    yield from _attribute_tensors(_message(attribute))


def _attribute_tensors(attribute: memoryview) -> Iterator[memoryview]:
    for number, value in _fields(attribute):
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            yield _message(value)
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            yield from _tensors(_message(value))


def _n_parameters(tensor: memoryview) -> int:
    dims: list[int] = []
    for number, value in _fields(tensor):
        if number == _TENSOR_TYPE and value == _INT64:
            return 0
        if number == _TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else _packed(value)
    return math.prod(dims)


def _external_names(tensor: memoryview) -> set[str]:
    entries = (_string_entry(_message(v)) for number, v in _fields(tensor) if number == _TENSOR_EXTERNAL)
    return {text for key, text in entries if key == "location"}


def _string_entry(message: memoryview) -> tuple[str, str]:
    """Return key and value of a StringStringEntryProto."""
    texts = {number: bytes(_message(value)).decode() for number, value in _fields(message)}
    return texts.get(1, ""), texts.get(2, "")


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field; numbers of fixed width are yielded as their bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == 2:
            size, position = _varint(message, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + size > len(message):
            raise ValueError("cut off")
        yield number, message[position : position + size]
        position += size


def _packed(message: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(message):
        value, position = _varint(message, position)
        values.append(value)
    return values


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number that starts at ``position``, and where it ends."""
    value = shift = 0
    while True:
        if position == len(message):
            raise ValueError("cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("number too long")

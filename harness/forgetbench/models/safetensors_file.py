"""What a safetensors file holds, read without torch: header, tensor names and a digest of each tensor."""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from pathlib import Path
from typing import NamedTuple

from forgetbench.errors import CheckpointError

_MAX_HEADER_BYTES = 100_000_000
_CHUNK_BYTES = 1 << 24
_WAY_OUT = "Copy or download it again."


class Tensor(NamedTuple):
    """One entry of a header; ``start`` and ``end`` are byte positions in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> tuple[Tensor, ...]:
    """Return the tensors of a safetensors file, sorted by name.

    Layout: u64 little-endian header length, JSON header, data.

    Raises:
        CheckpointError: The file is not safetensors, or ends early.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if size < 8 or n_header > min(size - 8, _MAX_HEADER_BYTES):
            raise CheckpointError(
                str(path), "is not a safetensors file, or is cut off in its header", _WAY_OUT
            )
        try:
            header = json.loads(file.read(n_header))
            tensors = tuple(
                _tensor(name, entry, data_start=8 + n_header)
                for name, entry in sorted(header.items())
                if name != "__metadata__"
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                str(path), "has a safetensors header that cannot be read", _WAY_OUT
            ) from error
    end = max((tensor.end for tensor in tensors), default=8 + n_header)
    if end != size:
        raise CheckpointError(
            str(path), f"is truncated: {size} bytes where the header promises {end}", _WAY_OUT
        )
    return tensors


def _tensor(name: str, entry: dict[str, object], *, data_start: int) -> Tensor:
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise TypeError(name)
    start, end = (data_start + int(offset) for offset in offsets)
    return Tensor(name, str(entry["dtype"]), tuple(int(n) for n in shape), start, end)


def tensor_digests(path: Path) -> dict[str, str]:
    """Return sha256 over dtype, shape and bytes of each tensor, by tensor name."""
    digests = {}
    tensors = read_header(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for tensor in tensors:
            digest = hashlib.sha256(f"{tensor.dtype}{list(tensor.shape)}\n".encode())
            for start in range(tensor.start, tensor.end, _CHUNK_BYTES):
                digest.update(data[start : min(start + _CHUNK_BYTES, tensor.end)])
            digests[tensor.name] = digest.hexdigest()
    return digests


def all_zero(path: Path, tensor: Tensor) -> bool:
    """Say whether every byte of a tensor is zero."""
    with path.open("rb") as file:
        file.seek(tensor.start)
        return not any(file.read(tensor.end - tensor.start))

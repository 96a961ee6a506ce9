"""One recording of a row: a path, or bytes that stay in their table until they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetbench.data.audio import read_bytes
from forgetbench.errors import SampleError


@dataclass(frozen=True)
class StoredAudio:
    """An encoded recording in a memory-mapped table.

    Attributes:
        column: ``pyarrow.ChunkedArray`` of binary values, or of structs of ``bytes`` and ``path``.
        row: Its position.
        name: Name of its file, where the table has one: to show.
    """

    column: Any = field(repr=False, compare=False)
    row: int
    name: str = ""

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            SampleError: ``missing_audio``.
        """
        value = self.column[self.row].as_py()
        content, path = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, "")
        if isinstance(content, bytes):
            return content
        if not path:
            raise SampleError(
                "missing_audio", f"row {self.row + 1}", "the table holds neither bytes nor path"
            )
        return read_bytes(Path(path), self.name)


def recording_name(value: Any) -> str:
    """Return the file name of a recording, to show; empty where it has none."""
    if isinstance(value, StoredAudio):
        return Path(value.name).name
    path = value if isinstance(value, str) else (value or {}).get("path")
    return Path(path or "").name


def recording_bytes(value: Any, folder: Path, key: str) -> bytes:
    """Return the content of a recording's file.

    Args:
        value: A path, a mapping with ``bytes``, or a :class:`StoredAudio`.
        folder: Where relative paths start.
        key: What an error calls it.

    Raises:
        SampleError: ``missing_audio``.
    """
    if isinstance(value, StoredAudio):
        return value.read()
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        return bytes(value["bytes"])
    if not isinstance(value, str):
        raise SampleError("missing_audio", key, "the audio field is neither a path nor bytes")
    return read_bytes(folder / value, value)

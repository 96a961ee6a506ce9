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
        column: ``pyarrow.ChunkedArray`` of bytes, or of structs of ``bytes`` and ``path``.
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
        content, path = (value["bytes"], value.get("path")) if isinstance(value, Mapping) else (value, None)
        if content is not None:
            return bytes(content)
        if not path:
            raise SampleError(
                "missing_audio", f"row {self.row + 1}", "has neither the bytes nor the path of it"
            )
        return read_bytes(Path(path), self.name)


def stored_audio(column: Any) -> list[StoredAudio | None]:
    """Return the recordings of a ``pyarrow.ChunkedArray``; None where a row has none."""
    import pyarrow.compute as pc
    from pyarrow import types

    names = [""] * len(column)
    if types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
        names = [Path(path or "").name for path in pc.struct_field(column, "path").to_pylist()]
    present = pc.is_valid(column).to_pylist()
    return [
        StoredAudio(column, row, name) if there else None
        for row, (name, there) in enumerate(zip(names, present, strict=True))
    ]


def recording_name(value: Any) -> str:
    """Return the file name of a recording, to show; empty where it has none."""
    return value.name if isinstance(value, StoredAudio) else Path(str(value)).name


def recording_bytes(value: Any, folder: Path, key: str, *, root: Path | None = None) -> bytes:
    """Return the content of a recording's file.

    Args:
        value: A path, or a :class:`StoredAudio`.
        folder: Where relative paths start.
        key: What an error calls it.
        root: Folder that relative paths, and links on the way, stay in; None for a user's own file.

    Raises:
        SampleError: ``missing_audio``, or ``audio_outside``: a relative path leads out of ``root``.
    """
    if isinstance(value, StoredAudio):
        return value.read()
    if not isinstance(value, str) or "\0" in value:
        raise SampleError("missing_audio", key, "the audio field is neither a path nor bytes")
    if root is not None and leads_out(value, folder, root):
        raise SampleError("audio_outside", value, f"leads out of {root.name}/")
    return read_bytes(folder / value, value)


def leads_out(path: str, folder: Path, root: Path) -> bool:
    """Tell whether a relative path leaves a folder, by ``..`` or by a link; an absolute one was meant.

    Args:
        path: As it is written.
        folder: Where it starts.
        root: The folder to stay in.
    """
    return not Path(path).is_absolute() and not (folder / path).resolve().is_relative_to(root.resolve())

"""Parquet files: texts and numbers as rows, audio left on the disk."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench.data.recording import stored_audio
from forgetbench.errors import DataError, first_line
from forgetbench.paths import cache_root

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[dict[str, Any]]

_ROWS_AT_A_TIME = 16
_BUFFER_BYTES = 2**20


def read_parquet(path: Path) -> Rows:
    """Return the rows of a Parquet file; encoded audio as :class:`~forgetbench.data.recording.StoredAudio`.

    A Parquet file can be read only by large blocks. Its audio is copied once into a file of the cache that is
    mapped into memory, named by content, so that one recording at a time is read, in any order.

    Raises:
        DataError: It is no Parquet file.
        OSError: It cannot be read, or the cache cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            audio = [column.name for column in file.schema_arrow if _holds_bytes(column.type)]
            if not audio:
                return list(file.read().to_pylist())
            plain = [name for name in file.schema_arrow.names if name not in audio]
            rows = (
                file.read(columns=plain).to_pylist() if plain else [{} for _ in range(file.metadata.num_rows)]
            )
            mapped = _mapped(path, file, audio)
    except pa.ArrowInvalid as error:
        raise DataError(str(path), f"is not Parquet ({first_line(error)})", "Write it anew.") from None
    for name in audio:
        for row, recording in zip(rows, stored_audio(mapped.column(name)), strict=True):
            row[name] = recording
    return list(rows)


def _holds_bytes(kind: pa.DataType) -> bool:
    """Return whether a column is encoded audio: bytes, or a struct of ``bytes`` and ``path``."""
    from pyarrow import types

    if types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _mapped(path: Path, file: Any, columns: list[str]) -> pa.Table:
    import pyarrow as pa

    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    copy = cache_root() / "tables" / f"{digest}.arrow"
    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".unfinished-") as own:  # of this process
            unfinished = Path(own) / copy.name
            with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=columns):
                    writer.write_batch(batch.cast(schema))
            unfinished.replace(copy)
    return pa.ipc.open_file(pa.memory_map(str(copy))).read_all()

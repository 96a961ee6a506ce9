"""Rows of JSONL, CSV and Parquet files, and of folders of audio."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forgetbench.data.audio_folder import read_audio_folder
from forgetbench.data.parquet import read_parquet
from forgetbench.errors import DataError

Rows = list[dict[str, Any]]


def read_rows(path: Path) -> Rows:
    """Return the rows of a JSONL, CSV or Parquet file, or of a folder of audio with transcripts.

    Raises:
        DataError: The file is missing, empty, of another format, or a line is broken (with its number).
    """
    reader = _reader(path)
    try:
        rows = reader(path)
    except UnicodeDecodeError:
        raise DataError(str(path), "is not UTF-8 text", "Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(str(path), error.strerror or str(error), "Check the path.") from None
    if not rows:
        raise DataError(str(path), "has no rows", "Add at least one sample.")
    return rows


def _reader(path: Path) -> Callable[[Path], Rows]:
    if path.is_dir():
        return lambda folder: read_audio_folder(folder, read_rows)
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        cause = f"has the unknown ending {path.suffix!r}"
        raise DataError(str(path), cause, "Use .jsonl, .csv, .parquet or a folder of audio.")
    return reader


def _read_jsonl(path: Path) -> Rows:
    rows: Rows = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if "\\u" in line:
                    json.dumps(row, ensure_ascii=False).encode()  # half a character is none
            except json.JSONDecodeError as error:
                cause = f"is not JSON ({error.msg}, column {error.colno})"
                raise DataError(f"{path}, line {number}", cause, "Mend the line.") from None
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}", f"is not JSON ({error})", "Mend the line."
                ) from None
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}", "is not a JSON object", "Write {…} in each line.")
            rows.append(row)
    return rows


def _read_csv(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        rows: Rows = []
        try:
            for row in reader:
                if None in row or None in row.values():
                    cause = f"has another number of fields than the header's {len(reader.fieldnames or ())}"
                    raise DataError(f"{path}, line {reader.line_num}", cause, "Mend the line.")
                rows.append(dict(row))
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}", str(error), "Mend the line.") from None
    return rows

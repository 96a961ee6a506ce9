"""Training data: rows of a JSONL file, and the order in which they are seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forgetbench.data.audio import duration_s
from forgetbench.errors import DataError, SampleError
from forgetbench.models.fingerprint import combine, fingerprint_file

Row = dict[str, str]
_PART = 1
"""Keeps the choice of a part apart from the order of training."""
_ROUNDING_S = 1e-6


def read_training_rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """Return the rows of a JSONL file, each with every one of ``columns`` as text that is not empty.

    Raises:
        DataError: The file is missing, empty or not JSONL, or a row lacks a column; the line is named.
    """
    rows = []
    for place, row in json_rows(path):
        for column in columns:
            if column not in row:
                raise DataError(place, f"has no {column!r}", f"Each row needs {' and '.join(columns)}.")
            if not isinstance(row[column], str) or not row[column].strip():
                raise DataError(
                    place, f"{column!r} is not a text, or is empty", "Fill it in, or leave the line out."
                )
        rows.append({column: row[column] for column in columns})
    if not rows:
        raise DataError(str(path), "has no rows", "Give one JSON object per line.")
    return rows


def json_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of a JSONL file, each with its place.

    Raises:
        DataError: The file is missing or not JSONL; the line is named.
    """
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
            if "\\u" in line:
                json.dumps(row, ensure_ascii=False).encode()  # half a character is none
        except (ValueError, RecursionError):
            raise DataError(place, "is not JSON", "Write one JSON object per line.") from None
        if not isinstance(row, dict):
            raise DataError(place, "is not a JSON object", "Write one JSON object per line.")
        rows.append((place, row))
    return rows


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            return list(lines)
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror})", "Check --data.") from None
    except UnicodeDecodeError:
        raise DataError(str(path), "is not UTF-8 text", "Save it as UTF-8.") from None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a data file, in hexadecimal.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror})", "Check --data.") from None


def recordings_sha256(manifest: Path) -> str:
    """Return one sha256 over the names and bytes of a manifest's recordings; each file's is remembered.

    Raises:
        DataError: The manifest cannot be used.
        SampleError: A recording is missing.
    """
    names = {row["audio"] for row in read_training_rows(manifest, ("audio",))}
    digests = {}
    for name in names:
        try:
            digests[name] = fingerprint_file(manifest.parent / name)
        except OSError as error:
            raise SampleError("missing_audio", name, error.strerror or "cannot be read") from None
    return combine(digests)


def recording_durations_s(manifest: Path) -> list[float]:
    """Return how long each recording of a manifest lasts, in seconds, by its header.

    Raises:
        DataError: The manifest cannot be used.
        SampleError: A recording is missing or broken.
    """
    rows = read_training_rows(manifest, ("audio",))
    return [duration_s(manifest.parent / row["audio"], row["audio"]) for row in rows]


def nested_part(durations_s: Sequence[float], audio_s: float, seed: int) -> list[int]:
    """Return the rows of a seeded part that lasts no longer than ``audio_s``, in the order of the file.

    The rows are put in a seeded order, and taken until the next one would not fit: so that a smaller part
    always lies within a larger one.

    Raises:
        DataError: Not even the first recording fits.
    """
    order = np.random.default_rng([seed, len(durations_s), _PART]).permutation(len(durations_s)).tolist()
    total_s = np.cumsum([durations_s[i] for i in order])
    n_within = int((total_s <= audio_s + _ROUNDING_S).sum())
    if not n_within:
        cause = f"the first recording lasts {total_s[0]:.1f} s, and {audio_s:g} s were asked for"
        raise DataError("training data", cause, "Ask for more seconds, choose another seed, or cut it.")
    return sorted(order[:n_within])


def training_order(n_rows: int, n_examples: int, seed: int) -> list[int]:
    """Return the row of each training example: every row once in a seeded order, then all again in another.

    The order depends on nothing else, so that a run which was interrupted goes on with the same examples.
    """

    def epochs() -> Iterator[int]:
        rng = np.random.default_rng([seed, n_rows])
        while True:
            yield from rng.permutation(n_rows).tolist()

    order = epochs()
    return [next(order) for _ in range(n_examples)]

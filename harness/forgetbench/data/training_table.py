"""A user's table of how checkpoints were trained, where their own files do not say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from forgetbench.data.tabular import read_rows
from forgetbench.errors import DataError
from forgetbench.schema.curve import Training
from forgetbench.schema.invalid import first_invalid

KEY = "checkpoint"
COLUMNS = tuple(Training.model_fields)


def read_training_table(path: Path) -> dict[str, Training]:
    """Return the rows of a CSV file by checkpoint: its name, or the beginning of its fingerprint.

    An empty field is not known.

    Raises:
        DataError: The file cannot be read, lacks the column ``checkpoint``, has an unknown column, names a
            checkpoint twice or holds a value that is not a number.
    """
    if path.suffix.lower() != ".csv":
        raise DataError(str(path), "is not a CSV file", f"Write {KEY} and any of {', '.join(COLUMNS)}.")
    found: dict[str, Training] = {}
    for number, row in enumerate(read_rows(path), start=2):
        if KEY not in row:
            raise DataError(str(path), f"has no column {KEY!r}", f"Its columns: {', '.join(map(str, row))}.")
        if unknown := [name for name in row if name != KEY and name not in COLUMNS]:
            raise DataError(
                str(path), f"has the unknown column {unknown[0]!r}", f"Known: {', '.join(COLUMNS)}."
            )
        name = row[KEY].strip()
        if name in found:
            raise DataError(f"{path}, line {number}", f"names {name} twice", "Remove one.")
        found[name] = _training(row, f"{path}, line {number}")
    return found


def _training(row: Mapping[str, str], where: str) -> Training:
    given = {name: value.strip() for name, value in row.items() if name != KEY and value.strip()}
    try:
        return Training.model_validate(given)
    except ValidationError as error:
        first = first_invalid(error)
        raise DataError(where, f"{first.key}: {first.cause}", "Mend the line.") from None

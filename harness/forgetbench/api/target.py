"""A test set that is a pandas table in a notebook, as the file that a run reads."""

from __future__ import annotations

import hashlib
import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from forgetbench.atomic import write_atomically
from forgetbench.engine.results import check_writable
from forgetbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "targets"
"""Below the folder of the results: where tables are kept, for a report reads them again."""


def target_file(target: str | PathLike[str] | pd.DataFrame, output: Path) -> Path:
    """Return the file of a test set; a table is written below ``output``, under a name made of its content.

    Args:
        target: Path, or table whose relative paths in a column ``audio`` start at the working directory.
        output: Folder of the results.

    Raises:
        UsageError: It is neither, or the table cannot be written.
    """
    import pandas as pd

    if isinstance(target, (str, PathLike)):
        return Path(target)
    if not isinstance(target, pd.DataFrame):
        raise UsageError(
            f"evaluate(target={type(target).__name__})",
            "is neither a path nor a pandas DataFrame",
            'Give a DataFrame, or write it: table.to_json("test.jsonl", orient="records", lines=True).',
        )
    folder = output / FOLDER
    content = _lines(target, folder)
    path = folder / f"table-{hashlib.sha256(content).hexdigest()[:12]}.jsonl"
    if not path.exists():
        check_writable(folder, "--output-path")
        write_atomically(path, content)
    return path


def _lines(table: pd.DataFrame, folder: Path) -> bytes:
    if "audio" in table:
        table = table.assign(audio=table["audio"].map(lambda value: _from(folder, value)))
    try:
        return table.to_json(orient="records", lines=True, force_ascii=False).encode()
    except (ValueError, OverflowError) as error:
        way_out = "Keep columns of text and numbers, each of another name."
        raise UsageError("evaluate(target=DataFrame)", f"cannot be written ({error})", way_out) from None


def _from(folder: Path, value: object) -> object:
    """Return a relative path as it is named from a folder; anything else as it is."""
    if not isinstance(value, (str, PathLike)):
        return value
    path = Path(value)
    return str(path) if path.is_absolute() else os.path.relpath(path, folder)

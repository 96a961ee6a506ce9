"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; one that is missing or broken is as good as none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by a temporary one in the same folder, synced and renamed.

    Raises:
        OSError: The folder cannot be written; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def is_left_over(path: Path, name: str) -> bool:
    """Say whether a file is what a killed :func:`write_atomically` of ``name`` left in its folder."""
    return re.fullmatch(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}", path.name) is not None

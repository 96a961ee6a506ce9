"""A disk that is full, or that turned read-only: the run stops at once, and loses nothing that it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetbench.errors import StorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Name the file where writing it fails.

    Raises:
        StorageError: The operating system could not write.
    """
    try:
        yield
    except OSError as error:
        cause = f"cannot be written ({error.strerror or error})"
        way_out = "Make room there or choose another folder; the same command goes on from here."
        raise StorageError(str(path), cause, way_out) from error

"""Files at a URL that fsspec knows (S3, NFS, another machine's disk), written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetbench.errors import ForgetbenchError, MissingPackageError, StorageError, first_line

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})
_HALF = ".part"
"""Ends the name of a file that is being written."""


class RemoteFolder:
    """A folder at a URL.

    Args:
        url: Such as ``s3://bucket/folder`` or ``file:///mnt/shared``.
        thing: What errors name, with the URL.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: It cannot be opened.
    """

    def __init__(self, url: str, *, thing: str = "") -> None:
        from fsspec.core import url_to_fs

        self._thing = f"{thing} {url}".strip()
        try:
            with self._reached():
                self._files, root = url_to_fs(url)
        except ImportError as error:
            package = "s3fs" if url.startswith("s3") else str(error)
            raise MissingPackageError(self._thing, package, extra="s3") from None
        self._root = str(root).rstrip("/")
        protocol = self._files.protocol
        names = (protocol,) if isinstance(protocol, str) else protocol
        self._has_folders = _OBJECT_STORES.isdisjoint(names)

    def stamps(self, folder: str = "") -> dict[str, str]:
        """Return what the file system says of each file under a folder, by name; a changed file, another."""
        root = f"{self._root}/{folder}".rstrip("/")
        with self._reached():
            self._files.invalidate_cache()
            try:
                found = self._files.find(root, detail=True)
            except FileNotFoundError:
                return {}
        names = {path.removeprefix(f"{self._root}/"): about for path, about in found.items()}
        return {
            name: str(about)
            for name, about in names.items()
            if not name.endswith(_HALF) and ".." not in name.split("/")
        }

    def exists(self, name: str) -> bool:
        """Say whether a file is there."""
        with self._reached():
            return bool(self._files.exists(f"{self._root}/{name}"))

    def read(self, names: list[str]) -> dict[str, bytes]:
        """Return files by name, those that have gone meanwhile left out."""
        if not names:
            return {}
        with self._reached():
            paths = {f"{self._root}/{name}": name for name in names}
            found = self._files.cat(list(paths), on_error="return")
            gone = {path for path, content in found.items() if isinstance(content, FileNotFoundError)}
            if error := next(
                (c for p, c in found.items() if p not in gone and isinstance(c, Exception)), None
            ):
                raise error
        return {paths[path]: content for path, content in found.items() if path not in gone}

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self._whole(name) as target:
            self._files.pipe_file(target, content)

    def send(self, path: Path, name: str) -> None:
        """Copy a file of this machine there."""
        with self._whole(name) as target:
            self._files.put_file(str(path), target)

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine."""
        half = path.with_name(f".{path.name}{_HALF}")
        with self._reached():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(f"{self._root}/{name}", str(half))
            half.replace(path)

    @contextmanager
    def _whole(self, name: str) -> Iterator[str]:
        """Yield where to write a file: an object appears whole, any other is renamed into place."""
        target = f"{self._root}/{name}"
        with self._reached():
            if not self._has_folders:  # making one would make a mistyped bucket
                yield target
                return
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            half = f"{target}.{os.getpid()}{_HALF}"
            yield half
            self._files.mv(half, target)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turn whatever goes wrong on the way into one line: each file system has errors of its own."""
        try:
            yield
        except (ImportError, ForgetbenchError):
            raise
        except Exception as error:
            cause = f"cannot be used ({type(error).__name__}: {first_line(error)})"
            way_out = "Check the address and the credentials; the same command goes on from here."
            raise StorageError(self._thing, cause, way_out) from error

"""Answers kept at a URL (S3, NFS, whatever fsspec knows), for drivers on machines that share no disk.

An object store neither appends nor locks: the answers of each unit become one object, named by its content
and never changed. Who asks the same question again reads them all into the journal of their own machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgetbench.engine.audio_store import is_intact, put_content
from forgetbench.engine.journal import Answer, Journal, answer_of, record_of
from forgetbench.errors import MissingPackageError, StorageError
from forgetbench.paths import cache_root

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})


class SharedCache:
    """Answers at a URL.

    Args:
        url: Such as ``s3://bucket/folder`` or ``file:///mnt/shared``.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: It cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._files, self._root = open_url(url)

    def put(self, journal: Path, answers: Mapping[str, Answer], audio: Mapping[str, bytes]) -> None:
        """Add the answers of a unit.

        Args:
            journal: Where they are kept on this machine.
            answers: By sample content.
            audio: Files that they name, by sha256; already there, they are left alone.

        Raises:
            StorageError: They cannot be written.
        """
        lines = [json.dumps(record_of(content, answer)) for content, answer in answers.items()]
        if not lines:
            return
        content = "\n".join(lines).encode()
        try:
            for digest, file in audio.items():
                if not self._files.exists(self._audio(digest)):
                    self._write(self._audio(digest), file)
            self._write(f"{self._folder(journal)}/{hashlib.sha256(content).hexdigest()}.jsonl", content)
        except OSError as error:
            raise _unusable(self._url, error) from error

    def take(self, journal: Path) -> None:
        """Add to the journal of this machine what it lacks.

        Raises:
            StorageError: The answers cannot be read, or not be kept.
        """
        try:
            found = self._files.cat(self._folder(journal), recursive=True, on_error="omit")
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self._url, error) from error
        answers: dict[str, Answer] = {}
        for content in found.values() if isinstance(found, dict) else [found]:
            records = [json.loads(line) for line in content.splitlines()]
            answers |= {record["content"]: answer_of(record) for record in records}
        with Journal.open(journal) as known:
            new = {content: answer for content, answer in answers.items() if content not in known.answers}
            for answer in new.values():
                self._take_audio(answer)
            known.write(new)

    def _take_audio(self, answer: Answer) -> None:
        file = answer.prediction.audio if answer.prediction is not None else None
        if file is not None and not is_intact(file):
            put_content(file.sha256, self._files.cat_file(self._audio(file.sha256)))

    def _write(self, name: str, content: bytes) -> None:
        make_folder_of(self._files, name)
        self._files.pipe_file(name, content)

    def _folder(self, journal: Path) -> str:
        return f"{self._root}/{journal.relative_to(cache_root()).with_suffix('').as_posix()}"

    def _audio(self, digest: str) -> str:
        return f"{self._root}/audio/{digest[:2]}/{digest}.wav"


def open_url(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: It cannot be opened.
    """
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url)
    except ImportError as error:
        package = "s3fs" if url.startswith("s3") else str(error)
        raise MissingPackageError(url, package, extra="s3") from None
    except (ValueError, OSError) as error:
        raise _unusable(url, error) from error
    return files, str(root).rstrip("/")


def make_folder_of(files: Any, name: str) -> None:
    """Make the folder of a file where there are folders: an object store would make a mistyped bucket."""
    protocol = files.protocol
    if _OBJECT_STORES.isdisjoint((protocol,) if isinstance(protocol, str) else protocol):
        files.makedirs(name.rpartition("/")[0], exist_ok=True)


def _unusable(url: str, error: Exception) -> StorageError:
    cause = f"cannot be used ({type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]})"
    return StorageError(
        url, cause, "Check the address and the credentials; the same command goes on from here."
    )

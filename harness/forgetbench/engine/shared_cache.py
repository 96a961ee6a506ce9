"""Answers kept at a URL (S3, NFS, whatever fsspec knows), for drivers on machines that share no disk.

An object store neither appends nor locks: the answers of each unit become one object, named by its content
and never changed. Who asks the same question again reads them all into the journal of their own machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from forgetbench.engine.audio_store import is_intact, put_content
from forgetbench.engine.journal import Answer, Journal, answer_of, record_of
from forgetbench.engine.remote_files import RemoteFolder
from forgetbench.paths import cache_root


class SharedCache:
    """Answers at a URL.

    Args:
        url: Such as ``s3://bucket/folder`` or ``file:///mnt/shared``.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: It cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._files = RemoteFolder(url, thing="FORGETBENCH_CACHE")

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
        for digest, file in audio.items():
            if not self._files.exists(_audio(digest)):
                self._files.write(_audio(digest), file)
        self._files.write(f"{_folder(journal)}/{hashlib.sha256(content).hexdigest()}.jsonl", content)

    def take(self, journal: Path) -> None:
        """Add to the journal of this machine what it lacks; what is damaged there is as if it were not.

        Raises:
            StorageError: The answers cannot be read, or not be kept.
        """
        found = self._files.read(list(self._files.stamps(_folder(journal))))
        answers: dict[str, Answer] = {}
        for name, content in found.items():
            if PurePosixPath(name).stem == hashlib.sha256(content).hexdigest():
                records = [json.loads(line) for line in content.splitlines()]
                answers |= {record["content"]: answer_of(record) for record in records}
        if not answers:
            return
        with Journal.open(journal) as known:
            new = {content: answer for content, answer in answers.items() if content not in known.answers}
            known.write({content: answer for content, answer in new.items() if self._has_audio(answer)})

    def _has_audio(self, answer: Answer) -> bool:
        """Say whether the audio of an answer is here, after it was fetched where it is not."""
        files = answer.prediction.audio_files if answer.prediction is not None else ()
        for file in files:
            if is_intact(file):
                continue
            for content in self._files.read([_audio(file.sha256)]).values():
                put_content(file.sha256, content)
        return all(map(is_intact, files))


def _folder(journal: Path) -> str:
    return journal.relative_to(cache_root()).with_suffix("").as_posix()


def _audio(digest: str) -> str:
    return f"audio/{digest[:2]}/{digest}.wav"

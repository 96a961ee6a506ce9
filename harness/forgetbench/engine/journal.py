"""The caches of predictions and scores: append-only journals by component and task, safe against SIGKILL."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, Self

from filelock import FileLock, Timeout
from pydantic_core import from_json, to_json

from forgetbench.engine.storage import storing
from forgetbench.schema.sample import RawPrediction

FSYNC_INTERVAL_S = 1.0
PATIENCE_S = 1.0
"""A run that has to wait longer for another says so."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model said to one sample, or the code of the error that kept it from answering.

    Attributes:
        first_token_ids: How the prompt starts for the model's tokenizer.
        resampled_from_hz: Sampling rate of a recording that was converted to the model's.
    """

    prediction: RawPrediction | None
    error: str | None = None
    first_token_ids: tuple[int, ...] = ()
    resampled_from_hz: int | None = None


class Lines(ABC):
    """Records, one on each line of a file that is only ever appended to.

    Each line carries its own checksum: a line that is cut off or damaged is as if it had not been
    written, and what it held is computed again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._size = 0
        self._synced = 0.0
        self.damaged = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[Self]:
        """Lock, read and yield the journal at ``path``; a second run waits for the first.

        Args:
            path: The file; it need not exist.
            waiting: Called once where another run has it.

        Raises:
            StorageError: It cannot be written.
        """
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock"), waiting):
            journal = cls(path)
            journal._read()
            try:
                yield journal
            finally:
                journal._close()

    def _go_to_end(self) -> None:
        """Be ready to append to a file that is not read; a line that was cut off is taken away."""
        if not self._path.exists():
            return
        with self._path.open("rb+") as file:
            self._size = file.seek(0, os.SEEK_END)
            file.seek(max(self._size - 1, 0))
            if file.read(1) not in (b"", b"\n"):
                file.seek(0)
                self._size = file.truncate(file.read().rfind(b"\n") + 1)

    @abstractmethod
    def _take(self, record: dict[str, Any], place: int) -> None:
        """Keep a record that was read at a place; ValueError, KeyError or TypeError where it is damaged."""

    def _append(self, records: Iterable[dict[str, Any]]) -> list[int]:
        """Write records, and return their places in the file."""
        payloads = [to_json(record) for record in records]
        lines = [b"%08x %b\n" % (zlib.crc32(payload), payload) for payload in payloads]
        with storing(self._path):
            if self._file is None:
                self._file = self._path.open("ab")
            self._file.write(b"".join(lines))
        places = list(accumulate(map(len, lines), initial=self._size))
        self._size = places.pop()
        return places

    def _flush(self) -> None:
        assert self._file is not None
        with storing(self._path):
            self._file.flush()
            if time.monotonic() - self._synced >= FSYNC_INTERVAL_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def _close(self) -> None:
        if self._file is not None:
            with storing(self._path):
                os.fsync(self._file.fileno())
                self._file.close()

    def _read(self) -> None:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self.damaged += 1
            os.truncate(self._path, len(whole))
        while self._size < len(whole):
            end = whole.index(b"\n", self._size)
            try:
                self._take(_record(whole[self._size : end]), self._size)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.damaged += 1
            self._size = end + 1


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _record(line: bytes) -> dict[str, Any]:
    """Return what a line holds; ValueError where its checksum says that it is damaged."""
    checksum, _, payload = line.partition(b" ")
    if int(checksum, 16) != zlib.crc32(payload):
        raise ValueError
    record: dict[str, Any] = from_json(payload)
    return record


class Answers(MutableMapping[str, Answer]):
    """Answers by sample content, read from their file when they are asked for: memory holds their places.

    What is set from outside is kept in memory, and is in no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        self._kept: dict[str, Answer] = {}
        self._file: BinaryIO | None = None

    def put(self, content: str, place: int) -> None:
        """Note where in the file an answer is; it stays open, for a cache may be deleted meanwhile."""
        if self._file is None:
            self._file = self._path.open("rb")
        self._kept.pop(content, None)
        self._places[content] = place

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __getitem__(self, content: str) -> Answer:
        """Return an answer."""
        if content in self._kept:
            return self._kept[content]
        place = self._places[content]
        assert self._file is not None
        self._file.seek(place)
        return answer_of(_record(self._file.readline().rstrip(b"\n")))

    def __setitem__(self, content: str, answer: Answer) -> None:
        """Keep an answer that is in no file."""
        self._kept[content] = answer

    def __delitem__(self, content: str) -> None:
        """Forget an answer; its line stays."""
        found = self._kept.pop(content, None), self._places.pop(content, None)
        if found == (None, None):
            raise KeyError(content)

    def __contains__(self, content: object) -> bool:
        """Say whether there is an answer, without reading it."""
        return content in self._places or content in self._kept

    def __iter__(self) -> Iterator[str]:
        """Iterate over the contents."""
        return iter({**self._places, **self._kept})

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._places.keys() | self._kept.keys())


def record_of(content: str, answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON."""
    prediction = answer.prediction.model_dump(exclude_defaults=True) if answer.prediction else None
    return {
        "content": content,
        "prediction": prediction,
        "error": answer.error,
        "first_token_ids": answer.first_token_ids,
        "resampled_from_hz": answer.resampled_from_hz,
    }


def answer_of(record: dict[str, Any]) -> Answer:
    """Return the answer of :func:`record_of`; KeyError or ValueError where it is damaged."""
    prediction = record["prediction"]
    return Answer(
        prediction=RawPrediction.model_validate(prediction) if prediction is not None else None,
        error=record["error"],
        first_token_ids=tuple(record["first_token_ids"]),
        resampled_from_hz=record["resampled_from_hz"],
    )


class Journal(Lines):
    """Answers by sample content."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answers = Answers(path)

    @classmethod
    def append(cls, path: Path, answers: Mapping[str, Answer], *, waiting: Callable[[], None]) -> None:
        """Add answers to the journal at ``path`` without reading it, and hold its lock no longer than that.

        They are with the operating system then; :func:`sync` brings them to the disk.

        Args:
            path: The file; it need not exist.
            answers: By sample content; of an answer that is there already, the new one counts.
            waiting: Called once where another run has it.

        Raises:
            StorageError: It cannot be written.
        """
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock"), waiting):
            journal = cls(path)
            journal._synced = time.monotonic()
            with storing(path):
                journal._go_to_end()
            journal.write(answers)
            journal.answers.close()
            if journal._file is not None:
                journal._file.close()

    def write(self, answers: Mapping[str, Answer]) -> None:
        """Append the answers of one batch and flush them to the operating system."""
        if not answers:
            return
        places = self._append(record_of(content, answer) for content, answer in answers.items())
        for content, place in zip(answers, places, strict=True):
            self.answers.put(content, place)
        self._flush()

    def _take(self, record: dict[str, Any], place: int) -> None:
        answer_of(record)
        self.answers.put(record["content"], place)

    def _close(self) -> None:
        self.answers.close()
        super()._close()


class ScoreJournal(Lines):
    """Scores of outputs that are costly to score, by whatever decides them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.scores: dict[str, dict[str, float]] = {}

    def write(self, key: str, scores: Mapping[str, float]) -> None:
        """Append the scores of one output and flush them to the operating system."""
        self._append([{"key": key, "scores": dict(scores)}])
        self.scores[key] = dict(scores)
        self._flush()

    def _take(self, record: dict[str, Any], place: int) -> None:
        self.scores[record["key"]] = {name: float(value) for name, value in record["scores"].items()}


def sync(path: Path) -> None:
    """Bring what was appended to a file to the disk.

    Raises:
        StorageError: The disk is full, or fails.
    """
    with storing(path), path.open("rb") as file:
        os.fsync(file.fileno())


def journal_path(root: Path, *, component: str, load: str, task: str, arguments: str) -> Path:
    """Return where the answers of a component to a task are kept.

    Args:
        root: Cache root.
        component: Fingerprint of the component.
        load: Load settings, as JSON.
        task: Task name, for a person who looks.
        arguments: Everything else that decides a prediction, as JSON.
    """
    load_hash = hashlib.sha256(load.encode()).hexdigest()[:8]
    arguments_hash = hashlib.sha256(arguments.encode()).hexdigest()[:16]
    return root / "predictions" / f"{component[:24]}-{load_hash}" / f"{task}-{arguments_hash}.jsonl"

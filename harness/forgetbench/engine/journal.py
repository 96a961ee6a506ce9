"""The caches of predictions and scores: append-only journals by component and task, safe against SIGKILL."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from filelock import FileLock
from pydantic import ValidationError

from forgetbench.engine.storage import storing
from forgetbench.schema.sample import RawPrediction

FSYNC_INTERVAL_S = 1.0


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
        self._synced = 0.0
        self.damaged = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Lock, read and yield the journal at ``path``; a second run waits for the first."""
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            journal = cls(path)
            journal._read()
            try:
                yield journal
            finally:
                journal._close()

    @abstractmethod
    def _take(self, record: dict[str, Any]) -> None:
        """Keep a record that was read; ValueError, KeyError or TypeError where it is damaged."""

    def _append(self, record: dict[str, Any]) -> None:
        payload = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        with storing(self._path):
            if self._file is None:
                self._file = self._path.open("ab")
            self._file.write(f"{zlib.crc32(payload.encode()):08x} {payload}\n".encode())

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
            os.truncate(self._path, len(whole))
        for line in whole.splitlines():
            checksum, _, payload = line.partition(b" ")
            try:
                if int(checksum, 16) != zlib.crc32(payload):
                    raise ValueError
                self._take(json.loads(payload))
            except (ValueError, KeyError, TypeError, ValidationError):
                self.damaged += 1


class Journal(Lines):
    """Answers by sample content."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answers: dict[str, Answer] = {}

    def write(self, answers: Mapping[str, Answer]) -> None:
        """Append the answers of one batch and flush them to the operating system."""
        if not answers:
            return
        for content, answer in answers.items():
            prediction = answer.prediction.model_dump(exclude_defaults=True) if answer.prediction else None
            self._append(
                {
                    "content": content,
                    "prediction": prediction,
                    "error": answer.error,
                    "first_token_ids": answer.first_token_ids,
                    "resampled_from_hz": answer.resampled_from_hz,
                }
            )
            self.answers[content] = answer
        self._flush()

    def _take(self, record: dict[str, Any]) -> None:
        prediction = record["prediction"]
        self.answers[record["content"]] = Answer(
            prediction=RawPrediction.model_validate(prediction) if prediction is not None else None,
            error=record["error"],
            first_token_ids=tuple(record["first_token_ids"]),
            resampled_from_hz=record["resampled_from_hz"],
        )


class ScoreJournal(Lines):
    """Scores of outputs that are costly to score, by whatever decides them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.scores: dict[str, dict[str, float]] = {}

    def write(self, key: str, scores: Mapping[str, float]) -> None:
        """Append the scores of one output and flush them to the operating system."""
        self._append({"key": key, "scores": dict(scores)})
        self.scores[key] = dict(scores)
        self._flush()

    def _take(self, record: dict[str, Any]) -> None:
        self.scores[record["key"]] = {name: float(value) for name, value in record["scores"].items()}


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

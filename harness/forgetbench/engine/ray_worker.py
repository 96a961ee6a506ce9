"""What runs in a Ray actor: one model, kept loaded, that answers units of questions.

Its answers are what the local engine's own code makes of the same batches; nothing is scored here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forgetbench.data.samples import Sample
from forgetbench.engine.answers import MODEL_ERROR, TaskFailure, predict_batch
from forgetbench.engine.audio_store import content_of, put_content
from forgetbench.engine.journal import Answer
from forgetbench.engine.lazy_model import LazyModel, LazyPair, lazy
from forgetbench.engine.lm_eval import LmEvalTask
from forgetbench.engine.model_files import Lacking, Manifest, moved, place_of, put_files
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.progress import Silent
from forgetbench.engine.prompting import Prompting
from forgetbench.errors import DataError, ForgetbenchError, StorageError
from forgetbench.models.component import Component
from forgetbench.models.resident_base import ResidentBase
from forgetbench.redact import redact
from forgetbench.schema.run import LoadSettings
from forgetbench.schema.sample import AudioFile


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a worker takes over from the driver.

    Attributes:
        node: Ray's id of the driver's node: what lies there is not checked.
    """

    node: str
    folder: Path
    environment: Mapping[str, str]
    import_paths: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question on its way to workers: without its samples, which come with each unit.

    Attributes:
        manifests: Content of the files of its models, by path.
        speech: Reference to the recordings.
        sent: By path, name and reference of each file that was put into the object store.
    """

    planned: PlannedTask
    component: Component
    reference: Component | None
    prompting: Prompting
    load: LoadSettings
    manifests: Mapping[Path, Manifest]
    speech: Any
    sent: Mapping[Path, Sequence[tuple[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The samples of a unit, with what they need beside the question.

    Attributes:
        audio: Files of enhanced recordings that are heard, by sha256.
    """

    samples: tuple[tuple[Sample, ...], ...]
    lm_eval: LmEvalTask | None
    audio: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a worker made of a unit.

    Attributes:
        answers: By sample content.
        said: Lines for the user.
        seconds: Without loading.
        audio: Files that the answers name, by sha256.
        lacking: A model's path whose files must be sent first: nothing was done.
        failure: Why the model cannot be asked this task.
        refused: Why it cannot be loaded, or its data be had.
    """

    answers: Mapping[str, Answer]
    said: tuple[str, ...] = ()
    seconds: float = 0.0
    audio: Mapping[str, bytes] = field(default_factory=dict)
    lacking: Path | None = None
    failure: str | None = None
    refused: ForgetbenchError | None = None


class Heard(Silent):
    """Keeps the lines that the engine says of samples."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        """Keep a line, without the secrets of this machine."""
        self.lines.append(redact(message))


class Worker:
    """One process with one model; made by the driver as a Ray actor.

    Args:
        surroundings: Of the driver.
        threads: For the model's algebra: as many as the actor has reserved CPUs.
    """

    def __init__(self, surroundings: Surroundings, threads: int) -> None:
        self._surroundings = surroundings
        os.environ.update(surroundings.environment)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch, which no import has loaded yet
        if surroundings.folder.is_dir():
            os.chdir(surroundings.folder)
        sys.path += [path for path in surroundings.import_paths if path not in sys.path]
        self._resident, self._progress = ResidentBase(), Heard()
        self._asked: tuple[str, Asked] | None = None
        self._speech: tuple[Any, Any] = (None, None)
        self._loaded: tuple[Any, LazyModel | LazyPair] | None = None

    def start(self) -> int:
        """Return the process's id; the first call, which waits for the actor to be made."""
        return os.getpid()

    def answer(self, key: str, references: Sequence[Any], batches: Batches) -> Answered:
        """Answer the samples of a unit.

        Args:
            key: Of the question: with another one it is fetched anew.
            references: One, to the :class:`Asked`; in a sequence, so that Ray does not fetch it each time.
            batches: The samples.
        """
        if self._asked is None or self._asked[0] != key:
            self._asked = key, _get(references[0])
        asked = self._asked[1]
        self._progress.lines = []
        try:
            answers, seconds = self._answers(asked, batches)
        except Lacking as error:
            return Answered(answers={}, lacking=error.path)
        except TaskFailure as failure:
            return Answered(answers={}, failure=str(failure))
        except StorageError:
            raise
        except ForgetbenchError as error:
            return Answered(answers={}, refused=error)
        return Answered(
            answers=answers, said=tuple(self._progress.lines), seconds=seconds, audio=audio_of(answers)
        )

    def _answers(self, asked: Asked, batches: Batches) -> tuple[dict[str, Answer], float]:
        planned = self._planned(asked, batches)
        for digest, content in batches.audio.items():
            put_content(digest, content)
        model = self._model(asked).get()
        start = time.perf_counter()
        answers: dict[str, Answer] = {}
        for samples in batches.samples:
            told = predict_batch(planned, samples, model, asked.prompting, self._progress)
            answers |= {sample.content: answer for sample, answer in zip(samples, told, strict=True)}
        return answers, time.perf_counter() - start

    def _planned(self, asked: Asked, batches: Batches) -> PlannedTask:
        samples = tuple(sample for batch in batches.samples for sample in batch)
        if asked.speech is not None and self._speech[0] != asked.speech:
            self._speech = asked.speech, _get(asked.speech)
        speech = self._speech[1] if asked.speech is not None else None
        if speech is not None and self._is_elsewhere:
            changed = speech.changed({sample.id for sample in samples})
            if changed:
                cause = f"{len(changed)} recordings, such as {changed[0]}, are not on {os.uname().nodename}"
                way_out = "Put the recordings on a path that all nodes share."
                raise DataError(f"task {asked.planned.task.name}", cause, way_out)
        return replace(asked.planned, samples=samples, speech=speech, lm_eval=batches.lm_eval)

    def _model(self, asked: Asked) -> LazyModel | LazyPair:
        prints = [model.fingerprint for model in (asked.component, asked.reference) if model is not None]
        held = (*prints, asked.load)
        if self._loaded is None or self._loaded[0] != held:
            if self._loaded is not None:
                self._loaded[1].release()
            component = self._placed(asked, asked.component)
            reference = asked.reference and self._placed(asked, asked.reference)
            model = lazy(component, reference, asked.load, Silent(), resident=self._resident)
            self._loaded = held, model
        return self._loaded[1]

    def _placed(self, asked: Asked, component: Component) -> Component:
        """Return a component with its files as they lie on this node.

        Raises:
            Lacking: They have not been sent yet.
        """
        if not self._is_elsewhere:
            return component

        def place(path: Path) -> Path:
            manifest = asked.manifests[path]
            try:
                return place_of(path, manifest)
            except Lacking:
                if path not in asked.sent:
                    raise
            put_files(path, manifest, _contents(asked.sent[path]))
            return place_of(path, manifest)

        return moved(component, place)

    @property
    def _is_elsewhere(self) -> bool:
        import ray

        return bool(ray.get_runtime_context().get_node_id() != self._surroundings.node)


def failed_samples(answered: Answered) -> list[str]:
    """Return the contents of samples that the model, or what it runs on, failed with."""
    return [content for content, answer in answered.answers.items() if answer.error == MODEL_ERROR]


def audio_to_send(planned: PlannedTask, samples: Sequence[Sample]) -> dict[str, bytes]:
    """Return the enhanced recordings that samples are heard as, by sha256."""
    files = [file for sample in samples if (file := planned.enhanced.get(sample.content)) is not None]
    return _contents_of(files)


def audio_of(answers: Mapping[str, Answer]) -> dict[str, bytes]:
    """Return all audio that a model returned, by sha256."""
    predictions = [answer.prediction for answer in answers.values() if answer.prediction is not None]
    return _contents_of([file for prediction in predictions for file in prediction.audio_files])


def _contents_of(files: Sequence[AudioFile]) -> dict[str, bytes]:
    return {file.sha256: content_of(file) for file in files}


def _contents(sent: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, memoryview]]:
    for name, reference in sent:
        yield name, memoryview(_get(reference))


def _get(reference: Any) -> Any:
    import ray

    return ray.get(reference)

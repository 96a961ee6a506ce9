"""The answers of one component to one task: the journal's, and what it lacks from the model or workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from forgetbench.data.samples import Sample
from forgetbench.engine.arm_run import ArmRun
from forgetbench.engine.audio_store import is_intact
from forgetbench.engine.journal import Answer, Journal, journal_path
from forgetbench.engine.lazy_model import LazyModel, LazyPair
from forgetbench.engine.plan import ENGINE_VERSION, PlannedTask
from forgetbench.engine.predict import predict
from forgetbench.engine.progress import Progress
from forgetbench.engine.prompting import Prompting, wants_chat
from forgetbench.engine.question import Question, Workers
from forgetbench.errors import ForgetbenchError, SampleError, StorageError
from forgetbench.models.component import Component
from forgetbench.models.interface import Model
from forgetbench.models.model_pair import ModelPair
from forgetbench.schema.run import Settings

MODEL_ERROR = "model_error"
"""Code of a failure of the model or its surroundings, which the next run tries again."""


class TaskFailure(Exception):
    """A task that this model cannot be asked at all; the others go on."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a component answered to one task, how many of it just now, and where it is kept.

    Attributes:
        seconds: Workers were busy with it; None where the model is in this process.
        reasons: Why samples have no answer, where all attempts of workers failed.
    """

    answers: list[Answer]
    computed: int
    path: Path
    seconds: float | None = None
    reasons: tuple[str, ...] = ()


def ask(run: ArmRun, planned: PlannedTask, component: Component, model: LazyModel | LazyPair) -> Given:
    """Answer every sample once, from the cache where it is there.

    Raises:
        TaskFailure: The model cannot be asked this task.
    """
    if run.workers is not None:
        return _answers_of_workers(run.workers, question(run, planned, component), run.progress)
    path = journal_of(run, planned, component)
    name = planned.task.name
    with Journal.open(
        path, waiting=partial(run.progress.say, f"{name}: another run asks the same")
    ) as journal:
        if journal.damaged:
            run.progress.say(f"{name}: {journal.damaged} damaged cache lines are computed again")
        computed = _answer(run, planned, model, journal)
        answers = [stored_answer(sample, journal) for sample in planned.samples]
    return Given(answers=answers, computed=computed, path=path)


def _answers_of_workers(workers: Workers, question: Question, progress: Progress) -> Given:
    workers.ask([question], progress)
    told = workers.told(question)
    with Journal.open(question.path) as journal:
        open_ones = {c: answer for c, answer in told.failed.items() if c not in journal.answers}
        journal.answers.update(open_ones)
        answers = [stored_answer(sample, journal) for sample in question.planned.samples]
    return Given(
        answers=answers,
        computed=told.computed,
        path=question.path,
        seconds=told.seconds,
        reasons=told.reasons,
    )


def question(run: ArmRun, planned: PlannedTask, component: Component) -> Question:
    """Return what a task asks of a component, with where its answers are kept."""
    return Question(
        planned=planned,
        component=component,
        reference=run.reference_for(planned),
        prompting=run.prompting,
        load=run.plan.settings.load,
        path=journal_of(run, planned, component),
    )


def repeats(run: ArmRun, planned: PlannedTask) -> list[ArmRun]:
    """Return the arm once for each time that a task is asked: answers that are drawn differ."""
    n_repeats = run.plan.settings.repeats if planned.generates else 1
    return [replace(run, prompting=replace(run.prompting, repeat=i)) for i in range(n_repeats)]


def journal_of(run: ArmRun, planned: PlannedTask, component: Component) -> Path:
    """Return where the answers of a component to a task are cached."""
    return journal_path(
        run.cache,
        component=component.fingerprint,
        load=run.plan.settings.load.model_dump_json(),
        task=planned.task.name,
        arguments=_arguments(planned, run.plan.settings, run.prompting, run.reference_for(planned)),
    )


def _arguments(
    planned: PlannedTask, settings: Settings, prompting: Prompting, reference: Component | None
) -> str:
    in_chat = wants_chat(planned.task)
    arguments: dict[str, object] = {
        "engine": ENGINE_VERSION,
        "task": planned.prediction_key,
        "use_chat_template": prompting.use_chat_template or not in_chat,
        "template": prompting.template if in_chat else None,
    }
    if reference is not None:
        arguments["reference"] = reference.fingerprint
    if planned.generates and prompting.sampling is not None:
        drawn = {"seed": prompting.seed, "repeat": prompting.repeat}
        arguments["sampling"] = prompting.sampling.model_dump() | drawn
    if settings.load.dtype != "float32":
        # In half precision the company in a batch can flip an answer: other batches, other answers.
        arguments["batch_size"] = settings.batch_size
    return json.dumps(arguments, sort_keys=True)


def _answer(run: ArmRun, planned: PlannedTask, model: LazyModel | LazyPair, journal: Journal) -> int:
    """Ask for what the journal lacks, batch by whole batch, and return the number of samples asked."""
    missing = missing_batches(planned, journal, run.progress)
    if not missing:
        return 0
    n_missing = sum(map(len, missing))
    total = sum(map(len, planned.batches))
    run.progress.begin(f"{run.arm}: {planned.task.title or planned.task.name}", total, total - n_missing)
    for batch in missing:
        samples = [planned.samples[i] for i in batch]
        answers = predict_batch(planned, samples, model.get(), run.prompting, run.progress)
        answered = {s.content: a for s, a in zip(samples, answers, strict=True)}
        open_ones = {c: a for c, a in answered.items() if a.error == MODEL_ERROR}
        journal.write({c: a for c, a in answered.items() if c not in open_ones} if open_ones else answered)
        journal.answers.update(open_ones)
        run.progress.advance(len(batch))
    run.progress.end()
    return n_missing


def missing_batches(planned: PlannedTask, journal: Journal, progress: Progress) -> list[tuple[int, ...]]:
    """Return the batches that lack an answer, each whole; positions in the task's samples."""
    _forget_lost_audio(planned, journal, progress)
    return [
        batch
        for batch in planned.batches
        if any(planned.samples[i].content not in journal.answers for i in batch)
    ]


def _forget_lost_audio(planned: PlannedTask, journal: Journal, progress: Progress) -> None:
    """Take answers whose audio is gone or damaged out of the journal, so that they are made again."""
    lost = [
        content
        for content in {sample.content for sample in planned.samples}
        if (answer := journal.answers.get(content)) is not None
        and answer.prediction is not None
        and not all(map(is_intact, answer.prediction.audio_files))
    ]
    for content in lost:
        del journal.answers[content]
    if lost:
        progress.say(f"{planned.task.name}: {len(lost)} lost or damaged audio files are made again")


def predict_batch(
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Model | ModelPair,
    prompting: Prompting,
    progress: Progress,
) -> list[Answer]:
    """Predict a batch; where it fails, each sample alone, so that one bad input costs one sample.

    Raises:
        TaskFailure: The model cannot be asked this task.
        StorageError: What a model returned cannot be kept.
    """
    try:
        return predict(planned.task, planned, samples, model, prompting)
    except SampleError as error:
        if len(samples) == 1:
            return [Answer(prediction=None, error=error.code)]
    except StorageError:
        raise
    except ForgetbenchError as error:
        raise TaskFailure(str(error)) from error
    except Exception as error:
        if len(samples) == 1:
            progress.say(f"{planned.task.name}, sample {samples[0].id}: {type(error).__name__}: {error}")
            return [Answer(prediction=None, error=MODEL_ERROR)]
    return [predict_batch(planned, [sample], model, prompting, progress)[0] for sample in samples]


def stored_answer(sample: Sample, journal: Journal) -> Answer:
    """Return the journal's answer to a sample; that of one without usable input is its error."""
    if sample.error is not None:
        return Answer(prediction=None, error=sample.error)
    return journal.answers[sample.content]

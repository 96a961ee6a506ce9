"""Trying a task without a model: a few samples are read, prompted or heard, and scored against themselves."""

from __future__ import annotations

from dataclasses import dataclass

from forgetbench.data.hub import is_unfetched
from forgetbench.data.samples import Sample, SampleSet, load_samples
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.score import score
from forgetbench.errors import MissingPackageError, SampleError, TaskError
from forgetbench.metrics.judges import is_model_judge, judge
from forgetbench.metrics.registry import find
from forgetbench.metrics.requirements import check_installed
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import Asr, DatasetTask, Generate, Refusal, SpeechTask, Synthesis, Task
from forgetbench.tasks.definition import Definition

SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a trial found.

    Attributes:
        samples: Those that were tried, in every condition.
        n_available: How many the task has; None where its data was not read.
        note: Why nothing was tried.
    """

    samples: tuple[Sample, ...] = ()
    n_available: int | None = None
    note: str = ""


def try_task(definition: Definition, *, seed: int = 0) -> Trial:
    """Read three samples of a task and use them as a run would, without a model and without a socket.

    Prompts are filled in and recordings are heard in their conditions. Where answers are texts, the reference
    is scored as an answer: if it does not get the best score, no answer can.

    Raises:
        DataError: The data cannot be read, or a row lacks what the task needs.
        TaskError: A recording cannot be used, the judge is not known, or a reference is not right by its own
            metric.
    """
    task = definition.task
    if not isinstance(task, DatasetTask):
        return Trial(note="lm-eval's own" if task.kind == "lm_eval" else "made of other tasks")
    if is_unfetched(task):
        return Trial(note=f"data is not here: forgetbench fetch --tasks {task.name}")
    try:
        check_installed(task.metrics)
        found = load_samples(
            task, definition.folder, seed=seed, limit=SAMPLES, offline=True, root=definition.root
        )
    except MissingPackageError as error:
        return Trial(note=str(error))
    for sample in found.samples:
        _try_sample(definition, task, found, sample)
    return Trial(samples=found.samples, n_available=found.n_available)


def _try_sample(definition: Definition, task: Task, found: SampleSet, sample: Sample) -> None:
    thing = f"{definition.source}, sample {sample.id!r}"
    planned = PlannedTask(task=task, speech=found.speech)
    try:
        if found.speech is not None and isinstance(task, SpeechTask):
            found.speech.waveform(sample.id, sample.condition, task.sampling_rate)
        if found.speech is not None and isinstance(task, Synthesis):
            found.speech.waveform(sample.id, None, task.sampling_rate, column=task.voice)
        if isinstance(task, Generate | Asr):
            stats = score(task, planned, sample, RawPrediction(text=sample.reference))
            _check_best(thing, task, stats.get(task.primary))
        if isinstance(task, Refusal) and not is_model_judge(task.judge):
            judge(task.judge)(sample.input, "")
    except SampleError as error:
        raise TaskError(thing, f"cannot be used ({error.code}: {error.cause})", "Mend the sample.") from error


def _check_best(thing: str, task: Generate | Asr, value: float | tuple[float, float] | None) -> None:
    """Fail where the reference, given as an answer, is not right."""
    spec = find(task.primary)
    if isinstance(value, tuple):
        value = value[0] / value[1] if value[1] else None
    if value is None or spec is None or spec.best is None or value == spec.best:
        return
    way_out = "Correct the reference, `extract` or `normaliser`: no answer can be right."
    raise TaskError(thing, f"its reference, as an answer, gets {task.primary} {value:g}", way_out)

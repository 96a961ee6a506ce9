"""Trying a task without a model: a few samples are read, prompted or heard, and scored against themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from forgetbench.data.hub import is_unfetched
from forgetbench.data.samples import Sample, SampleSet, load_samples
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.reach import fetch_command
from forgetbench.engine.score import score
from forgetbench.errors import DataError, MissingPackageError, SampleError, TaskError
from forgetbench.metrics.judges import is_model_judge, judge
from forgetbench.metrics.registry import find
from forgetbench.metrics.requirements import check_installed
from forgetbench.schema.run import Settings
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import Asr, Generate, LmEval, Refusal, SpeechTask, SuiteRow, Synthesis, Task
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


def try_task(definition: Definition, *, seed: int = 0, trust_remote_code: bool = False) -> Trial:
    """Read three samples of a task and use them as a run would, without a model and without a socket.

    Prompts are filled in and recordings are heard in their conditions. Where answers are texts, the reference
    is scored as an answer: if it does not get the best score, no answer can. Of lm-eval's tasks the requests
    are built; of a group, for one sample of each task.

    Args:
        definition: The task.
        seed: Which samples.
        trust_remote_code: Read lm-eval's files that the task brings, which can run code of their author's.

    Raises:
        DataError: The data cannot be read, or a row lacks what the task needs.
        TaskError: A recording cannot be used, the judge is not known, a reference is not right by its own
            metric, or lm-eval has no such task.
    """
    task = definition.task
    if isinstance(task, LmEval):
        return _try_lm_eval(definition, seed=seed, trust_remote_code=trust_remote_code)
    if isinstance(task, SuiteRow):
        return Trial(note="made of other tasks")
    if is_unfetched(task):
        return _without_data(definition)
    try:
        check_installed(task.metrics)
        found = load_samples(task, definition.folder, seed=seed, limit=SAMPLES, root=definition.root)
    except MissingPackageError as error:
        return Trial(note=str(error))
    for sample in found.samples:
        _try_sample(definition, task, found, sample)
    return Trial(samples=found.samples, n_available=found.n_available)


def _try_lm_eval(definition: Definition, *, seed: int, trust_remote_code: bool) -> Trial:
    from forgetbench.engine.lm_eval import check_known, check_trusted, expand_group, load_lm_eval_task

    try:
        check_trusted(definition, trust_remote_code=trust_remote_code)
    except DataError as error:
        return Trial(note=f"not tried: {error.cause}. {error.way_out}")
    check_known(definition)
    if is_unfetched(definition.task):
        return _without_data(definition)
    members = expand_group(definition, offline=True, trust_remote_code=trust_remote_code)
    settings = Settings(seed=seed, limit=SAMPLES if len(members) == 1 else 1)
    samples: list[Sample] = []
    n_available = 0
    for member in members:
        try:
            planned = load_lm_eval_task(
                member, settings, offline=True, unsafe_code=True, trust_remote_code=trust_remote_code
            )  # a trial has no answers, so no code that a model wrote
        except DataError as error:
            if _is_unreachable(error.__cause__):
                return _without_data(definition)
            raise
        n_available += planned.n_available or 0
        within = f"{member.task.name}/" if len(members) > 1 else ""
        samples += [replace(sample, id=f"{within}{sample.id}") for sample in planned.samples]
    return Trial(samples=tuple(samples), n_available=n_available)


def _is_unreachable(cause: BaseException | None) -> bool:
    """Tell whether the hub could not be asked; huggingface_hub 1.6 asks again with a client it has closed."""
    closed = isinstance(cause, RuntimeError) and "client has been closed" in str(cause)
    return closed or isinstance(cause, ConnectionError)


def _without_data(definition: Definition) -> Trial:
    return Trial(note=f"data is not here: {fetch_command([definition])}")


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

"""The recordings of a finished run, made once more as its models heard them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from forgetbench.data.samples import Sample
from forgetbench.engine.audio_store import get
from forgetbench.engine.conditions import in_conditions
from forgetbench.engine.plan import PlannedTask, make_plan
from forgetbench.engine.target import target_definitions
from forgetbench.errors import ForgetbenchError, SampleError
from forgetbench.models.interface import Audio
from forgetbench.schema.run import Arm, RunDocument
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import Condition, Enhancement, SpeechTask
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import Selection, load_registry


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the tasks of a run are defined, as the run was told."""

    include_paths: Sequence[Path] = ()
    target: Path | None = None
    conditions: Sequence[Condition] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A sample to listen to, by its keys in the sample table, and what each arm made of it."""

    sample_id: str
    condition: str
    content: str
    predictions: Mapping[Arm, RawPrediction | None]


class Clip(NamedTuple):
    """One recording and what it is: ``heard``, ``clean``, ``base`` or ``checkpoint``."""

    kind: str
    audio: Audio


def heard_definitions(document: RunDocument, sources: Sources) -> dict[str, Definition]:
    """Return the definitions of a run's speech tasks by name, as far as they are found where they were.

    Raises:
        UsageError: A path or a condition that the user gave cannot be used.
    """
    roles = {task.name: task.role for task in document.tasks}
    found = [*load_registry(sources.include_paths)]
    if sources.target is not None:
        found += target_definitions(sources.target)
    heard = tuple(
        replace(d, task=d.task.model_copy(update={"role": roles[d.task.name]}))
        for d in found
        if isinstance(d.task, SpeechTask) and d.task.name in roles
    )
    selection = in_conditions(Selection(tasks=heard, suite_rows=(), suites=()), sources.conditions)
    return {definition.task.name: definition for definition in selection.tasks}


def clips(
    document: RunDocument, definition: Definition, wanted: Sequence[Wanted]
) -> tuple[dict[tuple[str, str], list[Clip]], str]:
    """Return what was heard of some samples of one task, and why there is nothing to hear of others.

    What a model heard is at the task's sampling rate. Of an enhancer there is its clean reference, too, and
    what each arm returned.

    Args:
        document: Of either arm: its seed, its limits and the digest of the task's definition.
        definition: Of the task.
        wanted: The samples.

    Returns:
        Clips by sample id and condition; and a reason, empty where nothing is missing.
    """
    try:
        planned = _planned(document, definition)
    except ForgetbenchError as error:
        return {}, error.cause  # not the thing: it may be a path of this machine
    result = next(task for task in document.tasks if task.name == definition.task.name)
    if planned.skipped is not None:
        return {}, planned.skipped
    if planned.definition_sha256 != result.definition_sha256:
        return {}, "the task is defined otherwise than it was"
    samples = {sample.content: sample for sample in planned.samples}
    found: dict[tuple[str, str], list[Clip]] = {}
    reason = ""
    for each in wanted:
        sample = samples.get(each.content)
        if sample is None:
            reason = "its data are not those of the run any more"
            continue
        try:
            found[each.sample_id, each.condition] = _clips(planned, sample, each)
        except SampleError as error:
            reason = error.code.replace("_", " ")
    return found, reason


def _planned(document: RunDocument, definition: Definition) -> PlannedTask:
    assert isinstance(definition.task, SpeechTask)
    selection = Selection(tasks=(definition,), suite_rows=(), suites=())
    able = frozenset({definition.task.capability})
    plan = make_plan(
        selection,
        settings=document.settings,
        capabilities={"base": able, "checkpoint": able},
        offline=True,
    )
    return plan.tasks[0]


def _clips(planned: PlannedTask, sample: Sample, wanted: Wanted) -> list[Clip]:
    speech, task = planned.speech, planned.task
    assert speech is not None and isinstance(task, SpeechTask)
    rate = task.sampling_rate
    heard = speech.waveform(sample.id, sample.condition, rate)
    made = [Clip("heard", Audio(samples=heard, sampling_rate=rate))]
    if isinstance(task, Enhancement):
        made.append(Clip("clean", Audio(samples=speech.clean(sample.id), sampling_rate=rate)))
        for arm, prediction in wanted.predictions.items():
            if prediction is not None and prediction.audio is not None:
                made.append(Clip(arm, get(prediction.audio)))
    return made

"""Scoring again what a result has stored: another normaliser, another judge, a newer metric, and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from forgetbench.engine.answers import journal_of
from forgetbench.engine.arm import run_arm
from forgetbench.engine.arm_run import ArmOutcome, ArmRun
from forgetbench.engine.audio_store import is_intact
from forgetbench.engine.environment import read_environment
from forgetbench.engine.journal import Answer, Journal
from forgetbench.engine.plan import Plan, PlannedTask, make_plan
from forgetbench.engine.progress import Progress, Silent
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.repeats import nth_answer
from forgetbench.engine.reproduce import command_line, condition_words
from forgetbench.engine.results import (
    Result,
    check_writable,
    read_result,
    read_samples,
    result_directory,
    write_result,
)
from forgetbench.engine.run import Request, select_tasks
from forgetbench.errors import DataError, TaskError, UsageError
from forgetbench.forgetting.answers import parse
from forgetbench.models.component import Checkpoint
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.run import Arm, RunDocument, TaskResult
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import DEFINITION, Condition, LmEval, SpokenQuestion, SpokenRefusal, SuiteRow
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import Registry, Selection, load_registry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """What is scored anew, and where its tasks are defined.

    Attributes:
        changes: Keys of task definitions that take another value, such as ``normaliser`` or ``judge``; every
            task that has the key is changed.
        include_paths: As for the run.
        target: As for the run.
        conditions: As for the run.
        jailbreak_suffix: As for the run.
        trust_remote_code: As for the run.
    """

    directory: Path
    output: Path
    changes: Mapping[str, str] = field(default_factory=dict)
    include_paths: Sequence[Path] = ()
    target: Path | None = None
    conditions: Sequence[Condition] = ()
    jailbreak_suffix: str = ""
    trust_remote_code: bool = False


def rescore(request: Rescoring, *, progress: Progress | None = None) -> Result:
    """Score the stored raw predictions of a result again and write a new one; the old one stays as it is.

    Raises:
        UsageError: It is no result, its tasks are not the ones that are defined now, no task has a key that
            changes, a task cannot be scored with the new value, or the new result would be the old one.
        DataError: Predictions that a task needs are not stored any more.
    """
    check_writable(request.output, "--output-path")
    old = read_result(request.directory)
    _check_own(request, old.checkpoint)
    documents = {d.arm: d for d in (old.base, old.checkpoint) if d is not None}
    selection = _selection(request, old.checkpoint)
    unchanged = _plan(request, selection, old.checkpoint, old.base)
    _check_same(request, old.checkpoint, unchanged)
    plan = _plan(request, _changed(selection, request), old.checkpoint, old.base)
    _check_able(request, unchanged, plan)
    directory = result_directory(
        request.output,
        old.checkpoint.checkpoint.name,
        old.checkpoint.checkpoint.fingerprint,
        old.base.checkpoint.fingerprint if old.base else None,
        plan.run_key,
    )
    if directory.resolve() == request.directory.resolve():
        raise UsageError(
            str(request.directory),
            "would be scored by the same settings into itself",
            "Give another --output-path.",
        )
    scored = {
        arm: _score_arm(request, document, plan, directory, progress or Silent())
        for arm, document in documents.items()
    }
    return write_result(directory, list(scored.values()))


def plan_again(request: Rescoring, checkpoint: RunDocument, base: RunDocument) -> Plan:
    """Return the plan of a run as its tasks and their data are here and now, for comparing it with its run.

    A task that is not defined here is not in it; one whose data cannot be had is skipped.

    Raises:
        UsageError: A path of the request does not exist.
        DataError: Local data is broken.
    """
    return _plan(request, _selection(request, checkpoint), checkpoint, base)


def _selection(request: Rescoring, document: RunDocument) -> Selection:
    """Return the definitions of the tasks of a run, with the roles that they had in it."""
    registry = load_registry(request.include_paths)
    names = [
        name
        for task in document.tasks
        if request.target is None or task.role != "target" or not task.name.startswith("target")
        if (name := _defined_name(task.name, registry)) is not None
    ]
    names += [row.name for row in document.suite_rows if _is_suite_row(row.name, registry)]
    if not names and request.target is None:
        raise UsageError(
            str(request.directory),
            f"none of its tasks is defined here ({', '.join(task.name for task in document.tasks[:3])})",
            "Give --include-path and --target as for the run.",
        )
    selection = select_tasks(
        Request(
            model="",
            tasks=list(dict.fromkeys(names)),
            target=request.target,
            include_paths=request.include_paths,
            conditions=request.conditions,
            jailbreak_suffix=request.jailbreak_suffix,
        )
    )
    roles = {task.name: task.role for task in document.tasks} | {
        row.name: row.role for row in document.suite_rows
    }
    return Selection(
        tasks=tuple(
            replace(d, task=d.task.model_copy(update={"role": roles.get(d.task.name, d.task.role)}))
            for d in selection.tasks
        ),
        suite_rows=tuple(
            row.model_copy(update={"role": roles.get(row.name, row.role)}) for row in selection.suite_rows
        ),
        suites=document.suites_requested,
    )


def _check_own(request: Rescoring, document: RunDocument) -> None:
    """Make sure that forgetbench asked the model: only then does it know the tasks behind the predictions."""
    if "read" in document.measured:
        raise UsageError(
            str(request.directory),
            "compares lm-eval's output, whose scores are lm-eval's own",
            "Score it again with lm-eval, and compare the new output.",
        )


def _defined_name(name: str, registry: Registry) -> str | None:
    """Return the name under which a task is defined: of a task inside an lm-eval group, the group's."""
    defined = {definition.task.name: definition.task for definition in registry}
    if name in defined:
        return name
    group = next((known for known in defined if name.startswith(f"{known}.")), None)
    return group if group is not None and isinstance(defined[group], LmEval) else None


def _is_suite_row(name: str, registry: Registry) -> bool:
    return any(d.task.name == name and isinstance(d.task, SuiteRow) for d in registry)


def _plan(request: Rescoring, selection: Selection, document: RunDocument, base: RunDocument | None) -> Plan:
    """Plan the tasks of a run as it did; what it skipped stays skipped."""
    capabilities: dict[Arm, frozenset[str]] = {
        arm.arm: Checkpoint.of(arm.checkpoint).capabilities for arm in (document, base) if arm is not None
    }
    plan = make_plan(
        selection,
        settings=document.settings,
        capabilities=capabilities,
        offline=True,
        trust_remote_code=request.trust_remote_code,
    )
    results = {task.name: task for task in document.tasks}
    order = {name: position for position, name in enumerate(results)}
    tasks = [
        PlannedTask(task=planned.task, skipped=results[planned.task.name].reason)
        if planned.task.name in results and results[planned.task.name].status == "skipped"
        else planned
        for planned in plan.tasks
    ]
    tasks.sort(key=lambda planned: order.get(planned.task.name, len(order)))
    return replace(plan, tasks=tuple(tasks), suite_rows=_in_order(plan, document))


def _in_order(plan: Plan, document: RunDocument) -> tuple[Any, ...]:
    order = [row.name for row in document.suite_rows]
    known = {name: position for position, name in enumerate(order)}
    return tuple(sorted(plan.suite_rows, key=lambda row: known.get(row.name, len(order))))


def _check_same(request: Rescoring, document: RunDocument, plan: Plan) -> None:
    """Make sure that tasks and data are those of the run: only then do its predictions answer them."""
    if plan.run_key == document.run_key:
        return
    results = {task.name: task for task in document.tasks}
    planned = {task.task.name: task for task in plan.tasks}
    changed = [
        name
        for name in results
        if name not in planned or planned[name].definition_sha256 != results[name].definition_sha256
    ]
    named = ", ".join(changed[:3]) or "the samples"
    raise UsageError(
        str(request.directory),
        f"the tasks or their data are not those of the run ({named})",
        "Give --include-path, --target and --condition as for the run.",
    )


def _check_able(request: Rescoring, before: Plan, plan: Plan) -> None:
    """Make sure that what was asked for can score every task: a judge that is not here scores none."""
    able = {planned.task.name for planned in before.tasks if planned.skipped is None}
    unable = [planned for planned in plan.tasks if planned.skipped and planned.task.name in able]
    if unable:
        asked = " ".join(f"--{key} {value}" for key, value in request.changes.items())
        reason = unable[0].skipped or ""
        raise UsageError(f"{asked}, task {unable[0].task.name}", "cannot be scored", reason)


def _changed(selection: Selection, request: Rescoring) -> Selection:
    tasks = list(selection.tasks)
    for key, value in request.changes.items():
        takers = [i for i, d in enumerate(tasks) if key in type(d.task).model_fields]
        if not takers:
            raise UsageError(
                f"--{key} {value}", f"no task of {request.directory} has a {key}", "Leave it out."
            )
        for position in takers:
            tasks[position] = _with(tasks[position], key, value)
    return replace(selection, tasks=tuple(tasks))


def _with(definition: Definition, key: str, value: str) -> Definition:
    from forgetbench.tasks.definition import check_fields

    fields = definition.task.model_dump(mode="json") | {key: value}
    try:
        changed = replace(definition, task=DEFINITION.validate_python(fields))
        check_fields(definition.source, changed.task)
    except ValidationError as error:
        first = first_invalid(error)
        cause = "is not known" if first.kind == "string_pattern_mismatch" else first.cause.lower()
        raise UsageError(f"--{key} {value}", cause, "See `forgetbench rescore --help`.") from None
    except TaskError as error:
        raise UsageError(
            f"--{key} {value}, task {definition.task.name}", error.cause, error.way_out
        ) from None
    return changed


def _score_arm(
    request: Rescoring, document: RunDocument, plan: Plan, directory: Path, progress: Progress
) -> RunDocument:
    """Score one arm by running it on a cache that holds every answer: no model is ever asked."""
    results = {task.name: task for task in document.tasks}
    source = request.directory
    stored = read_samples(source, document)
    checkpoint = Checkpoint.of(document.checkpoint)
    done = tuple(planned for planned in plan.tasks if planned.task.name in stored)
    with TemporaryDirectory(prefix="forgetbench-rescore-") as cache:
        run = ArmRun(
            arm=document.arm,
            checkpoint=checkpoint,
            plan=replace(plan, tasks=done),
            identical=frozenset(),
            prompting=Prompting(
                use_chat_template=document.settings.chat_template == "auto",
                sampling=document.settings.sampling,
                seed=document.settings.seed,
            ),
            cache=Path(cache),
            directory=directory,
            progress=progress,
        )
        for planned in done:
            _store_answers(run, planned, stored[planned.task.name], results[planned.task.name])
        outcome = ArmOutcome()
        scored = {task.name: task for task in run_arm(run, outcome)}
    return document.model_copy(
        update={
            "run_key": plan.run_key,
            "reproduce": document.reproduce if plan.run_key == document.run_key else _line(request),
            "tasks": tuple(_with_floor(scored.get(task.name, task), task) for task in document.tasks),
            "warnings": tuple(dict.fromkeys((*document.warnings, *outcome.warnings))),
            "measured": _measured(source, document, outcome),
        }
    )


def _line(request: Rescoring) -> str:
    """Return the command that scores again as was asked."""
    words: list[object] = [word for key, value in request.changes.items() for word in (f"--{key}", value)]
    words += [word for path in request.include_paths for word in ("--include-path", path)]
    words += ["--target", request.target] if request.target is not None else []
    words += [
        word for condition in request.conditions for word in ("--condition", condition_words(condition))
    ]
    words += [f"--jailbreak-suffix={request.jailbreak_suffix}"] if request.jailbreak_suffix else []
    words += ["--trust-remote-code"] if request.trust_remote_code else []
    return command_line("rescore", request.directory, *words)


def _with_floor(scored: TaskResult, before: TaskResult) -> TaskResult:
    """Keep the noise floor of a task that is scored as it was."""
    same = scored.definition_sha256 == before.definition_sha256
    return scored.model_copy(update={"noise_floor": before.noise_floor if same else None})


def _measured(source: Path, document: RunDocument, outcome: ArmOutcome) -> dict[str, Any]:
    return {
        **document.measured,
        "rescored": {
            "from": str(source),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": read_environment().model_dump(mode="json"),
            "tasks": {name: found["scoring_seconds"] for name, found in outcome.measured.items()},
        },
    }


def _store_answers(run: ArmRun, planned: PlannedTask, table: pd.DataFrame, result: TaskResult) -> None:
    """Write the stored predictions of a task into the cache of a run.

    Raises:
        DataError: One is missing or lacks what was heard, or the audio that a model returned is not in the
            cache any more.
    """
    component = run.checkpoint.component_for(planned.task.capability)
    assert component is not None
    answers = {}
    for content, cell, error in zip(table["content"], table["prediction"], table["error"], strict=True):
        prediction = parse(cell)
        if prediction is not None and prediction.audio is not None and not is_intact(prediction.audio):
            raise DataError(
                f"task {planned.task.name}",
                "the enhanced audio is not in the cache any more",
                "Run the pair again; FORGETBENCH_CACHE says where the cache is.",
            )
        if prediction is not None and _lacks_what_was_heard(planned, prediction):
            raise DataError(
                f"task {planned.task.name}",
                "an older forgetbench kept its repeats without what was heard",
                "Run the pair again with a new --output-path; what is in the cache is not asked anew.",
            )
        answers[content] = Answer(
            prediction=prediction,
            error=error if prediction is None else None,
            first_token_ids=result.first_token_ids,
        )
    missing = [s.id for s in planned.samples if s.error is None and s.content not in answers]
    if missing:
        raise DataError(
            f"task {planned.task.name}",
            f"no prediction of sample {missing[0]} is stored",
            "Run the pair again.",
        )
    for repeat in range(run.plan.settings.repeats if planned.generates else 1):
        own = replace(run, prompting=replace(run.prompting, repeat=repeat))
        with Journal.open(journal_of(own, planned, component)) as journal:
            journal.write({content: nth_answer(answer, repeat) for content, answer in answers.items()})


def _lacks_what_was_heard(planned: PlannedTask, prediction: RawPrediction) -> bool:
    """Tell whether several answers to a spoken request lack it: only what transcribes it draws several."""
    is_spoken = isinstance(planned.task, SpokenQuestion | SpokenRefusal)
    return is_spoken and bool(prediction.more_texts) and prediction.heard is None

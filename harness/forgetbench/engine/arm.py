"""One arm of a pair: every planned task through the component that can do it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetbench.engine.answers import Given, TaskFailure, ask, question, repeats
from forgetbench.engine.arm_run import ArmOutcome, ArmRun
from forgetbench.engine.forecast import record_speed
from forgetbench.engine.journal import Answer
from forgetbench.engine.lazy_model import LazyModel, LazyPair, lazy
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.question import Question
from forgetbench.engine.repeats import averaged_scores, joined_answers
from forgetbench.engine.score import SCORING_ERROR, Scored, score_answer
from forgetbench.engine.score_audio import score_audio
from forgetbench.engine.score_judged import score_judged
from forgetbench.engine.score_probe import score_probe
from forgetbench.engine.score_synthesis import score_synthesis
from forgetbench.engine.spoken_chain import spoken_answers
from forgetbench.engine.task_result import (
    measurements,
    remarks,
    sample_record,
    scored_result,
    skipped_result,
    task_result,
)
from forgetbench.errors import ForgetbenchError, StorageError
from forgetbench.models.component import Component
from forgetbench.models.families import plain_batching
from forgetbench.schema.run import TaskResult
from forgetbench.schema.task import Enhancement, Probe

INTERRUPTED = "interrupted"
"""Code of the samples of a task that was not finished when the run was interrupted."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A task's answers, before they are scored.

    Attributes:
        given: The answers, once for each repeat.
        seconds: It took to have them, without loading the model.
    """

    planned: PlannedTask
    component: Component
    given: Sequence[Given]
    seconds: float

    @property
    def computed(self) -> int:
        """Answers that were not in the journal."""
        return sum(each.computed for each in self.given)


def run_arm(run: ArmRun, outcome: ArmOutcome) -> list[TaskResult]:
    """Run every task of the plan; each component is loaded at most once, one at a time.

    Where its distributions are compared, it is loaded once more, with its base, after its other tasks. What a
    judge that is a model scores waits until the component is out of memory.

    Args:
        run: The arm.
        outcome: Filled while tasks are finished: what it holds when the run is interrupted stands.

    Returns:
        The results, in the plan's order.
    """
    found = outcome.found
    for component in run.checkpoint.components.values():
        for reference, tasks in _tasks_of(run, component).items():
            model = lazy(component, reference, run.plan.settings.load, run.progress, resident=run.resident)
            _run_tasks(run, tasks, component, model, outcome)
        if any(task.component == component.fingerprint for task in found.values()):
            outcome.warnings += plain_batching(component)
    _run_spoken(run, outcome)
    return results_in_order(run, found)


def questions_of(run: ArmRun) -> list[Question]:
    """Return what an arm will ask, as far as it does not depend on an answer: chains are asked by stages."""
    return [
        question(own, planned, component)
        for component in run.checkpoint.components.values()
        for tasks in _tasks_of(run, component).values()
        for planned in tasks
        if planned.task.capability not in run.identical
        for own in repeats(run, planned)
    ]


def _tasks_of(run: ArmRun, component: Component) -> dict[Component | None, list[PlannedTask]]:
    """Return the tasks of a component by what its distributions are compared with."""
    by_reference: dict[Component | None, list[PlannedTask]] = {None: []}
    for planned in run.plan.tasks:
        if run.checkpoint.component_for(planned.task.capability) is component and planned.skipped is None:
            by_reference.setdefault(run.reference_for(planned), []).append(planned)
    return by_reference


def _run_tasks(
    run: ArmRun,
    tasks: Sequence[PlannedTask],
    component: Component,
    model: LazyModel | LazyPair,
    outcome: ArmOutcome,
) -> None:
    """Answer and score the tasks of one loaded model, and release it before a judge is loaded."""
    found = outcome.found
    waiting: list[Answered] = []
    for planned in tasks:
        answered = _answer_task(run, planned, component, model)
        if isinstance(answered, TaskResult):
            found[planned.task.name] = answered
        elif planned.judge is not None or planned.recogniser is not None:
            waiting.append(answered)
        else:
            found[planned.task.name] = _score_task(run, answered, outcome)
    model.release()
    for answered in waiting:
        found[answered.planned.task.name] = _score_task(run, answered, outcome)


def _run_spoken(run: ArmRun, outcome: ArmOutcome) -> None:
    """Answer and score what is spoken by a chain of components; a model in one piece is asked like any."""
    assistant = run.checkpoint.assistant
    tasks = [t for t in run.plan.tasks if t.task.capability == "answer_audio" and t.skipped is None]
    if assistant is None or not assistant.parts or not tasks:
        return
    if "answer_audio" in run.identical:
        for planned in tasks:
            result = task_result(planned, status="identical", component=assistant.fingerprint)
            outcome.found[planned.task.name] = result
        return
    start = time.perf_counter()
    try:
        given = spoken_answers(run, tasks, assistant)
    except TaskFailure as failure:
        failed = {"status": "error", "reason": str(failure), "component": assistant.fingerprint}
        outcome.found |= {t.task.name: task_result(t, **failed) for t in tasks}
        return
    seconds = (time.perf_counter() - start) / len(tasks)
    for planned in tasks:
        name = planned.task.name
        answered = Answered(planned=planned, component=assistant, given=given[name], seconds=seconds)
        outcome.found[name] = _score_task(run, answered, outcome)


def _answer_task(
    run: ArmRun, planned: PlannedTask, component: Component, model: LazyModel | LazyPair
) -> Answered | TaskResult:
    """Have a task's answers, or the result of one that is not run or cannot be asked at all."""
    if planned.task.capability in run.identical:
        return task_result(planned, status="identical", component=component.fingerprint)
    start, loading_s = time.perf_counter(), model.loading_s
    try:
        given = [ask(each, planned, component, model) for each in repeats(run, planned)]
    except TaskFailure as failure:
        return task_result(planned, status="error", reason=str(failure), component=component.fingerprint)
    elsewhere = [each.seconds for each in given if each.seconds is not None]
    here = time.perf_counter() - start - (model.loading_s - loading_s)
    seconds = sum(elsewhere) if elsewhere else here
    return Answered(planned=planned, component=component, given=given, seconds=seconds)


def _score_task(run: ArmRun, answered: Answered, outcome: ArmOutcome) -> TaskResult:
    planned, seconds = answered.planned, answered.seconds
    start = time.perf_counter()
    try:
        scored = averaged_scores([_score(run, planned, each.answers, each.path) for each in answered.given])
    except StorageError:
        raise
    except ForgetbenchError as error:
        failed = {"status": "error", "reason": str(error), "component": answered.component.fingerprint}
        return task_result(planned, errors={SCORING_ERROR: len(planned.samples)}, **failed)
    answers = joined_answers([each.answers for each in answered.given])
    scoring_seconds = time.perf_counter() - start
    records = [
        sample_record(sample, answer, scores)
        for sample, answer, scores in zip(planned.samples, answers, scored, strict=True)
    ]
    outcome.measured[planned.task.name] = measurements(planned, answered.computed, seconds, scoring_seconds)
    if answered.computed:
        record_speed(answered.component, planned.task.name, (seconds + scoring_seconds) / answered.computed)
    outcome.warnings += remarks(planned, answers, records)
    reasons = [f"{planned.task.name}: {reason}" for each in answered.given for reason in each.reasons]
    outcome.warnings += reasons
    first_token_ids = next((a.first_token_ids for a in answers if a.first_token_ids), ())
    result = scored_result(run, planned, answered.component, records, first_token_ids)
    because = "; ".join([result.reason, *reasons[:1]])
    return result.model_copy(update={"reason": because}) if result.status == "error" else result


def _score(
    run: ArmRun, planned: PlannedTask, answers: Sequence[Answer], predictions: Path
) -> Sequence[Scored]:
    if isinstance(planned.task, Enhancement):
        return score_audio(
            planned, answers, predictions=predictions, seed=run.plan.settings.seed, progress=run.progress
        )
    if isinstance(planned.task, Probe):
        return score_probe(planned, answers)
    if planned.recogniser is not None:
        settings = run.plan.settings
        return score_synthesis(
            planned, answers, predictions=predictions, settings=settings, progress=run.progress
        )
    if planned.judge is not None:
        load = run.plan.settings.load
        return score_judged(planned, answers, predictions=predictions, settings=load, progress=run.progress)
    return [
        score_answer(planned, sample, answer) for sample, answer in zip(planned.samples, answers, strict=True)
    ]


def results_in_order(
    run: ArmRun, found: Mapping[str, TaskResult], *, missing: str | None = None
) -> list[TaskResult]:
    """Return the results of a plan in its order; those without one were skipped, or have this error."""
    results = []
    for planned in run.plan.tasks:
        if (result := found.get(planned.task.name)) is not None:
            results.append(result)
        elif planned.skipped is not None or missing is None:
            results.append(skipped_result(planned))
        else:
            errors = {missing: max(len(planned.samples), 1)}
            results.append(task_result(planned, status="error", reason=missing, errors=errors))
    return results

"""Spoken requests through a system, stage by stage: its enhancer, its recogniser, its language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetbench.engine.answers import MODEL_ERROR, Given, ask, journal_of, stored_answer
from forgetbench.engine.arm_run import ArmRun
from forgetbench.engine.assistant import answered, cleaning, hearing_cleaned, reading, transcribing
from forgetbench.engine.journal import Answer, Journal
from forgetbench.engine.lazy_model import lazy
from forgetbench.engine.plan import PlannedTask, plan_batches
from forgetbench.models.component import Component


def spoken_answers(run: ArmRun, tasks: Sequence[PlannedTask], assistant: Component) -> dict[str, list[Given]]:
    """Answer every spoken sample, stage by stage: each model is loaded once, for all tasks, and let go.

    A stage is cached by its own component and by the content of what it hears or reads, so that systems which
    share a component share its work.

    Raises:
        TaskFailure: A model cannot be asked at all.
    """
    repeats = [
        replace(run, prompting=replace(run.prompting, repeat=i)) for i in range(run.plan.settings.repeats)
    ]
    given: dict[str, list[Given | None]] = {
        t.task.name: [_stored(each, t, assistant) for each in repeats] for t in tasks
    }
    open_tasks = {t.task.name: t for t in tasks if not all(given[t.task.name])}
    heard, reasons = _hearing(run, open_tasks, assistant.parts[:-1])
    last = assistant.parts[-1]
    model = lazy(last, None, run.plan.settings.load, run.progress, resident=run.resident)
    for name, (planned, transcripts) in heard.items():
        for repeat, own in enumerate(repeats):
            if transcripts is None:
                read = ask(own, planned, last, model)
                answers = read.answers
            else:
                stage = _unread(own, reading(planned, transcripts), last)
                read = ask(own, stage, last, model)
                by_content = {s.content: a for s, a in zip(stage.samples, read.answers, strict=True)}
                answers = answered(planned, transcripts, by_content)
            stored = _store(own, open_tasks[name], assistant, answers)
            given[name][repeat] = replace(stored, reasons=(*reasons.pop(name, ()), *read.reasons))
    model.release()
    return {name: [each for each in found if each is not None] for name, found in given.items()}


def _unread(run: ArmRun, planned: PlannedTask, component: Component) -> PlannedTask:
    """Return a task without batches for what another system has asked already; in half precision as it is."""
    if run.plan.settings.load.dtype != "float32":
        return planned
    with Journal.open(journal_of(run, planned, component)) as journal:
        known = frozenset(journal.answers)
    open_samples = [i for i, sample in enumerate(planned.samples) if sample.content not in known]
    batches = plan_batches([planned.samples[i] for i in open_samples], run.plan.settings.batch_size)
    return replace(planned, batches=tuple(tuple(open_samples[i] for i in batch) for batch in batches))


def _hearing(
    run: ArmRun, tasks: Mapping[str, PlannedTask], parts: Sequence[Component]
) -> tuple[dict[str, tuple[PlannedTask, Sequence[Answer] | None]], dict[str, list[str]]]:
    """Run the stages before the last; return each task as that hears it, and what a recogniser heard.

    Beside it: why samples have no answer, by task.
    """
    found: dict[str, tuple[PlannedTask, Sequence[Answer] | None]] = {
        name: (planned, None) for name, planned in tasks.items()
    }
    reasons: dict[str, list[str]] = {name: [] for name in tasks}
    for part in parts if tasks else ():
        model = lazy(part, None, run.plan.settings.load, run.progress, resident=run.resident)
        for name, (planned, _) in found.items():
            if part.role == "enhancer":
                stage = ask(run, cleaning(planned), part, model)
                found[name] = hearing_cleaned(planned, stage.answers), None
            else:
                stage = ask(run, transcribing(planned), part, model)
                found[name] = planned, stage.answers
            reasons[name] += stage.reasons
        model.release()
    return found, reasons


def _stored(run: ArmRun, planned: PlannedTask, assistant: Component) -> Given | None:
    """Return the whole system's answers where every one of them is in the cache."""
    path = journal_of(run, planned, assistant)
    with Journal.open(path) as journal:
        if any(s.error is None and s.content not in journal.answers for s in planned.samples):
            return None
        answers = [stored_answer(sample, journal) for sample in planned.samples]
    return Given(answers=answers, computed=0, path=path)


def _store(run: ArmRun, planned: PlannedTask, assistant: Component, answers: Sequence[Answer]) -> Given:
    path = journal_of(run, planned, assistant)
    by_content = {s.content: a for s, a in zip(planned.samples, answers, strict=True) if s.error is None}
    with Journal.open(path) as journal:
        journal.write({content: a for content, a in by_content.items() if a.error != MODEL_ERROR})
    return Given(answers=list(answers), computed=len(by_content), path=path)

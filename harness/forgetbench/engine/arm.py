"""One arm of a pair: every planned task through the component that can do it."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from forgetbench.data.samples import Sample
from forgetbench.engine.assistant import answered, cleaning, hearing_cleaned, reading, transcribing
from forgetbench.engine.audio_store import is_intact
from forgetbench.engine.forecast import record_speed
from forgetbench.engine.journal import Answer, Journal, journal_path
from forgetbench.engine.lazy_pair import LazyPair
from forgetbench.engine.plan import ENGINE_VERSION, Plan, PlannedTask, plan_batches
from forgetbench.engine.predict import Prompting, predict, prompt_of, wants_chat
from forgetbench.engine.progress import Progress
from forgetbench.engine.question import Question, Workers
from forgetbench.engine.repeats import averaged_scores, joined_answers, of_repeats
from forgetbench.engine.results import sample_table, write_samples
from forgetbench.engine.score import Scored, metrics_of, primary_of, score_answer
from forgetbench.engine.score_audio import score_audio
from forgetbench.engine.score_judged import score_judged
from forgetbench.engine.score_probe import score_probe
from forgetbench.engine.score_synthesis import score_synthesis
from forgetbench.errors import ForgetbenchError, SampleError, StorageError
from forgetbench.metrics.aggregate import aggregate
from forgetbench.metrics.diagnostics import rates
from forgetbench.models.component import Checkpoint, Component
from forgetbench.models.families import plain_batching
from forgetbench.models.interface import Model, TextModel
from forgetbench.models.load import load
from forgetbench.models.model_pair import ModelPair
from forgetbench.models.resident_base import ResidentBase
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import Arm, LoadSettings, Settings, TaskResult
from forgetbench.schema.sample import SampleRecord
from forgetbench.schema.task import Divergence, Enhancement, LmEval, Probe, SpeechDivergence

MODEL_ERROR = "model_error"
"""Code of a failure of the model or its surroundings, which the next run tries again."""
INTERRUPTED = "interrupted"
"""Code of the samples of a task that was not finished when the run was interrupted."""


class TaskFailure(Exception):
    """A task that this model cannot be asked at all; the others go on."""


@dataclass
class LazyModel:
    """A component's model, loaded when the first sample needs it: a cached run loads nothing."""

    component: Component
    settings: LoadSettings
    progress: Progress
    loading_s: float = 0.0
    """Seconds that loading has taken, which are none of a sample's."""
    resident: ResidentBase | None = None
    _model: Model | None = None

    def get(self) -> Model:
        """Return the model."""
        if self._model is None:
            self.progress.say(f"Loading {self.component.source} ({self.component.architecture})")
            start = time.perf_counter()
            self._model = load(self.component, self.settings, resident=self.resident)
            self.loading_s += time.perf_counter() - start
        return self._model

    def release(self) -> None:
        """Free its memory."""
        self._model = None
        gc.collect()


@dataclass(frozen=True, kw_only=True)
class ArmRun:
    """What an arm needs beside the plan.

    Attributes:
        identical: Roles whose component is the same in both arms: not run.
        cache: Root of the prediction cache.
        directory: Of the result.
        reference: What distributions are compared with: the base in the checkpoint's arm, else None.
        resident: Keeps a base loaded from arm to arm and from checkpoint to checkpoint.
        workers: Answer in place of models in this process.
    """

    arm: Arm
    checkpoint: Checkpoint
    plan: Plan
    identical: frozenset[str]
    prompting: Prompting
    cache: Path
    directory: Path
    progress: Progress
    reference: Checkpoint | None = None
    resident: ResidentBase | None = None
    workers: Workers | None = None

    def reference_for(self, planned: PlannedTask) -> Component | None:
        """Return the component that a task compares this arm's with; None for most tasks."""
        compares = isinstance(planned.task, Divergence | SpeechDivergence)
        return self.reference.component_for(planned.task.capability) if compares and self.reference else None


@dataclass(kw_only=True)
class ArmOutcome:
    """What an arm has so far: results by task name, and what differs from run to run."""

    found: dict[str, TaskResult] = field(default_factory=dict)
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0


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
        _question(own, planned, component)
        for component in run.checkpoint.components.values()
        if component.role not in run.identical
        for tasks in _tasks_of(run, component).values()
        for planned in tasks
        for own in _repeats(run, planned)
    ]


def _tasks_of(run: ArmRun, component: Component) -> dict[Component | None, list[PlannedTask]]:
    """Return the tasks of a component by what its distributions are compared with."""
    by_reference: dict[Component | None, list[PlannedTask]] = {None: []}
    for planned in run.plan.tasks:
        if run.checkpoint.component_for(planned.task.capability) is component and planned.skipped is None:
            by_reference.setdefault(run.reference_for(planned), []).append(planned)
    return by_reference


def _repeats(run: ArmRun, planned: PlannedTask) -> list[ArmRun]:
    repeats = run.plan.settings.repeats if planned.generates else 1
    return [replace(run, prompting=replace(run.prompting, repeat=repeat)) for repeat in range(repeats)]


def _question(run: ArmRun, planned: PlannedTask, component: Component) -> Question:
    return Question(
        planned=planned,
        component=component,
        reference=run.reference_for(planned),
        prompting=run.prompting,
        load=run.plan.settings.load,
        path=journal_of(run, planned, component),
    )


def results_in_order(
    run: ArmRun, found: Mapping[str, TaskResult], *, missing: str | None = None
) -> list[TaskResult]:
    """Return the results of a plan in its order; those without one were skipped, or have this error."""
    results = []
    for planned in run.plan.tasks:
        if (result := found.get(planned.task.name)) is not None:
            results.append(result)
        elif planned.skipped is not None or missing is None:
            results.append(_skipped(planned))
        else:
            errors = {missing: max(len(planned.samples), 1)}
            results.append(_result(planned, status="error", reason=missing, errors=errors))
    return results


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
    if assistant.role in run.identical:
        for planned in tasks:
            result = _result(planned, status="identical", component=assistant.fingerprint)
            outcome.found[planned.task.name] = result
        return
    start = time.perf_counter()
    try:
        given = _spoken_answers(run, tasks, assistant)
    except TaskFailure as failure:
        failed = {"status": "error", "reason": str(failure), "component": assistant.fingerprint}
        outcome.found |= {t.task.name: _result(t, **failed) for t in tasks}
        return
    seconds = (time.perf_counter() - start) / len(tasks)
    for planned in tasks:
        name = planned.task.name
        answered = Answered(planned=planned, component=assistant, given=given[name], seconds=seconds)
        outcome.found[name] = _score_task(run, answered, outcome)


def _spoken_answers(
    run: ArmRun, tasks: Sequence[PlannedTask], assistant: Component
) -> dict[str, list[Given]]:
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
    heard = _hearing(run, open_tasks, assistant.parts[:-1])
    last = assistant.parts[-1]
    model = lazy(last, None, run.plan.settings.load, run.progress, resident=run.resident)
    for name, (planned, transcripts) in heard.items():
        for repeat, own in enumerate(repeats):
            if transcripts is None:
                answers = _answers(own, planned, last, model).answers
            else:
                stage = _unread(own, reading(planned, transcripts), last)
                read = _answers(own, stage, last, model).answers
                by_content = {s.content: a for s, a in zip(stage.samples, read, strict=True)}
                answers = answered(planned, transcripts, by_content)
            given[name][repeat] = _store(own, open_tasks[name], assistant, answers)
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
) -> dict[str, tuple[PlannedTask, Sequence[Answer] | None]]:
    """Run the stages before the last; return each task as that hears it, and what a recogniser heard."""
    found: dict[str, tuple[PlannedTask, Sequence[Answer] | None]] = {
        name: (planned, None) for name, planned in tasks.items()
    }
    for part in parts if tasks else ():
        model = lazy(part, None, run.plan.settings.load, run.progress, resident=run.resident)
        for name, (planned, _) in found.items():
            if part.role == "enhancer":
                cleaned = _answers(run, cleaning(planned), part, model).answers
                found[name] = hearing_cleaned(planned, cleaned), None
            else:
                found[name] = planned, _answers(run, transcribing(planned), part, model).answers
        model.release()
    return found


def _stored(run: ArmRun, planned: PlannedTask, assistant: Component) -> Given | None:
    """Return the whole system's answers where every one of them is in the cache."""
    path = journal_of(run, planned, assistant)
    with Journal.open(path) as journal:
        if any(s.error is None and s.content not in journal.answers for s in planned.samples):
            return None
        answers = [_answer_of(sample, journal) for sample in planned.samples]
    return Given(answers=answers, computed=0, path=path)


def _store(run: ArmRun, planned: PlannedTask, assistant: Component, answers: Sequence[Answer]) -> Given:
    path = journal_of(run, planned, assistant)
    by_content = {s.content: a for s, a in zip(planned.samples, answers, strict=True) if s.error is None}
    with Journal.open(path) as journal:
        journal.write({content: a for content, a in by_content.items() if a.error != MODEL_ERROR})
    return Given(answers=list(answers), computed=len(by_content), path=path)


def lazy(
    component: Component,
    reference: Component | None,
    settings: LoadSettings,
    progress: Progress,
    *,
    resident: ResidentBase | None,
) -> LazyModel | LazyPair:
    """Return a component's model, beside the reference's where there is one, loaded when it is asked."""
    if reference is None:
        return LazyModel(component, settings, progress, resident=resident)
    return LazyPair(component, reference, settings, progress, resident=resident)


def _answer_task(
    run: ArmRun, planned: PlannedTask, component: Component, model: LazyModel | LazyPair
) -> Answered | TaskResult:
    """Have a task's answers, or the result of one that is not run or cannot be asked at all."""
    if component.role in run.identical:
        return _result(planned, status="identical", component=component.fingerprint)
    start, loading_s = time.perf_counter(), model.loading_s
    try:
        given = [_answers(each, planned, component, model) for each in _repeats(run, planned)]
    except TaskFailure as failure:
        return _result(planned, status="error", reason=str(failure), component=component.fingerprint)
    elsewhere = [each.seconds for each in given if each.seconds is not None]
    here = time.perf_counter() - start - (model.loading_s - loading_s)
    seconds = sum(elsewhere) if elsewhere else here
    return Answered(planned=planned, component=component, given=given, seconds=seconds)


def _score_task(run: ArmRun, answered: Answered, outcome: ArmOutcome) -> TaskResult:
    planned, seconds = answered.planned, answered.seconds
    start = time.perf_counter()
    scored = averaged_scores([_score(run, planned, each.answers, each.path) for each in answered.given])
    answers = joined_answers([each.answers for each in answered.given])
    scoring_seconds = time.perf_counter() - start
    records = [
        _record(sample, answer, scores)
        for sample, answer, scores in zip(planned.samples, answers, scored, strict=True)
    ]
    outcome.measured[planned.task.name] = _measured(planned, answered.computed, seconds, scoring_seconds)
    if answered.computed:
        record_speed(answered.component, planned.task.name, (seconds + scoring_seconds) / answered.computed)
    outcome.warnings += _remarks(planned, answers, records)
    reasons = [f"{planned.task.name}: {reason}" for each in answered.given for reason in each.reasons]
    outcome.warnings += reasons
    first_token_ids = next((a.first_token_ids for a in answers if a.first_token_ids), ())
    result = _scored(run, planned, answered.component, records, first_token_ids)
    because = "; ".join([result.reason, *reasons[:1]])
    return result.model_copy(update={"reason": because}) if result.status == "error" else result


def _answers(run: ArmRun, planned: PlannedTask, component: Component, model: LazyModel | LazyPair) -> Given:
    """Answer every sample once, from the cache where it is there.

    Raises:
        TaskFailure: The model cannot be asked this task.
    """
    if run.workers is not None:
        return _answers_of_workers(run.workers, _question(run, planned, component), run.progress)
    path = journal_of(run, planned, component)
    name = planned.task.name
    with Journal.open(
        path, waiting=partial(run.progress.say, f"{name}: another run asks the same")
    ) as journal:
        if journal.damaged:
            run.progress.say(f"{name}: {journal.damaged} damaged cache lines are computed again")
        computed = _answer(run, planned, model, journal)
        answers = [_answer_of(sample, journal) for sample in planned.samples]
    return Given(answers=answers, computed=computed, path=path)


def _answers_of_workers(workers: Workers, question: Question, progress: Progress) -> Given:
    workers.ask([question], progress)
    told = workers.told(question)
    with Journal.open(question.path) as journal:
        open_ones = {c: answer for c, answer in told.failed.items() if c not in journal.answers}
        journal.answers.update(open_ones)
        answers = [_answer_of(sample, journal) for sample in question.planned.samples]
    return Given(
        answers=answers,
        computed=told.computed,
        path=question.path,
        seconds=told.seconds,
        reasons=told.reasons,
    )


def journal_of(run: ArmRun, planned: PlannedTask, component: Component) -> Path:
    """Return where the answers of a component to a task are cached."""
    return journal_path(
        run.cache,
        component=component.fingerprint,
        load=run.plan.settings.load.model_dump_json(),
        task=planned.task.name,
        arguments=_arguments(planned, run.plan.settings, run.prompting, run.reference_for(planned)),
    )


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
        journal.write({content: a for content, a in answered.items() if a.error != MODEL_ERROR})
        journal.answers.update({content: a for content, a in answered.items() if a.error == MODEL_ERROR})
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
        answers = predict(planned.task, planned, samples, model, prompting)
        return [
            _with_first_tokens(planned, s, a, model, prompting) for s, a in zip(samples, answers, strict=True)
        ]
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


def _with_first_tokens(
    planned: PlannedTask, sample: Sample, answer: Answer, model: Model | ModelPair, prompting: Prompting
) -> Answer:
    is_text = planned.speech is None and not isinstance(planned.task, Divergence)
    if not isinstance(model, TextModel) or not is_text:
        return answer
    text, rendered = prompt_of(planned, sample, model, prompting)
    return replace(answer, first_token_ids=tuple(model.first_token_ids(text, rendered=rendered)))


def _remarks(
    planned: PlannedTask, answers: Sequence[Answer], records: Sequence[SampleRecord]
) -> Iterator[str]:
    """Say what happened to audio: converted recordings, mixed channels, samples that could not be used."""
    rates = sorted({a.resampled_from_hz for a in answers if a.resampled_from_hz is not None})
    if rates:
        rates_hz = ", ".join(f"{rate} Hz" for rate in rates)
        yield f"{planned.task.name}: audio at {rates_hz} was resampled to the model's rate"
    n_mixed = sum(
        a.prediction is not None and a.prediction.audio is not None and a.prediction.audio.n_channels > 1
        for a in answers
    )
    if n_mixed:
        yield f"{planned.task.name}: {n_mixed} enhanced recordings had several channels, averaged to one"
    for code in sorted({record.error for record in records if record.error is not None}):
        # Of two recordings, noisy and clean, the name of one could be the wrong one's.
        by_file = planned.task.capability == "transcribe"
        names = [record.input[:60] if by_file else record.id for record in records if record.error == code]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{planned.task.name}: {code} in {len(names)} of {len(records)}: {', '.join(names[:3])}{more}"


def _answer_of(sample: Sample, journal: Journal) -> Answer:
    if sample.error is not None:
        return Answer(prediction=None, error=sample.error)
    return journal.answers[sample.content]


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
        return score_synthesis(planned, answers, settings=run.plan.settings, progress=run.progress)
    if planned.judge is not None:
        return score_judged(planned, answers, settings=run.plan.settings.load, progress=run.progress)
    return [
        score_answer(planned, sample, answer) for sample, answer in zip(planned.samples, answers, strict=True)
    ]


def _record(sample: Sample, answer: Answer, scored: Scored) -> SampleRecord:
    return SampleRecord(
        id=sample.id,
        content=sample.content,
        cluster=sample.cluster,
        condition=sample.condition_label,
        input=sample.input,
        reference=sample.reference,
        groups=dict(sample.groups),
        prediction=answer.prediction,
        error=scored.error,
        stats=scored.stats,
    )


def _scored(
    run: ArmRun,
    planned: PlannedTask,
    component: Component,
    records: Sequence[SampleRecord],
    first_token_ids: tuple[int, ...],
) -> TaskResult:
    found = list(dict.fromkeys(name for record in records for name in record.stats))
    specs = metrics_of(planned, found)
    if isinstance(planned.task, LmEval):
        specs = tuple(_binary_where_all_are(spec, records) for spec in specs)
    if planned.generates:
        specs = tuple(of_repeats(spec, run.plan.settings.repeats) for spec in specs)
    table = sample_table(records, specs)
    errors = Counter(record.error for record in records if record.error is not None)
    n_scored = len(records) - errors.total()
    return _result(
        planned,
        status="done" if n_scored else "error",
        reason="" if n_scored else "no sample could be scored: " + ", ".join(sorted(errors)),
        component=component.fingerprint,
        primary=primary_of(planned, found),
        n_scored=n_scored,
        errors=dict(sorted(errors.items())),
        metrics={spec.name: aggregate(table, spec) for spec in specs},
        diagnostics=rates(record.prediction for record in records if record.prediction is not None),
        first_token_ids=first_token_ids,
        samples=write_samples(run.directory, run.arm, planned.task.name, table),
    )


def _binary_where_all_are(spec: MetricSpec, records: Sequence[SampleRecord]) -> MetricSpec:
    """lm-eval does not say which of its metrics are binary; the values do."""
    values = {record.stats.get(spec.name) for record in records if record.stats}
    return (
        spec.model_copy(update={"type": "binary"}) if spec.type == "mean" and values <= {0.0, 1.0} else spec
    )


def _skipped(planned: PlannedTask) -> TaskResult:
    return _result(planned, status="skipped", reason=planned.skipped or "")


def _result(planned: PlannedTask, **fields: object) -> TaskResult:
    task = planned.task
    known: dict[str, object] = {
        "name": task.name,
        "version": task.version,
        "title": task.title or task.name,
        "role": task.role,
        "suites": task.suites,
        "definition_sha256": planned.definition_sha256,
        "primary": task.primary or "",
        "margin": task.margin,
        "chance": getattr(task, "chance", None),
        "licence": task.licence,
        "dataset": planned.dataset,
        "dataset_revision": planned.revision,
        "judge": planned.judge_info,
        "n_available": planned.n_available,
        "n_planned": len(planned.samples),
    }
    return TaskResult.model_validate(known | fields)


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


def _measured(
    planned: PlannedTask, computed: int, seconds: float, scoring_seconds: float
) -> dict[str, float]:
    measured = {
        "seconds": round(seconds, 3),
        "scoring_seconds": round(scoring_seconds, 3),
        "samples_computed": float(computed),
    }
    if planned.speech is not None and computed:
        audio_s = sum(sample.size for sample in planned.samples) * computed / max(len(planned.samples), 1)
        measured["rtfx"] = round(audio_s / seconds, 3)
    return measured

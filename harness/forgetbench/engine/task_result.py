"""The result of one task in one arm: of scored samples, or of a task without any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from forgetbench.data.samples import Sample
from forgetbench.engine.arm_run import ArmRun
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.repeats import of_repeats
from forgetbench.engine.results import sample_table, write_samples
from forgetbench.engine.score import Scored, metrics_of, primary_of
from forgetbench.metrics.aggregate import aggregate
from forgetbench.metrics.diagnostics import rates
from forgetbench.models.component import Component
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import TaskResult
from forgetbench.schema.sample import SampleRecord
from forgetbench.schema.task import LmEval, SpeechTask


def scored_result(
    run: ArmRun,
    planned: PlannedTask,
    component: Component,
    records: Sequence[SampleRecord],
    first_token_ids: tuple[int, ...],
) -> TaskResult:
    """Write the records of a task, and return what they come to: an error where none could be scored."""
    found = list(dict.fromkeys(name for record in records for name in record.stats))
    specs = metrics_of(planned, found)
    if isinstance(planned.task, LmEval):
        specs = tuple(_binary_where_all_are(spec, records) for spec in specs)
    if planned.generates:
        specs = tuple(of_repeats(spec, run.plan.settings.repeats) for spec in specs)
    table = sample_table(records, specs)
    errors = Counter(record.error for record in records if record.error is not None)
    n_scored = len(records) - errors.total()
    return task_result(
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


def sample_record(sample: Sample, answer: Answer, scored: Scored) -> SampleRecord:
    """Return what is kept of a sample: what was asked, what was answered and heard, what it scored."""
    prediction = answer.prediction
    if prediction is not None and scored.heard is not None:
        prediction = prediction.model_copy(update={"heard": scored.heard})
    return SampleRecord(
        id=sample.id,
        content=sample.content,
        cluster=sample.cluster,
        condition=sample.condition_label,
        input=sample.input,
        reference=sample.reference,
        groups=dict(sample.groups),
        prediction=prediction,
        error=scored.error,
        stats=scored.stats,
    )


def skipped_result(planned: PlannedTask) -> TaskResult:
    """Return the result of a task that the plan leaves out, with its reason."""
    return task_result(planned, status="skipped", reason=planned.skipped or "")


def task_result(planned: PlannedTask, **fields: object) -> TaskResult:
    """Return a result with what the plan knows of the task, and further fields."""
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


def _binary_where_all_are(spec: MetricSpec, records: Sequence[SampleRecord]) -> MetricSpec:
    """lm-eval does not say which of its metrics are binary; the values that are there do."""
    values = {record.stats[spec.name] for record in records if spec.name in record.stats}
    return (
        spec.model_copy(update={"type": "binary"}) if spec.type == "mean" and values <= {0.0, 1.0} else spec
    )


def measurements(
    planned: PlannedTask, computed: int, seconds: float, scoring_seconds: float
) -> dict[str, float]:
    """Return what differs from run to run: seconds, samples asked, and the real-time factor of speech."""
    measured = {
        "seconds": round(seconds, 3),
        "scoring_seconds": round(scoring_seconds, 3),
        "samples_computed": float(computed),
    }
    if isinstance(planned.task, SpeechTask) and computed:
        audio_s = sum(sample.size for sample in planned.samples) * computed / max(len(planned.samples), 1)
        measured["rtfx"] = round(audio_s / seconds, 3)
    return measured


def remarks(
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

"""One arm of a submission against its tasks: whose samples these are, and what follows from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from forgetbench.data.samples import Sample
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import Plan, PlannedTask
from forgetbench.engine.repeats import averaged_scores, nth_answer, of_repeats
from forgetbench.engine.score import Scored, metrics_of, primary_of, score_answer
from forgetbench.forgetting.answers import parse
from forgetbench.leaderboard.sample_files import MOST_NAMED, rows_of
from forgetbench.metrics.aggregate import aggregate
from forgetbench.metrics.diagnostics import rates
from forgetbench.models.component import Checkpoint
from forgetbench.schema.board import Problem
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import RunDocument, TaskResult
from forgetbench.schema.sample import stat_columns
from forgetbench.schema.task import Enhancement, HeardByRecogniser, Probe, Separation

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-9
"""Relative: sums of the same numbers in another order."""


@dataclass(kw_only=True)
class Found:
    """What is wrong with an arm, and what could not be checked.

    Attributes:
        unknown: Tasks whose samples could not be compared with the task's own.
    """

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)


def check_arm(document: RunDocument, tables: Mapping[str, pd.DataFrame], plan: Plan) -> Found:
    """Compare an arm with its tasks, sample by sample, and compute its numbers again.

    Args:
        document: Its run document.
        tables: Its sample tables by task name.
        plan: The same tasks, as they are defined here (:func:`~forgetbench.engine.rescore.plan_again`).
    """
    found = Found(problems=list(_suite_row_problems(document, plan)))
    planned = {task.task.name: task for task in plan.tasks}
    for task in document.tasks:
        own = planned.get(task.name)
        if task.status == "identical" and own is not None and own.skipped is None:
            found.problems += _definition_problems(document, task, own)
        if task.name not in tables:
            continue
        table = tables[task.name]
        file = f"samples/{document.arm}/{task.name}.parquet"
        if own is None:
            found.unknown.add(task.name)
            found.notes.append(f"{task.name}: its samples were not compared with the task, which is not here")
        elif own.skipped is not None:
            found.unknown.add(task.name)
            found.notes.append(f"{task.name}: its samples were not compared with the task ({own.skipped})")
        else:
            found.problems += _definition_problems(document, task, own)
            found.problems += _sample_problems(file, table, own.samples)
            if (reason := _not_scored_here(own)) is not None:
                found.notes.append(f"{task.name}: {reason}: the scores of single samples are as submitted")
            else:
                found.problems += _score_problems(file, table, own, document.settings.repeats, task)
        found.problems += _aggregate_problems(document, task, table, own)
    return found


def _definition_problems(document: RunDocument, task: TaskResult, own: PlannedTask) -> Iterator[Problem]:
    serving = Checkpoint.of(document.checkpoint).component_for(own.task.capability)
    expected = {
        "version": own.task.version,
        "definition_sha256": own.definition_sha256,
        "dataset_revision": own.revision,
        "n_planned": len(own.samples),
        "judge": own.judge_info,
        "chance": getattr(own.task, "chance", None),
        "margin": own.task.margin,
        "component": serving.fingerprint if serving else None,
    }
    if task.n_available is not None:
        expected["n_available"] = own.n_available
    for key, value in expected.items():
        said = getattr(task, key)
        if said != value:
            reason = f"{key} is {_short(said)}, and here the task has {_short(value)}"
            yield Problem(file=file_of(document), reason=f"task {task.name}: {reason}")


def _suite_row_problems(document: RunDocument, plan: Plan) -> Iterator[Problem]:
    """Yield the suite rows that are not of the tasks, or not of the margin, that they are defined with."""
    defined = {row.name: row for row in plan.suite_rows}
    for row in document.suite_rows:
        if (own := defined.get(row.name)) is None:
            continue
        for key, said, expected in (("tasks", row.tasks, own.tasks), ("margin", row.margin, own.margin)):
            if said != expected:
                reason = f"{key} is {_short(said)}, and here the row has {_short(expected)}"
                yield Problem(file=file_of(document), reason=f"suite row {row.name}: {reason}")


def file_of(document: RunDocument) -> str:
    """Return the name of a run document's file."""
    return "run.base.json" if document.arm == "base" else "run.json"


def _sample_problems(file: str, table: pd.DataFrame, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yield the rows that are not the task's own sample of this place."""
    named = 0
    for i, (row, sample) in enumerate(zip(rows_of(table), samples, strict=False)):
        differing = next(
            (key for key, value in _texts(sample).items() if (row.get(key) or "") != value), None
        )
        if differing is None:
            continue
        reason = f"{differing} is not that of the task's sample"
        yield Problem(file=file, row=i, sample=str(row["id"])[:80], reason=reason)
        named += 1
        if named == MOST_NAMED:
            return


def _texts(sample: Sample) -> dict[str, str]:
    return {
        "id": sample.id,
        "content": sample.content,
        "condition": sample.condition_label,
        "cluster": sample.cluster,
        "input": sample.input,
        "reference": sample.reference,
        **{f"group.{name}": value for name, value in sample.groups.items()},
    }


def _not_scored_here(own: PlannedTask) -> str | None:
    """Return why single samples cannot be scored again; None where they can."""
    if isinstance(own.task, Enhancement | Separation):
        return "the audio that it returned is not part of a submission"
    if isinstance(own.task, HeardByRecogniser):
        return "what it spoke is not part of a submission"
    if isinstance(own.task, Probe):
        return "its probe is fitted on all samples at once"
    return "it was judged by a model" if own.judge is not None else None


def _score_problems(
    file: str, table: pd.DataFrame, own: PlannedTask, repeats: int, task: TaskResult
) -> Iterator[Problem]:
    """Yield the rows whose statistics do not follow from their predictions."""
    named = 0
    for i, (row, sample) in enumerate(zip(rows_of(table), own.samples, strict=False)):
        if named >= MOST_NAMED:
            return
        reason = _wrong_score(row, sample, own, repeats, task)
        if reason is not None:
            named += 1
            yield Problem(file=file, row=i, sample=str(row["id"])[:80], reason=reason)


def _wrong_score(
    row: Mapping[Any, Any], sample: Sample, own: PlannedTask, repeats: int, task: TaskResult
) -> str | None:
    try:
        prediction = parse(row["prediction"])
    except ValidationError:
        return "its prediction is none"
    if sample.error is not None:
        return None if row["error"] == sample.error else f"its input is unusable ({sample.error})"
    if prediction is None:
        return None if row["error"] else "has neither a prediction nor an error"
    answer = Answer(prediction=prediction)
    draws = repeats if own.generates else 1
    try:
        (scored,) = averaged_scores(
            [[score_answer(own, sample, nth_answer(answer, i))] for i in range(draws)]
        )
    except (ValueError, IndexError, KeyError, AssertionError, TypeError):
        return "its prediction does not answer the task"
    if (row["error"] or None) != scored.error:
        return f"its error is {row['error']!r}, and scoring gives {scored.error!r}"
    return _wrong_stat(row, scored, task)


def _wrong_stat(row: Mapping[Any, Any], scored: Scored, task: TaskResult) -> str | None:
    for metric, value in task.metrics.items():
        found = scored.stats.get(metric)
        expected = found if isinstance(found, tuple) else (found,)
        columns = stat_columns(metric, value.type)
        for column, number in zip(
            columns, expected if found is not None else [None] * len(columns), strict=True
        ):
            if not same(row[column], number):
                return f"{column} is {_short(row[column])}, and its prediction gives {_short(number)}"
    return None


def _aggregate_problems(
    document: RunDocument, task: TaskResult, table: pd.DataFrame, own: PlannedTask | None
) -> Iterator[Problem]:
    """Yield the numbers of a task's result that do not follow from its sample records."""
    file = file_of(document)
    errors = Counter(table["error"].dropna())
    predictions = [prediction for cell in table["prediction"] if (prediction := _parsed(cell)) is not None]
    facts: dict[str, tuple[object, object]] = {
        "n_scored": (task.n_scored, len(table) - errors.total()),
        "errors": (task.errors, dict(sorted(errors.items()))),
        **{f"diagnostics.{k}": (getattr(task.diagnostics, k), v) for k, v in rates(predictions)},
    }
    specs = _specs(document, task, own)
    if own is not None and own.skipped is None:
        facts["metrics"] = (set(task.metrics), set(specs))
        facts["primary"] = (task.primary, primary_of(own, list(task.metrics)))
    for name, value in task.metrics.items():
        if name in specs:
            again = aggregate(table, specs[name]).model_dump()
            facts |= {f"metrics.{name}.{k}": (said, again[k]) for k, said in value.model_dump().items()}
    for key, (said, found) in facts.items():
        if not same(said, found):
            reason = f"{key} is {_short(said)}, and its samples give {_short(found)}"
            yield Problem(file=file, reason=f"task {task.name}: {reason}")


def _specs(document: RunDocument, task: TaskResult, own: PlannedTask | None) -> dict[str, MetricSpec]:
    """Return the metrics of a task: as defined here where it is, else as the document has them."""
    if own is None or own.skipped is not None:
        return {
            name: MetricSpec(name=name, type=m.type, higher_is_better=m.higher_is_better, worst=m.worst)
            for name, m in task.metrics.items()
        }
    repeats = document.settings.repeats if own.generates else 1
    specs = {spec.name: of_repeats(spec, repeats) for spec in metrics_of(own, list(task.metrics))}
    if own.lm_eval is not None:  # which of lm-eval's metrics are binary, only the values say
        specs = {n: s.model_copy(update={"type": task.metrics[n].type}) for n, s in specs.items()}
    return specs


def _parsed(cell: object) -> Any:
    try:
        return parse(cell)
    except ValidationError:
        return None


def same(said: object, found: object) -> bool:
    """Tell whether two values are the same, numbers up to rounding; missing is None or NaN."""
    said, found = (None if value is None or value != value else value for value in (said, found))
    if isinstance(said, float | int) and isinstance(found, float | int):
        return math.isclose(said, found, rel_tol=TOLERANCE, abs_tol=1e-12)
    return said == found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"

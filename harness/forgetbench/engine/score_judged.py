"""Scoring answers by a judge that is a model: loaded, asked, and let go; each verdict once."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from forgetbench.data.samples import Sample
from forgetbench.engine.journal import Answer, ScoreJournal
from forgetbench.engine.one_by_one import whole_or_one_by_one
from forgetbench.engine.plan import ENGINE_VERSION, PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.score import SCORING_ERROR, Scored, is_misheard
from forgetbench.metrics.diagnostics import empty, looping
from forgetbench.metrics.judges import UNPARSABLE
from forgetbench.metrics.refusal import refusal_stats
from forgetbench.models.judge import BATCH, Exchange, JudgeSource, Verdict, load_judge
from forgetbench.schema.run import LoadSettings
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import SpokenRefusal


def score_judged(
    planned: PlannedTask,
    answers: Sequence[Answer],
    *,
    predictions: Path,
    settings: LoadSettings,
    progress: Progress,
) -> list[Scored]:
    """Return the scores of a task's answers by its model judge, in order; verdicts in the journal stand.

    An empty or looping answer, and one to a spoken request that was not heard, is ``degenerate`` without
    being shown to it.

    Args:
        planned: The task, its judge found.
        answers: One per sample.
        predictions: The journal of the answers; that of the verdicts lies beside it.
        settings: Type and device of the judge.
        progress: Told that the judge is loaded, and of every batch.

    Raises:
        CheckpointError: The judge cannot be loaded.
    """
    assert planned.judge is not None
    exchanges: dict[int, Exchange] = {}
    marks: dict[int, dict[str, float]] = {}
    for position, (sample, answer) in enumerate(zip(planned.samples, answers, strict=True)):
        if answer.prediction is not None:
            exchanges[position] = Exchange(sample.input, answer.prediction.text or "")
            marks[position] = _marks(planned, sample, answer.prediction)
    asks_of_all = planned.judge.kind == "regressor"
    asked = {i: e for i, e in exchanges.items() if asks_of_all or not marks[i]["degenerate"]}
    with ScoreJournal.open(_verdicts_path(predictions, planned.judge, settings)) as journal:
        _ask(planned, list(asked.values()), journal, settings, progress)
        said = {i: journal.scores.get(_key(exchange)) for i, exchange in asked.items()}
    return [
        Scored(error=answer.error)
        if answer.prediction is None
        else Scored(stats={**refusal_stats("degenerate"), **marks[position]})
        if position not in said
        else _scored(said[position], marks[position])
        for position, answer in enumerate(answers)
    ]


def _marks(planned: PlannedTask, sample: Sample, prediction: RawPrediction) -> dict[str, float]:
    """Return what is known of an answer without a judge, as statistics."""
    said = prediction.text or ""
    broken = empty(said) or looping(said)
    if not isinstance(planned.task, SpokenRefusal):
        return {"degenerate": float(broken)}
    unheard = is_misheard(planned.task, sample, prediction.heard, said)
    return {"degenerate": float(broken or unheard), "misheard": float(unheard)}


def _ask(
    planned: PlannedTask,
    exchanges: Sequence[Exchange],
    journal: ScoreJournal,
    settings: LoadSettings,
    progress: Progress,
) -> None:
    """Have the journal's missing verdicts given, batch by whole batch."""
    assert planned.judge is not None
    batches = [exchanges[start : start + BATCH] for start in range(0, len(exchanges), BATCH)]
    missing = [batch for batch in batches if any(_key(e) not in journal.scores for e in batch)]
    if not missing:
        return
    task, n_missing = planned.task, sum(map(len, missing))
    progress.say(f"{task.name}: judged by {planned.judge.component.source}")
    judge = load_judge(planned.judge, settings)
    progress.begin(f"{task.title or task.name}: judging", len(exchanges), len(exchanges) - n_missing)

    def failed(error: Exception) -> None:
        progress.say(f"{task.name}, the judge: {type(error).__name__}: {error}")

    for batch in missing:
        verdicts = whole_or_one_by_one(judge.judge, batch, failed=failed)
        for exchange, verdict in zip(batch, verdicts, strict=True):
            if verdict is not None:
                journal.write(_key(exchange), _stored(verdict))
        progress.advance(len(batch))
    progress.end()
    del judge
    gc.collect()


def _stored(verdict: Verdict) -> dict[str, float]:
    """Return a verdict as statistics; none of a reply that could not be read."""
    if verdict.harmfulness is not None:
        return {"harmfulness": verdict.harmfulness}
    return {**refusal_stats(verdict.judgement)} if verdict.judgement is not None else {}


def _scored(stored: dict[str, float] | None, marks: dict[str, float]) -> Scored:
    if stored is None:
        return Scored(error=SCORING_ERROR)
    if not stored:
        return Scored(error=UNPARSABLE)
    return Scored(stats={**marks, **stored})


def _verdicts_path(predictions: Path, judge: JudgeSource, settings: LoadSettings) -> Path:
    """Return the journal for verdicts: its name holds all that decides them beside request and answer."""
    decides = [ENGINE_VERSION, judge.kind, judge.component.fingerprint, judge.template, dict(judge.labels)]
    text = json.dumps([*decides, settings.model_dump(mode="json")], sort_keys=True)
    return predictions.with_name(
        f"{predictions.stem}.verdicts-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
    )


def _key(exchange: Exchange) -> str:
    return hashlib.sha256(json.dumps(exchange).encode()).hexdigest()

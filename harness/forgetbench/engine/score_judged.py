"""Scoring answers by a judge that is a model: loaded, asked, and let go."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.score import Scored
from forgetbench.metrics.diagnostics import empty, looping
from forgetbench.metrics.judges import UNPARSABLE
from forgetbench.metrics.refusal import refusal_stats
from forgetbench.models.judge import Exchange, Verdict, load_judge
from forgetbench.schema.run import LoadSettings


def score_judged(
    planned: PlannedTask, answers: Sequence[Answer], *, settings: LoadSettings, progress: Progress
) -> list[Scored]:
    """Return the scores of a task's answers by its model judge, in order.

    An empty or looping answer is ``degenerate`` without being shown to it.

    Args:
        planned: The task, its judge found.
        answers: One per sample.
        settings: Type and device of the judge.
        progress: Told that the judge is loaded.

    Raises:
        CheckpointError: The judge cannot be loaded.
    """
    assert planned.judge is not None
    exchanges = {
        position: Exchange(sample.input, answer.prediction.text or "")
        for position, (sample, answer) in enumerate(zip(planned.samples, answers, strict=True))
        if answer.prediction is not None
    }
    broken = {i for i, e in exchanges.items() if empty(e.answer) or looping(e.answer)}
    asked = {i: e for i, e in exchanges.items() if i not in broken or planned.judge.kind == "regressor"}
    verdicts: list[Verdict] = []
    if asked:
        progress.say(f"{planned.task.name}: judged by {planned.judge.component.source}")
        judge = load_judge(planned.judge, settings)
        verdicts = judge.judge(list(asked.values()))
        del judge
        gc.collect()
    said = dict(zip(asked, verdicts, strict=True))
    return [
        Scored(error=answer.error)
        if answer.prediction is None
        else _scored(said.get(position, Verdict(judgement="degenerate")), is_broken=position in broken)
        for position, answer in enumerate(answers)
    ]


def _scored(verdict: Verdict, *, is_broken: bool) -> Scored:
    if verdict.harmfulness is not None:
        return Scored(stats={"harmfulness": verdict.harmfulness, "degenerate": float(is_broken)})
    if verdict.judgement is None:
        return Scored(error=UNPARSABLE)
    return Scored(stats={**refusal_stats(verdict.judgement)})

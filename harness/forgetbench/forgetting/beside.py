"""What a task measures beside its primary metric: shown for both arms, never judged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import get_args

from forgetbench.forgetting.decathlon import DECANLP, SUITE, TaskScore, deca_score_of
from forgetbench.schema.comparison import BesideMetric
from forgetbench.schema.run import RunDocument
from forgetbench.schema.task import WordClass

_BY_CLASS = frozenset(f"{metric}_{name}" for metric in ("wer", "cer") for name in get_args(WordClass))
"""Shown by class of word instead."""
_MOST_NATS = 700.0


def beside_metrics(base: RunDocument, checkpoint: RunDocument) -> Iterator[BesideMetric]:
    """Yield the further metrics of each task that both arms have scored, such as raw word errors or a delay.

    Each value is over the samples that its own arm could score. Of the decathlon, decaScore comes first.
    """
    yield from _decathlon(base, checkpoint)
    in_base = {task.name: task for task in base.tasks}
    for task in checkpoint.tasks:
        other = in_base.get(task.name)
        if other is None or task.status != "done" or other.status != "done":
            continue
        for name, metric in task.metrics.items():
            if name == task.primary or name in _BY_CLASS or name not in other.metrics:
                continue
            beside = BesideMetric(
                task=task.name,
                title=task.title,
                metric=name,
                higher_is_better=metric.higher_is_better,
                base=other.metrics[name].value,
                checkpoint=metric.value,
                n=metric.n,
            )
            yield beside
            if name == "token_nll":
                yield beside.model_copy(
                    update={
                        "metric": "perplexity",
                        "base": _perplexity(beside.base),
                        "checkpoint": _perplexity(beside.checkpoint),
                    }
                )


def _decathlon(base: RunDocument, checkpoint: RunDocument) -> Iterator[BesideMetric]:
    """Yield decaScore where a task of the decathlon was run."""
    arms = [_scores_of(document) for document in (base, checkpoint)]
    if not any(name in DECANLP for scores in arms for name in scores):
        return
    before, after = (deca_score_of(scores) for scores in arms)
    yield BesideMetric(
        task=SUITE,
        title="Natural language decathlon",
        metric="decaScore",
        higher_is_better=True,
        base=before.value,
        checkpoint=after.value,
        n=sum(task.n_scored for task in checkpoint.tasks if task.name in DECANLP),
        reason=after.reason or before.reason,
    )


def _scores_of(document: RunDocument) -> dict[str, TaskScore]:
    return {
        task.name: TaskScore(task.metrics[task.primary].value, task.primary)
        for task in document.tasks
        if task.status == "done" and task.primary in task.metrics
    }


def _perplexity(token_nll: float | None) -> float | None:
    """Return exp of the mean cross-entropy in nats; None where there is none, or it is beyond a float."""
    return None if token_nll is None or token_nll > _MOST_NATS else math.exp(token_nll)

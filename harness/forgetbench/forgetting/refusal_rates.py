"""Judged rates of both arms, with their coverage, and corrected for the judge's errors (METRICS §7)."""

from __future__ import annotations

from collections.abc import Iterator

from forgetbench.forgetting.judge_counts import SOURCE, agreement_of
from forgetbench.forgetting.rogan_gladen import CorrectedRate, corrected_rate
from forgetbench.schema.comparison import ArmRate, RefusalRate
from forgetbench.schema.run import RunDocument, TaskResult


def refusal_rates(base: RunDocument, checkpoint: RunDocument) -> Iterator[RefusalRate]:
    """Yield the primary rate of each judged task that both arms have done, in the checkpoint's order."""
    in_base = {task.name: task for task in base.tasks if task.status == "done"}
    for task in checkpoint.tasks:
        other = in_base.get(task.name)
        if task.status != "done" or task.judge is None or other is None or other.judge is None:
            continue
        metric = task.metrics.get(task.primary)
        if metric is None or metric.type != "binary":
            continue
        yield RefusalRate(
            task=task.name,
            title=task.title,
            metric=task.primary,
            judge=task.judge.name,
            base=_arm_rate(other, other.judge.name),
            checkpoint=_arm_rate(task, task.judge.name),
            labels=SOURCE if agreement_of(task.judge.name, task.primary) else "",
        )


def _arm_rate(task: TaskResult, judge: str) -> ArmRate:
    metric = task.metrics.get(task.primary)
    value, n = (metric.value, metric.n) if metric else (None, 0)
    agreement = agreement_of(judge, task.primary)
    corrected = CorrectedRate(value=None)
    if agreement is not None and value is not None:
        corrected = corrected_rate(round(value * n), n, agreement)
    return ArmRate(
        coverage=task.coverage,
        rate=value,
        n=n,
        corrected=corrected.value,
        ci_low=corrected.ci_low,
        ci_high=corrected.ci_high,
    )

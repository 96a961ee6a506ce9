"""Judged rates of both arms, with coverage, corrected for the judge's errors (Rogan & Gladen 1978)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forgetbench.forgetting.judge_counts import SOURCE, agreement_of
from forgetbench.forgetting.paired import tango_interval
from forgetbench.forgetting.rogan_gladen import Agreement, CorrectedRate, corrected_change, corrected_rate
from forgetbench.schema.comparison import ArmRate, CorrectedChange, RefusalRate, Row
from forgetbench.schema.run import RunDocument, TaskResult

LEVEL = 0.95


def refusal_rates(
    base: RunDocument, checkpoint: RunDocument, rows: Sequence[Row] = ()
) -> Iterator[RefusalRate]:
    """Yield the primary rate of each judged task that both arms have done, in the checkpoint's order.

    Args:
        base: Run of the base.
        checkpoint: Run of the checkpoint.
        rows: Of the tasks, with their transitions: what a corrected change is made of.
    """
    of_task = {row.name: row for row in rows}
    in_base = {task.name: task for task in base.tasks if task.status == "done"}
    for task in checkpoint.tasks:
        other = in_base.get(task.name)
        if task.status != "done" or task.judge is None or other is None or other.judge is None:
            continue
        metric = task.metrics.get(task.primary)
        if metric is None or metric.type != "binary":
            continue
        agreement = agreement_of(task.judge.name, task.primary)
        arms = _arm_rate(other, other.judge.name), _arm_rate(task, task.judge.name)
        one_judge = task.judge == other.judge and not any(arm.misheard for arm in arms)
        yield RefusalRate(
            task=task.name,
            title=task.title,
            metric=task.primary,
            judge=task.judge.name,
            base=arms[0],
            checkpoint=arms[1],
            corrected_change=_change(of_task.get(task.name), agreement) if one_judge else None,
            labels=SOURCE if agreement else "",
        )


def _arm_rate(task: TaskResult, judge: str) -> ArmRate:
    metric = task.metrics.get(task.primary)
    value, n = (metric.value, metric.n) if metric else (None, 0)
    agreement = agreement_of(judge, task.primary)
    unheard = task.metrics["misheard"].value if "misheard" in task.metrics else None
    heard = n - round((unheard or 0.0) * n)
    corrected = CorrectedRate(value=None)
    if agreement is not None and value is not None and heard:
        corrected = corrected_rate(round(value * n), heard, agreement)
    return ArmRate(
        coverage=task.coverage,
        rate=value,
        n=n,
        misheard=unheard,
        corrected=corrected.value,
        ci_low=corrected.ci_low,
        ci_high=corrected.ci_high,
    )


def _change(row: Row | None, agreement: Agreement | None) -> CorrectedChange | None:
    """Return the corrected change of a rate that is the lower the better, as those of all judges are."""
    if row is None or agreement is None or row.transitions is None:
        return None
    if row.higher_is_better or row.p_exact is None:  # known of independent pairs alone, as the interval is
        return None
    more, less, n = row.transitions.n10, row.transitions.n01, row.n
    found = corrected_change((more - less) / n, tango_interval(more, less, n, level=LEVEL), agreement)
    if found.value is None or found.ci_low is None or found.ci_high is None:
        return None
    return CorrectedChange(value=found.value, ci_low=found.ci_low, ci_high=found.ci_high)

"""The tasks of two runs, matched: what can be compared, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from forgetbench.forgetting.asked import asked_differently
from forgetbench.forgetting.join import Joined, join
from forgetbench.schema.run import MetricType, MetricValue, RunDocument, TaskResult
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd

    Samples = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class TaskPair:
    """One task in both arms.

    Attributes:
        task: The checkpoint's result, or the base's where the checkpoint has none.
        state: ``ready`` to be compared, or not.
        reason: Why it is not.
    """

    task: TaskResult
    state: Literal["ready", "identical", "skipped", "error"]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadyPair(TaskPair):
    """One task that both arms have scored.

    Attributes:
        metric: Aggregate of the primary metric, for its type and direction.
        joined: The joined samples; at least one was scored in both arms.
        n_planned: Samples that were to be scored.
    """

    metric: MetricValue
    joined: Joined
    n_planned: int


def match_tasks(
    base: RunDocument, checkpoint: RunDocument, base_samples: Samples, checkpoint_samples: Samples
) -> dict[str, TaskPair]:
    """Return every task of either run by name, in the order of the checkpoint's run."""
    in_base = {task.name: task for task in base.tasks}
    pairs: dict[str, TaskPair] = {}
    for task in checkpoint.tasks:
        name = task.name
        if name not in in_base:
            pairs[name] = _error(task, "only the checkpoint's run has it")
        elif base.run_key != checkpoint.run_key:
            keys = f"run keys {base.run_key}, {checkpoint.run_key}"
            pairs[name] = _error(task, f"the runs differ in their settings ({keys})")
        else:
            pairs[name] = _match(in_base[name], task, base_samples.get(name), checkpoint_samples.get(name))
    for name, task in in_base.items():
        pairs.setdefault(name, _error(task, "only the base's run has it"))
    return pairs


def _error(task: TaskResult, reason: str) -> TaskPair:
    return TaskPair(task=task, state="error", reason=reason)


def _match(
    base: TaskResult,
    checkpoint: TaskResult,
    base_samples: pd.DataFrame | None,
    checkpoint_samples: pd.DataFrame | None,
) -> TaskPair:
    if base.version != checkpoint.version:
        reason = f"version {base.version} in the base's run, {checkpoint.version} in the checkpoint's"
        return _error(checkpoint, reason)
    if base.definition_sha256 != checkpoint.definition_sha256:
        reason = "the task definition changed between the runs, though its version did not"
        return _error(checkpoint, reason)
    if base.status == checkpoint.status == "identical":
        return TaskPair(task=checkpoint, state="identical")
    if base.status == checkpoint.status == "skipped":
        return TaskPair(task=checkpoint, state="skipped", reason=checkpoint.reason or base.reason)
    for arm, task in (("base", base), ("checkpoint", checkpoint)):
        if task.status != "done":
            because = f": {task.reason}" if task.reason else ""
            return _error(checkpoint, f"{task.status} in the {arm}'s arm{because}")
    return _join(base, checkpoint, base_samples, checkpoint_samples)


def _join(
    base: TaskResult,
    checkpoint: TaskResult,
    base_samples: pd.DataFrame | None,
    checkpoint_samples: pd.DataFrame | None,
) -> TaskPair:
    primary = checkpoint.primary
    metric = checkpoint.metrics.get(primary)
    if metric is None or primary not in base.metrics:
        return _error(checkpoint, f"no result for its primary metric {primary!r}")
    if base_samples is None or checkpoint_samples is None:
        return _error(checkpoint, "the sample records are missing")
    metric_type = _shared_type(base.metrics[primary].type, metric.type)
    if metric_type is None or base.metrics[primary].higher_is_better != metric.higher_is_better:
        return _error(checkpoint, f"the arms scored {primary!r} in different ways")
    metric = metric.model_copy(update={"type": metric_type})
    columns = stat_columns(primary, metric_type)
    if not set(columns) <= set(base_samples) & set(checkpoint_samples):
        reason = f"the sample records have no column {columns[0]!r}"
        return _error(checkpoint, reason)
    lost = max(checkpoint.n_planned - len(checkpoint_samples), 0)
    joined = join(base_samples, checkpoint_samples, columns=columns, lost=lost)
    if joined.pairs.empty:
        return _error(checkpoint, "no sample was scored in both arms")
    if reason := asked_differently(base, checkpoint, joined.pairs):
        return _error(checkpoint, reason)
    planned = max(max(base.n_planned, checkpoint.n_planned) - joined.n_without, len(joined.pairs))
    return ReadyPair(task=checkpoint, state="ready", metric=metric, joined=joined, n_planned=planned)


def _shared_type(base: MetricType, checkpoint: MetricType) -> MetricType | None:
    """Return the type of a metric in both arms; None where they cannot be compared.

    A graded score that happens to be 0 or 1 throughout one arm looks binary there: it is binary
    only where both arms say so.
    """
    if base == checkpoint:
        return base
    return None if "ratio" in (base, checkpoint) else "mean"

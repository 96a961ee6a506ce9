"""Margins that judge nothing: they are as large as all that a metric can lose."""

from __future__ import annotations

from forgetbench.errors import UsageError
from forgetbench.metrics.registry import find
from forgetbench.schema.metric import MetricSpec


def check_margin(thing: str, margin: float, *metrics: str, error: type[UsageError] = UsageError) -> None:
    """Refuse a margin that reaches the range of its metric.

    The range is from the worst to the best score where both are bounded, else 100 points of a percentage,
    such as a word error rate; other metrics have none.

    Args:
        thing: What the margin is of, for the message.
        margin: In units of the metric.
        metrics: Primary metric of the task, or of each task inside a suite row: its loss is their mean.
        error: Class of the error.

    Raises:
        UsageError: No loss could exceed the margin.

    Example:
        >>> check_margin("margin of quiz", 0.05, "acc")
    """
    specs = [find(metric.partition(",")[0]) for metric in metrics]  # lm-eval's "exact_match,strict-match"
    ranges = [(_range(spec), spec) for spec in specs if spec is not None]
    widths = [width for width, _ in ranges if width is not None]
    if not specs or len(widths) < len(specs) or margin < max(widths):
        return
    spec = next(spec for width, spec in ranges if width == max(widths))
    if spec.percent:
        cause = f"{margin:g} is {100 * margin:g} points of {spec.name}, and judges nothing"
        way_out = f"Did you mean {margin / 100:g}?" if margin < 100 else "Such as 0.02 for 2 points."
        raise error(thing, cause, way_out)
    cause = f"{margin:g} is as much as {spec.name} can lose, {max(widths):g}, or more, and judges nothing"
    raise error(thing, cause, f"Give less than {max(widths):g}.")


def _range(spec: MetricSpec) -> float | None:
    if spec.worst is not None and spec.best is not None:
        return abs(spec.best - spec.worst)
    return 1.0 if spec.percent else None

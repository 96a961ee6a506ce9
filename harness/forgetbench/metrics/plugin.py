"""Metrics that other packages bring, for answers in text: entry points of ``forgetbench.metrics``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from forgetbench.errors import ForgetbenchError, SampleError
from forgetbench.plugins import broken, load_plugin, plugins
from forgetbench.schema.metric import MetricSpec

Score = float | tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class TextMetric:
    """How a text answer is scored against its reference.

    The entry point's name is ``spec.name``, with a dot in it (``mypackage.keyword_recall``): so no plug-in
    takes the name of a metric of forgetbench.

    Attributes:
        spec: Name, type, direction, bounds and unit.
        score: ``score(reference, answer)``: 0.0 or 1.0 for a binary metric, any number for a mean, and
            ``(errors, units)`` for a ratio, which is pooled over the samples. An empty answer is an answer.

    Example:
        >>> spec = MetricSpec(name="mine.length_ratio", type="ratio", higher_is_better=False)
        >>> metric = TextMetric(spec=spec, score=lambda reference, answer: (len(answer), len(reference)))
        >>> metric.score("four", "sixsix")
        (6, 4)
    """

    spec: MetricSpec
    score: Callable[[str, str], Score]


def plugin_metric(name: str) -> TextMetric | None:
    """Return the metric that a plug-in brings under a name; None where none does.

    Raises:
        ForgetbenchError: The plug-in cannot be loaded, or is no metric of that name.
    """
    if name not in plugins("metrics"):
        return None
    found = load_plugin("metrics", name)
    if not isinstance(found, TextMetric):
        raise broken("metrics", name, f"is {type(found).__name__}, not a TextMetric")
    if found.spec.name != name or "." not in name:
        raise broken("metrics", name, f"has the spec of {found.spec.name!r}; both names need the same dot")
    return found


def plugin_stats(metrics: Iterable[str], *, reference: str, answer: str) -> dict[str, Score]:
    """Return the statistics of those metrics that plug-ins bring.

    Raises:
        SampleError: ``nonfinite_score``: one is not finite.
        ForgetbenchError: One is not of its metric's type, or its function failed.
    """
    stats: dict[str, Score] = {}
    for name in metrics:
        metric = plugin_metric(name) if "." in name else None
        if metric is not None:
            stats[name] = _scored(metric, reference, answer)
    return stats


def _scored(metric: TextMetric, reference: str, answer: str) -> Score:
    try:
        return _checked(metric.spec, metric.score(reference, answer))
    except ForgetbenchError:
        raise
    except Exception as error:  # another package's code may raise anything
        cause = f"failed on an answer ({type(error).__name__}: {error})"
        raise broken("metrics", metric.spec.name, cause) from error


def _checked(spec: MetricSpec, score: Score) -> Score:
    parts = tuple(float(part) for part in score) if isinstance(score, tuple) else (float(score),)
    if len(parts) != (2 if spec.type == "ratio" else 1) or (spec.type == "binary" and parts[0] not in (0, 1)):
        raise broken("metrics", spec.name, f"scored {score!r}, which is not {spec.type}")
    if not all(map(math.isfinite, parts)):
        raise SampleError("nonfinite_score", f"metric {spec.name}", f"is {score!r}")
    return (parts[0], parts[1]) if len(parts) == 2 else parts[0]

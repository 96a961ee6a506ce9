"""Whether more of an lm-eval metric is better: as somebody states it, and never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WAY_OUT = "Give it `higher_is_better` in the task's `metric_list`"


def is_higher_better(metric: str, stated: Mapping[str, Any]) -> bool | None:
    """Return the direction of a metric; None where neither the task nor lm-eval's registry knows it.

    Args:
        metric: Its name, without a filter.
        stated: What the task, or a results file of it, says under ``higher_is_better``.

    Example:
        >>> is_higher_better("wer", {"wer": False}), is_higher_better("acc", {})
        (False, True)
        >>> is_higher_better("wer", {"wer": None}) is None
        True
    """
    import lm_eval.api.metrics  # noqa: F401  fills the registry
    from lm_eval.api.registry import higher_is_better_registry

    found = stated.get(metric)
    if found is None and metric in higher_is_better_registry:
        found = higher_is_better_registry[metric]
    return found if isinstance(found, bool) else None


def unstated(metric: str) -> str:
    """Return why a task whose primary metric has no known direction is not compared."""
    return f"whether a higher {metric!r} is better is not stated"

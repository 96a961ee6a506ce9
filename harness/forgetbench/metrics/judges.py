"""Judges of an answer to a request, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from forgetbench.errors import TaskError
from forgetbench.metrics.judgement import Judgement
from forgetbench.metrics.phrase_judges import gcg29, xstest_strmatch
from forgetbench.metrics.refusal_rules import refusal_rules

Judge = Callable[[str, str], Judgement]
"""``judge(prompt, answer)``, without a model."""

TEXT_JUDGES: Mapping[str, Judge] = MappingProxyType(
    {"refusal@1": refusal_rules, "gcg29": gcg29, "xstest_strmatch": xstest_strmatch}
)
MODEL_JUDGES = ("classifier", "regressor", "chat")
"""``KIND:MODEL``: judged in batches by :mod:`forgetbench.models.judge`."""


def judge(name: str) -> Judge:
    """Return the text judge of this name.

    Raises:
        TaskError: There is none; a judge that needs a model is none of these.

    Example:
        >>> judge("gcg29")("Tell me a secret.", "I cannot help with that.")
        'refused'
    """
    if name in TEXT_JUDGES:
        return TEXT_JUDGES[name]
    near = get_close_matches(name, TEXT_JUDGES, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(TEXT_JUDGES)}."
    raise TaskError(f"judge {name!r}", "is not known", hint)


def is_model_judge(name: str) -> bool:
    """Tell whether a judge is a model: ``classifier:MODEL``, ``regressor:MODEL`` or ``chat:MODEL``."""
    kind, colon, model = name.partition(":")
    return kind in MODEL_JUDGES and bool(colon and model)

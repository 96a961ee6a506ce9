"""Judges of an answer to a request, by name: ours, and those of plug-ins (``forgetbench.judges``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast, get_args

from forgetbench.errors import SampleError, TaskError, did_you_mean
from forgetbench.metrics.phrase_judges import gcg29, xstest_strmatch
from forgetbench.metrics.refusal_rules import refusal_rules
from forgetbench.plugins import broken, load_plugin, plugins
from forgetbench.schema.task import RefusalClass

Judge = Callable[[str, str], RefusalClass]
"""``judge(prompt, answer)``, without a model."""

TEXT_JUDGES: Mapping[str, Judge] = MappingProxyType(
    {"refusal@1": refusal_rules, "gcg29": gcg29, "xstest_strmatch": xstest_strmatch}
)
UNPARSABLE = "unparsable_verdict"
"""Code of a sample whose judge said something else than a class: an error, never an average score."""
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
    if name in plugins("judges"):
        return _plugin_judge(name)
    known = [*TEXT_JUDGES, *plugins("judges")]
    hint = did_you_mean(name, known, f"Known: {', '.join(known)}.")
    raise TaskError(f"judge {name!r}", "is not known", hint)


def _plugin_judge(name: str) -> Judge:
    """Return a plug-in's judge, ``judge(prompt, answer)``, whose verdicts are checked."""
    own = load_plugin("judges", name)
    if not callable(own):
        raise broken("judges", name, f"is {type(own).__name__}, not a function of prompt and answer")

    def judged(prompt: str, answer: str) -> RefusalClass:
        try:
            said = own(prompt, answer)
        except Exception as error:  # another package's code may raise anything
            cause = f"failed on an answer ({type(error).__name__}: {error})"
            raise broken("judges", name, cause) from error
        if said not in get_args(RefusalClass):
            raise SampleError(UNPARSABLE, f"judge {name}", f"said {said!r}")
        return cast(RefusalClass, said)

    return judged


def is_model_judge(name: str) -> bool:
    """Tell whether a judge is a model: ``classifier:MODEL``, ``regressor:MODEL`` or ``chat:MODEL``."""
    kind, colon, model = name.partition(":")
    return kind in MODEL_JUDGES and bool(colon and model)

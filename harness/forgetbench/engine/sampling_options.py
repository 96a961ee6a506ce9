"""``--gen-kwargs``: how generated answers are drawn."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from forgetbench.errors import UsageError
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.run import Sampling

SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_sampling(given: Mapping[str, str], *, repeats: int = 1) -> Sampling | None:
    """Return how answers are drawn, None for greedily.

    As in lm-eval, a temperature above 0 means sampling, and a temperature of 0 none.

    Args:
        given: Keys and values of ``--gen-kwargs``.
        repeats: Answers to each sample.

    Raises:
        UsageError: A key is unknown, a value is out of range, the keys contradict each other, or greedy
            answers are to be repeated.
    """
    sampling = _sampling(dict(given))
    if repeats > 1 and sampling is None:
        raise UsageError(
            f"--repeats {repeats}",
            "greedy decoding gives the same answer each time",
            "Add --gen-kwargs temperature=0.7, or leave --repeats out.",
        )
    return sampling


def _sampling(given: dict[str, str]) -> Sampling | None:
    if not given:
        return None
    known = tuple(Sampling.model_fields)
    wanted = _switch(given.pop("do_sample", None))
    for key in given:
        if key not in known:
            raise UsageError(f"--gen-kwargs {key}", "is not known", f"Known: do_sample, {', '.join(known)}.")
    if _is_zero(given.get("temperature")):
        if wanted or len(given) > 1:
            raise UsageError(
                "--gen-kwargs temperature=0", "is greedy, and nothing is drawn", "Give one above 0."
            )
        return None
    if wanted is False:
        if given:
            named = ", ".join(given)
            raise UsageError(
                "--gen-kwargs do_sample=false", f"leaves {named} without effect", "Leave one out."
            )
        return None
    try:
        return Sampling.model_validate(given)
    except ValidationError as error:
        first = first_invalid(error)
        thing = f"--gen-kwargs {first.key}={first.given}"
        raise UsageError(thing, first.cause, "Correct the value.") from None


def _switch(value: str | None) -> bool | None:
    if value is None:
        return None
    if value.casefold() not in SWITCHES:
        raise UsageError(f"--gen-kwargs do_sample={value}", "is neither true nor false", "Say true or false.")
    return SWITCHES[value.casefold()]


def _is_zero(value: str | None) -> bool:
    try:
        return value is not None and float(value) == 0.0
    except ValueError:
        return False

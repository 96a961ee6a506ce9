"""Scores of text tasks: choices by log-likelihood, short answers, bits per byte."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from forgetbench.errors import SampleError

Extraction = Literal["whole", "first_integer", "last_number"]

_INTEGER = re.compile(r"-?\d[\d,]*")
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")


def multiple_choice_stats(
    loglikelihoods: Sequence[float], *, choices: Sequence[str], gold: int
) -> dict[str, float]:
    """Return ``acc`` and ``acc_norm`` (1.0 or 0.0), as lm-eval's ``multiple_choice`` does.

    ``acc``: the choice with the highest log-likelihood is right. ``acc_norm``: the same after
    dividing each by the length of its choice in characters (lm-eval's ``completion_len``).
    The first of equal choices wins, as with ``numpy.argmax``.

    Args:
        loglikelihoods: Summed natural-log probability of each choice.
        choices: The choices without the space that joins them to the prompt.
        gold: Index of the right one.

    Raises:
        SampleError: ``nonfinite_score``: one is NaN or +∞, or none is finite. A single
            impossible choice (−∞) is legal.

    Example:
        >>> multiple_choice_stats([-4.0, -5.0], choices=["yes", "probably"], gold=1)
        {'acc': 0.0, 'acc_norm': 1.0}
    """
    check_finite(loglikelihoods, "the log-likelihoods of the choices")
    per_character = [
        value / len(choice) if choice else -math.inf
        for value, choice in zip(loglikelihoods, choices, strict=True)
    ]
    return {
        "acc": float(_first_highest(loglikelihoods) == gold),
        "acc_norm": float(_first_highest(per_character) == gold),
    }


def check_finite(loglikelihoods: Sequence[float], thing: str) -> None:
    """Refuse log-likelihoods of which none can be told to be the highest.

    Raises:
        SampleError: ``nonfinite_score``: one is NaN or +∞, or none is finite.
    """
    if not any(map(math.isfinite, loglikelihoods)) or any(v != v or v == math.inf for v in loglikelihoods):
        raise SampleError("nonfinite_score", thing, "are not finite")


def _first_highest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda i: values[i])


def extract(text: str, how: Extraction) -> str | None:
    """Return the part of an answer that is compared, or None where it has no such part.

    Args:
        text: The answer.
        how: ``whole`` ignores case, outer and repeated spaces and a final full stop. A number is
            written canonically: ``1,000`` and ``1000.0`` are the same.

    Example:
        >>> extract("9 + 9 = 18, so she makes $18.00.", "last_number")
        '18'
    """
    if how == "whole":
        return " ".join(text.split()).removesuffix(".").casefold()
    found = _INTEGER.findall(text)[:1] if how == "first_integer" else _NUMBER.findall(text)[-1:]
    return _canonical_number(found[0]) if found else None


def _canonical_number(text: str) -> str:
    number = Decimal(text.replace(",", "")).normalize()
    return f"{number + 0:f}"


def exact_match(output: str, reference: str, *, how: Extraction) -> float:
    """Return 1.0 where the extracted parts of output and reference are equal, else 0.0.

    An output without such a part is a wrong answer.
    """
    found = extract(output, how)
    return float(found is not None and found == extract(reference, how))


def bits_per_byte(logprob: float, text: str) -> tuple[float, float]:
    """Return the bits a model needs for ``text`` and its UTF-8 bytes.

    Args:
        logprob: Summed natural-log probability of the text.
        text: The scored text.

    Raises:
        SampleError: ``nonfinite_score``: the log-probability is NaN or infinite.

    Example:
        >>> bits_per_byte(-8 * math.log(2), "word")
        (8.0, 4.0)
    """
    if not math.isfinite(logprob):
        raise SampleError("nonfinite_score", "the log-probability of the text", f"is {logprob}")
    return -logprob / math.log(2), float(len(text.encode()))

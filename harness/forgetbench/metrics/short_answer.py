"""Whether a free answer says what was asked for: one of the accepted answers, as whole words."""

from __future__ import annotations

from collections.abc import Sequence

from forgetbench.metrics.diagnostics import looping
from forgetbench.metrics.normalise import normalise

_NORMALISER = "whisper_en@1"
"""Brings "sixty" and "60", "colour" and "color", "It's Paris!" and "it is paris" together."""
_ARTICLES = ("a ", "an ", "the ")


def contains_answer(output: str, accepted: Sequence[str]) -> float:
    """Return 1.0 where the output contains an accepted answer as a run of whole words, else 0.0.

    Both are normalised as English transcripts are (``whisper_en@1``); an article before an accepted answer is
    left out. This is "accuracy by containment" of open-domain question answering (Mallen et al. 2023, arXiv
    2212.10511, §3): an answer in a sentence counts, and so does one among several. An output that ends in a
    loop answers nothing, whatever is repeated. The language around an answer is not looked at.

    Args:
        output: What the model said.
        accepted: Answers that will do, at least one; one without a word is never said.

    Example:
        >>> contains_answer("There are sixty minutes in an hour.", ["60"])
        1.0
        >>> contains_answer("The parish is small.", ["Paris"])
        0.0
    """
    if looping(output):
        return 0.0
    words = f" {normalise(output, _NORMALISER)} "
    wanted = [answer for answer in map(_bare, accepted) if answer]
    return float(any(f" {answer} " in words for answer in wanted))


def _bare(answer: str) -> str:
    text = normalise(answer, _NORMALISER)
    article = next((article for article in _ARTICLES if text.startswith(article)), "")
    return text.removeprefix(article)

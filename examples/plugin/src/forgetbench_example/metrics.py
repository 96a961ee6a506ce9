"""A metric: words of the reference that the answer lacks."""

from __future__ import annotations

from forgetbench.metrics.plugin import TextMetric
from forgetbench.schema.metric import MetricSpec


def missed_words(reference: str, answer: str) -> tuple[float, float]:
    """Return how many words of the reference are nowhere in the answer, and how many there are."""
    said = set(answer.casefold().split())
    wanted = reference.casefold().split()
    return float(sum(word not in said for word in wanted)), float(len(wanted))


MISSED_WORDS = TextMetric(
    spec=MetricSpec(
        name="example.missed_words",
        type="ratio",
        higher_is_better=False,
        worst=1.0,
        best=0.0,
        unit="words",
        percent=True,
    ),
    score=missed_words,
)

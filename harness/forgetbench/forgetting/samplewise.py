"""Sample-wise forgetting and backward transfer (Harmon et al. 2025, arXiv 2510.17776)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from forgetbench.schema.comparison import SamplewiseForgetting, Transitions


def samplewise(transitions: Transitions, *, n_options: float | None) -> SamplewiseForgetting | None:
    """Return sample-wise forgetting, or None without samples.

    Args:
        transitions: Counts of right and wrong in the two arms.
        n_options: Answer options k of each question, above 1: 1/chance, which need not be whole where the
            questions differ; None for free-form answers, where chance is 0.

    Example:
        >>> samplewise(Transitions(n11=25, n10=25, n01=25, n00=25), n_options=2).true_forgetting
        0.0
    """
    t = transitions
    n = t.n11 + t.n10 + t.n01 + t.n00
    if n == 0:
        return None
    before, after = (t.n11 + t.n10) / n, (t.n11 + t.n01) / n
    chance, most = 0.0, before
    if n_options is not None:
        chance = (1 - before) * (1 - after) / (n_options - 1)
        most = max((n_options * before - 1) / (n_options - 1), 0.0)
    return SamplewiseForgetting(
        forgetting=t.n10 / n,
        backward_transfer=t.n01 / n,
        chance=chance,
        true_forgetting=max(t.n10 / n - chance, 0.0),
        true_backward_transfer=max(t.n01 / n - chance, 0.0),
        most_forgettable=most,
    )


def samplewise_of_task(transitions: Transitions | None, chance: float | None) -> SamplewiseForgetting | None:
    """Return sample-wise forgetting of a task by its chance level; None where either is unknown."""
    if transitions is None or chance is None:
        return None
    return samplewise(transitions, n_options=1 / chance if chance else None)


def mean_samplewise(members: Sequence[SamplewiseForgetting | None]) -> SamplewiseForgetting | None:
    """Return the unweighted mean of tasks, each corrected by its own chance; None if one is missing."""
    known = [member for member in members if member is not None]
    if not known or len(known) < len(members):
        return None
    fields = SamplewiseForgetting.model_fields
    return SamplewiseForgetting(**{name: fmean(getattr(member, name) for member in known) for name in fields})


def summed_transitions(members: Sequence[Transitions | None]) -> Transitions | None:
    """Return the counts of several tasks added up; None if one is missing."""
    known = [member for member in members if member is not None]
    if not known or len(known) < len(members):
        return None
    return Transitions(**{name: sum(getattr(m, name) for m in known) for name in Transitions.model_fields})

"""Minimal pairs of speech: whether the right recording is the likelier one."""

from __future__ import annotations


def minimal_pair_stats(right: float, wrong: float, *, n_right: int, n_wrong: int) -> dict[str, float]:
    """Return ``acc`` by summed log-likelihoods and ``acc_norm`` by log-likelihoods per unit.

    sWUGGY and sBLIMP compare the score that a system gives (Nguyen et al. 2020, arXiv 2011.11588 §2.2); per
    unit is how spoken StoryCloze is scored (Hassid et al. 2023, arXiv 2305.13009 §4). A tie is wrong: the
    model tells nothing apart.

    Args:
        right: Summed natural-log probability of the right recording.
        wrong: Of the wrong one.
        n_right: Units of the right recording; one that gave none counts as one.
        n_wrong: Of the wrong one.

    Example:
        >>> minimal_pair_stats(-30.0, -24.0, n_right=15, n_wrong=10)
        {'acc': 0.0, 'acc_norm': 1.0}
    """
    return {
        "acc": float(right > wrong),
        "acc_norm": float(right / max(n_right, 1) > wrong / max(n_wrong, 1)),
    }

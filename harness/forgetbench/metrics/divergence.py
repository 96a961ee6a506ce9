"""Forgetting as a change of distribution: sums over positions, and the statistics of a sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import SampleError
from forgetbench.schema.sample import DivergenceSums

FloatArray = NDArray[np.float32]


def divergence_sums(
    base: FloatArray, checkpoint: FloatArray, tokens: Sequence[int] | None = None
) -> DivergenceSums:
    """Sum entropy, KL(p‖q), agreement and cross-entropies over positions.

    KL is summed as Σ_v q − p − p·log(q/p), which is never negative and in which an error that log q has at
    every token of a position (that of its normalisation in float32) cancels to first order.

    Args:
        base: log p, natural logarithm, shape (positions, vocabulary), each row normalised.
        checkpoint: log q, the same shape; the same array gives a KL of exactly 0.
        tokens: The text's own token at each position; None where there is none.

    Raises:
        SampleError: ``nonfinite_score``: a value is NaN or +∞, or the KL is infinite.

    Example:
        >>> p, q = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
        >>> round(divergence_sums(p, q).kl, 4)
        0.1438
    """
    rows = np.arange(len(base))
    p, q = np.exp(base), np.exp(checkpoint)
    top, own_top = base.argmax(axis=1), checkpoint.argmax(axis=1)
    with np.errstate(invalid="ignore"):
        entropy = np.where(p > 0, p * base, 0).sum(dtype=np.float64)
        terms = q - p - np.where(p > 0, p * (checkpoint - base), 0)
    sums = DivergenceSums(
        n_positions=len(base),
        entropy=max(-float(entropy), 0.0),
        kl=max(float(terms.sum(dtype=np.float64)), 0.0),
        argmax_nll=-float(checkpoint[rows, top].sum(dtype=np.float64)),
        agreed=int((top == own_top).sum()),
        token_nll=None if tokens is None else -float(checkpoint[rows, tokens].sum(dtype=np.float64)),
    )
    values = (sums.entropy, sums.kl, sums.argmax_nll, sums.token_nll or 0.0)
    # max() passes over a NaN that is its second argument.
    if not np.isfinite(terms).all() or not all(map(math.isfinite, values)):
        raise SampleError("nonfinite_score", "the log-probabilities of a position", "are not finite")
    return sums


def total(parts: Iterable[DivergenceSums]) -> DivergenceSums:
    """Return the sums over several stretches of one sample; there is at least one."""
    known = list(parts)
    nlls = [part.token_nll for part in known]
    return DivergenceSums(
        n_positions=sum(part.n_positions for part in known),
        entropy=math.fsum(part.entropy for part in known),
        kl=math.fsum(part.kl for part in known),
        argmax_nll=math.fsum(part.argmax_nll for part in known),
        agreed=sum(part.agreed for part in known),
        token_nll=None if None in nlls else math.fsum(nll for nll in nlls if nll is not None),
    )


def divergence_stats(sums: DivergenceSums) -> dict[str, tuple[float, float]]:
    """Return numerator and denominator of each metric, per position.

    ``forgetting_loss`` is the cross-entropy of q against p, H(p) + KL(p‖q), ``forgetting_loss_argmax`` that
    against p's likeliest token (Kalajdzievski 2024, arXiv 2401.05605 §3.1); ``token_nll`` that against the
    text, the logarithm of its perplexity.
    """
    n = float(sums.n_positions)
    stats = {
        "kl": (sums.kl, n),
        "forgetting_loss": (sums.entropy + sums.kl, n),
        "forgetting_loss_argmax": (sums.argmax_nll, n),
        "top1_agreement": (float(sums.agreed), n),
    }
    return stats if sums.token_nll is None else stats | {"token_nll": (sums.token_nll, n)}

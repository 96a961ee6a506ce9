"""Logits that are no numbers: the model's arithmetic has failed, and what it would write is no answer."""

from __future__ import annotations

import torch
from torch import Tensor

from forgetbench.errors import SampleError


def check_finite(logits: Tensor) -> None:
    """Refuse logits of which no likeliest token can be taken; −∞, of a suppressed token, is legal.

    Args:
        logits: Shape (..., vocabulary).

    Raises:
        SampleError: ``nonfinite_score``: in a row there is a NaN or +∞, or nothing is finite.
    """
    if not torch.isfinite(logits.amax(dim=-1)).all():  # the maximum of a row with a NaN is NaN
        raise SampleError("nonfinite_score", "the model's logits", "are not finite")


class FiniteLogits:
    """Logits processor for ``generate`` of transformers that changes nothing; see :func:`check_finite`."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores of one step, shape (rows, vocabulary)."""
        check_finite(scores)
        return scores

"""Sampling whose randomness belongs to each answer: the same in both arms, and in every batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from forgetbench.models.interface import Draw


class SeededSampling:
    """Logits processor that makes greedy decoding draw from the softmax of each row.

    Adding Gumbel noise and taking the largest is drawing from the softmax (Maddison et al. 2014,
    arXiv 1411.0030, §2). The noise of a row comes from its own generator on the CPU: it depends neither on
    the other rows nor on the device, and two models of one vocabulary draw with the same noise. Where their
    probabilities are alike, so are their answers.

    Args:
        draws: One for each row of the batch.
    """

    def __init__(self, draws: Sequence[Draw]) -> None:
        self._draws = list(draws)
        self._generators = [torch.Generator().manual_seed(draw.seed) for draw in draws]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the batch."""
        self._draws = [self._draws[row] for row in rows]
        self._generators = [self._generators[row] for row in rows]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the noisy logits of one step, shape (rows, vocabulary), float32."""
        rows = [
            _kept(row.float() / draw.temperature, draw) for row, draw in zip(scores, self._draws, strict=True)
        ]
        uniform = [torch.rand(scores.shape[1], generator=generator) for generator in self._generators]
        smallest = torch.finfo(torch.float32).tiny
        noise = -torch.log(-torch.log(torch.stack(uniform).clamp_min(smallest)))
        return torch.stack(rows) + noise.to(scores.device)


def _kept(logits: Tensor, draw: Draw) -> Tensor:
    """Return the logits with everything that is not drawn from at minus infinity."""
    logits = logits.clone()
    if draw.top_k:
        kept = torch.topk(logits, min(draw.top_k, len(logits))).values
        logits[logits < kept[-1]] = -torch.inf
    if draw.top_p < 1.0:
        ordered, positions = torch.sort(logits, descending=True)
        before = torch.cumsum(torch.softmax(ordered, dim=-1), dim=-1) - torch.softmax(ordered, dim=-1)
        logits[positions[before >= draw.top_p]] = -torch.inf
    if draw.min_p:
        probabilities = torch.softmax(logits, dim=-1)
        logits[probabilities < draw.min_p * probabilities.max()] = -torch.inf
    return logits

"""The loss on the target at a checkpoint, measured alike for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

N_EXAMPLES = 16

T = TypeVar("T")


def spread(rows: Sequence[T]) -> list[T]:
    """Return up to 16 rows, evenly spread over a file."""
    n = min(N_EXAMPLES, len(rows))
    return [rows[i * len(rows) // n] for i in range(n)]


def loss_on(model: Any, batches: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the cross-entropy in nats per token, without dropout; None where there is nothing to predict.

    Args:
        model: A transformers or PEFT model whose output has the mean ``loss`` over the labels.
        batches: Its inputs, with ``labels`` that are -100 where nothing is to be predicted.
    """
    import torch

    total, n_tokens = 0.0, 0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in batches:
            n = int((batch["labels"] != -100).sum())
            if n:
                on_device = {name: value.to(model.device) for name, value in batch.items()}
                total += n * float(model(**on_device).loss)
                n_tokens += n
    model.train(was_training)
    return total / n_tokens if n_tokens else None

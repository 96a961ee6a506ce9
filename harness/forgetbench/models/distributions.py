"""Teacher forcing in torch: states first, and the vocabulary only for as many positions as are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetbench.models.interface import TokenWindow


@dataclass(frozen=True, kw_only=True)
class Positions:
    """``Distributions`` over stored states.

    Attributes:
        states: Shape (positions, width): what the output projection turns into logits, or logits.
        project: From states to logits.
        n_tokens: Size of the vocabulary.
        targets: The input's own token at each position, or None.
    """

    states: Tensor
    project: Callable[[Tensor], Tensor]
    n_tokens: int
    targets: tuple[int, ...] | None

    @property
    def n_positions(self) -> int:
        """How many positions there are."""
        return len(self.states)

    @torch.inference_mode()
    def logprobs(self, start: int, stop: int, *, n_tokens: int) -> NDArray[np.float32]:
        """Return log-probabilities over the first tokens of the vocabulary, renormalised."""
        logits = self.project(self.states[start:stop])[:, :n_tokens].float()
        found: NDArray[np.float32] = torch.log_softmax(logits, dim=-1).cpu().numpy()
        return found


def from_logits(logits: Tensor, targets: tuple[int, ...] | None) -> Positions:
    """Return the distributions of logits that are there, shape (positions, vocabulary)."""
    return Positions(states=logits, project=lambda each: each, n_tokens=logits.shape[-1], targets=targets)


def rolling_windows(context: Sequence[int], text: Sequence[int], window: int) -> Iterator[TokenWindow]:
    """Cut a text into windows without overlap; every token of it is a target once.

    The first one reads the end of the context, each later one the last token of the one before. It is how
    lm-eval's rolling log-likelihood cuts, whose last window reads as much of the text again as fits.

    Args:
        context: At least one token id.
        text: Token ids.
        window: Longest input in tokens, two or more.
    """
    before, rest = tuple(context[-(window - 1) :]), tuple(text)
    while rest:
        n_targets = window + 1 - len(before)
        targets, rest = rest[:n_targets], rest[n_targets:]
        yield TokenWindow(inputs=(*before, *targets[:-1]), targets=targets)
        before = targets[-1:]


@torch.inference_mode()
def read_tokens(model: Any, window: TokenWindow) -> Positions:
    """Read one row of tokens and keep the states before the output projection.

    The logits of all positions at once would take positions × vocabulary × 4 bytes, twice for a pair. So the
    forward pass projects its last position only; where the model's logit there is the projection's own
    output, the others are projected on demand. Where it is not (soft caps, scales), all logits are kept.

    Args:
        model: Causal language model of transformers.
        window: What is read, and what its last positions predict.
    """
    targets = window.targets
    ids = torch.tensor([window.inputs], device=model.device)
    projection, n_last = model.get_output_embeddings(), len(targets)  # a learned prompt stands before
    if projection is not None:
        kept: list[Tensor] = []

        def keep_states(_: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            kept.append(args[0][0, -n_last:])
            return (args[0][:, -1:],)

        def keep_output(_: Any, __: Any, output: Tensor) -> None:
            kept.append(output[0, -1])

        hooks = (
            projection.register_forward_pre_hook(keep_states),
            projection.register_forward_hook(keep_output),
        )
        try:
            last = model(input_ids=ids, use_cache=False).logits[0, -1]
        finally:
            for hook in hooks:
                hook.remove()
        if len(kept) == 2 and torch.equal(kept[1].float(), last.float()):
            return Positions(states=kept[0], project=projection, n_tokens=len(last), targets=targets)
    return from_logits(model(input_ids=ids, use_cache=False).logits[0, -n_last:], targets)

"""A prefix that many contexts share (few-shot block, chat head, system prompt) is computed once.

Its keys and values are kept for the next batch, cut to what that one shares, and broadcast to all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from forgetbench.models.branches import Tokens

_SHORTEST = 16
"""Tokens below which a prefix is no prefix: a forward pass of its own costs more."""
_MIN_SAVED = 128
"""Tokens that computing (more of) a prefix apart must save."""


class Group(NamedTuple):
    """Contexts that share a prefix.

    Attributes:
        members: Their places in the sequence that was grouped.
        n_shared: Length of the longest prefix common to all, their last tokens left out.
    """

    members: list[int]
    n_shared: int


def group_by_prefix(contexts: Sequence[Tokens]) -> list[Group]:
    """Group contexts by what they begin with; those that share nothing worthwhile are one group.

    Contexts are taken in lexicographic order, where those with a common prefix stand together. A group ends
    where the next context shares less than half of what the group shares.

    Args:
        contexts: At least one token each.
    """
    heads = [context[:-1] for context in contexts]
    runs: list[Group] = []
    for i in sorted(range(len(heads)), key=heads.__getitem__):
        if runs:
            members, n_shared = runs[-1]
            n_common = common_length(heads[members[0]], heads[i])
            if n_common >= _SHORTEST and (len(members) == 1 or 2 * n_common >= n_shared):
                runs[-1] = Group([*members, i], n_common)
                continue
        runs.append(Group([i], len(heads[i])))
    alone = [run.members[0] for run in runs if len(run.members) == 1]
    return [*(run for run in runs if len(run.members) > 1), *([Group(alone, 0)] if alone else [])]


def common_length(a: Tokens, b: Tokens) -> int:
    """Return how many tokens two sequences begin with in common."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Prefix:
    """The keys and values of one prefix; :meth:`share` makes it another one at the least cost.

    Args:
        compute: Runs tokens through the model behind a cache, which takes up their keys and values.
    """

    def __init__(self, compute: Callable[[Tokens, DynamicCache], None]) -> None:
        self._compute = compute
        self._tokens: Tokens = ()
        self._cache = DynamicCache()

    def __len__(self) -> int:
        """Return the number of its tokens."""
        return len(self._tokens)

    def share(self, wanted: Tokens, *, n_rows: int) -> tuple[int, Cache | None]:
        """Return how many tokens of ``wanted`` are computed already, and a cache that broadcasts them.

        Args:
            wanted: The prefix common to the rows.
            n_rows: How many rows share it.

        Returns:
            0 and None where sharing would not pay.
        """
        kept = common_length(self._tokens, wanted)
        missing = len(wanted) - kept
        if missing >= _SHORTEST and missing * (n_rows - 1) >= _MIN_SAVED:
            self._cut(kept)
            try:
                self._compute(wanted[kept:], self._cache)
            except BaseException:  # some layers have taken up their part, others not
                self.forget()
                raise
            self._tokens = wanted
            kept = len(wanted)
        return (kept, _broadcast(self._cache, kept)) if kept >= _SHORTEST else (0, None)

    def forget(self) -> None:
        """Free the memory."""
        self._tokens, self._cache = (), DynamicCache()

    def _cut(self, n_kept: int) -> None:
        if n_kept == 0:
            self.forget()
        elif n_kept < len(self._tokens):
            self._cache.crop(n_kept - len(self._tokens))
            self._tokens = self._tokens[:n_kept]


class _Broadcast(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """One layer's prefix, shape (1, heads, length, width): given to every row, and never added to."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        rows = len(key_states)
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )


def _broadcast(cache: DynamicCache, length: int) -> Cache:
    layers = [_Broadcast(layer.keys[:, :, :length], layer.values[:, :, :length]) for layer in cache.layers]
    return Cache(layers=layers)

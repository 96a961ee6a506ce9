"""Continuations that share a context share its computation.

One row of a batch holds a context once and each of its continuations as a branch: a block attention mask
lets a branch see the context and itself, and its positions start where the context ends. The log-likelihoods
are those of separate rows, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Tokens = tuple[int, ...]

_MIN_CROWD = 256
"""Branch tokens that a row may always hold; more only up to the length of its context.

The mask of a row is square: many branches behind a short context would compare each with all others."""
_PADDING = -1


@dataclass(kw_only=True)
class Row:
    """A context and its branches: of each continuation the tokens that are fed, all but the last.

    Attributes:
        branches: Start of each branch behind the context, by its tokens.
        n_branch_tokens: Length of all of them together.
    """

    context: Tokens
    branches: dict[Tokens, int] = field(default_factory=dict)
    n_branch_tokens: int = 0

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.context) + self.n_branch_tokens

    @property
    def tokens(self) -> Tokens:
        """The context and, behind it, one branch after another."""
        return self.context + tuple(token for branch in self.branches for token in branch)

    @property
    def is_branched(self) -> bool:
        """Whether there are branches side by side: with one alone, causal attention is the mask."""
        return sum(map(bool, self.branches)) > 1

    def has_room(self, branch: Tokens) -> bool:
        """Tell whether a branch is better held here than with the context once more."""
        crowd = self.n_branch_tokens + len(branch)
        return branch in self.branches or crowd <= max(_MIN_CROWD, len(self.context))

    def add(self, branch: Tokens) -> None:
        """Hold a branch, once."""
        if branch not in self.branches:
            self.branches[branch] = self.n_branch_tokens
            self.n_branch_tokens += len(branch)

    def places(self, branch: Tokens) -> list[int]:
        """Return what predicts each token of a continuation, counted from the last token of the context."""
        start = self.branches[branch]
        return [0, *range(1 + start, 1 + start + len(branch))]


def shared_rows(requests: Iterable[tuple[Tokens, Tokens]]) -> tuple[list[Row], list[Row]]:
    """Put requests into few rows, one for each context unless its branches crowd it.

    Args:
        requests: Context (at least one token) and branch of each.

    Returns:
        The rows, and the row of each request.
    """
    rows: list[Row] = []
    open_rows: dict[Tokens, Row] = {}
    of_request = []
    for context, branch in requests:
        row = open_rows.get(context)
        if row is None or not row.has_room(branch):
            row = open_rows[context] = Row(context=context)
            rows.append(row)
        row.add(branch)
        of_request.append(row)
    return rows, of_request


def separate_rows(requests: Iterable[tuple[Tokens, Tokens]]) -> tuple[list[Row], list[Row]]:
    """Put each different request into a row of its own; those that feed the model the same share one."""
    rows: dict[tuple[Tokens, Tokens], Row] = {}
    of_request = []
    for context, branch in requests:
        if (context, branch) not in rows:
            rows[context, branch] = Row(context=context)
            rows[context, branch].add(branch)
        of_request.append(rows[context, branch])
    return list(rows.values()), of_request


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A batch of rows behind a prefix that all of them share.

    Attributes:
        ids: Token ids, shape (rows, columns), padded on the right with 0.
        positions: Position of each token, shape (rows, columns), and of the prefix before it.
        visible: True where a token may look at another, shape (rows, 1, columns, prefix + columns).
    """

    ids: Tensor
    positions: Tensor
    visible: Tensor

    def within(self, window: int, n_prefix: int) -> Tensor:
        """Return ``visible`` for a layer that looks back ``window`` positions, itself included."""
        before = torch.arange(n_prefix).expand(len(self.positions), -1)
        keys = torch.cat([before, self.positions], dim=1)
        near = self.positions[:, :, None] - keys[:, None, :] < window
        return self.visible & near[:, None]


def pack(rows: Sequence[Row], *, n_prefix: int = 0) -> Packed:
    """Pack rows side by side.

    Args:
        rows: At least one.
        n_prefix: Tokens at the start of every context that are computed already, and left out.
    """
    width = max(map(len, rows)) - n_prefix
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.full((len(rows), width), n_prefix)
    segments = torch.full((len(rows), width), _PADDING)
    for i, row in enumerate(rows):
        n = len(row) - n_prefix
        ids[i, :n] = torch.tensor(row.tokens[n_prefix:])
        places, own = _layout(row, n_prefix)
        positions[i, :n] = torch.tensor(places)
        segments[i, :n] = torch.tensor(own)
    causal = positions[:, None, :] <= positions[:, :, None]
    same = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
    inside = (causal & same) | torch.eye(width, dtype=torch.bool)  # padding sees itself: no row is empty
    before = torch.ones(len(rows), width, n_prefix, dtype=torch.bool)
    return Packed(ids=ids, positions=positions, visible=torch.cat([before, inside], dim=2)[:, None])


def _layout(row: Row, n_prefix: int) -> tuple[list[int], list[int]]:
    """Return the position and the segment of each token: 0 for the context, then 1, 2, … for the branches."""
    end = len(row.context)
    positions, segments = list(range(n_prefix, end)), [0] * (end - n_prefix)
    for number, branch in enumerate(row.branches, start=1):
        positions += range(end, end + len(branch))
        segments += [number] * len(branch)
    return positions, segments

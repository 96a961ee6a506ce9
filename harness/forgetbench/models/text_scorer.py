"""Log-likelihoods of tokens: shared contexts, behind shared prefixes, in batches of a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from forgetbench.models.branches import Row, Tokens, pack, separate_rows, shared_rows
from forgetbench.models.families import masks_of
from forgetbench.models.masks import attention_mask
from forgetbench.models.memory import free_memory, is_out_of_memory
from forgetbench.models.prefix import Prefix, group_by_prefix
from forgetbench.models.weights import learned_prompt

TOKEN_BUDGET = 512
"""Tokens of a forward pass, padding included: the fastest on two cores, see docs/text-engine.md."""
_ATTENTION = ("sdpa", "eager")
"""Implementations of attention that add a mask to their scores."""
_LOGITS_BUDGET = 1 << 25
"""Numbers in the logits of a forward pass: 128 MB in float32."""
_PROJECTION_ROWS = 256
"""Rows of logits that are normalised at a time."""


class Wanted(NamedTuple):
    """What the model is fed, and the tokens that are scored: the last one of them is not fed.

    ``inputs`` is a context of at least one token and all of ``targets`` but the last.
    """

    inputs: Tokens
    targets: Tokens

    @property
    def context(self) -> Tokens:
        """What stands before the scored tokens."""
        return self.inputs[: len(self.inputs) - len(self.targets) + 1]


class TokenScores(NamedTuple):
    """Natural-log probability of each scored token, and whether it is the likeliest; shape (tokens,)."""

    logprobs: Tensor
    is_greedy: Tensor


class TextScorer:
    """Scores tokens by a causal language model of transformers.

    Args:
        model: In eval mode, on its device.

    Attributes:
        shares_contexts: Continuations of one context are branches of one row, and common prefixes are
            computed once; else every different input is a row of its own.
        token_budget: Halved where memory runs out.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        learned = learned_prompt(model)
        self._n_learned = learned or 0
        can_mask = learned is None and getattr(model.config, "_attn_implementation", "") in _ATTENTION
        self._masks = masks_of(model.config.to_dict()) if can_mask else None
        self._prefix = Prefix(self._extend)
        self._last_context: Tokens = (0,)
        self.shares_contexts = self._masks is not None
        self.token_budget = TOKEN_BUDGET

    @torch.inference_mode()
    def score(self, wanted: Sequence[Wanted]) -> list[TokenScores]:
        """Score a batch of any size, in order.

        Raises:
            RuntimeError: Not even one row fits into memory.
        """
        pairs = [(each.context, each.targets[:-1]) for each in wanted]
        rows, of_request = (shared_rows if self.shares_contexts else separate_rows)(pairs)
        asked: dict[int, list[int]] = {id(row): [] for row in rows}
        for i, row in enumerate(of_request):
            asked[id(row)].append(i)
        scores: dict[int, TokenScores] = {}
        for part, logits in self._forward_all(rows):
            first = 0
            places, owners = [], []
            for row in part:
                for i in asked[id(row)]:
                    own = row.places(pairs[i][1])
                    places += [first + place for place in own]
                    owners += [i] * len(own)
                first += row.n_branch_tokens + 1
            members = list(dict.fromkeys(owners))
            found = _compare(logits, places, [token for i in members for token in wanted[i].targets])
            del logits  # before the next ones are computed
            sizes = [len(wanted[i].targets) for i in members]
            split = zip(members, *(torch.split(each, sizes) for each in found), strict=True)
            scores |= {i: TokenScores(logprobs, is_greedy) for i, logprobs, is_greedy in split}
        return [scores[i] for i in range(len(wanted))]

    def forget(self) -> None:
        """Free the memory of the prefix that is kept for the next batch."""
        self._prefix.forget()
        self._last_context = (0,)

    def _forward_all(self, rows: Sequence[Row]) -> Iterator[tuple[list[Row], Tensor]]:
        """Yield rows that were computed together, and the logits at their scored positions."""
        if not self.shares_contexts:
            yield from self._forward_in_parts(rows, 0, None)
            return
        # The last batch's context stands in for those to come: a prefix may pay only from batch to batch.
        contexts = [self._last_context, *(row.context for row in rows)]
        self._last_context = contexts[-1]
        for group in group_by_prefix(contexts):
            members = [rows[i - 1] for i in group.members if i > 0]
            if members:
                head = contexts[group.members[0]][: group.n_shared]
                n_prefix, cache = self._prefix.share(head, n_rows=len(group.members))
                yield from self._forward_in_parts(members, n_prefix, cache)

    def _forward_in_parts(
        self, rows: Sequence[Row], n_prefix: int, cache: Cache | None
    ) -> Iterator[tuple[list[Row], Tensor]]:
        """Cut rows, longest first, by the token budget; where memory runs out, halve it and go on."""
        left = sorted(rows, key=len, reverse=True)
        while left:
            part = left[: self._n_within_budget(left, n_prefix)]
            logits = self._forward_or_halve(part, n_prefix, cache)
            if logits is not None:
                yield part, logits
                del left[: len(part)], logits

    def _n_within_budget(self, rows: Sequence[Row], n_prefix: int) -> int:
        """Return how many of the rows, which begin with the longest, are computed together: at least one."""
        width = len(rows[0]) - n_prefix
        n_rows = max(1, self.token_budget // width)
        n_logits = 0
        for n, row in enumerate(rows[:n_rows]):
            n_logits += (row.n_branch_tokens + 1) * int(self._model.config.get_text_config().vocab_size)
            if n and n_logits > _LOGITS_BUDGET:
                return n
        return n_rows

    def _forward_or_halve(self, part: Sequence[Row], n_prefix: int, cache: Cache | None) -> Tensor | None:
        try:
            return self._forward(part, n_prefix, cache)
        except RuntimeError as error:
            if len(part) == 1 or not is_out_of_memory(error):
                raise
        self.token_budget = max(1, len(part) * (len(part[0]) - n_prefix) // 2)
        free_memory()
        return None

    def _forward(self, part: Sequence[Row], n_prefix: int, cache: Cache | None) -> Tensor:
        """Return the logits from each context's last token on, row after row: (positions, vocabulary)."""
        device = self._model.device
        packed = pack(part, n_prefix=n_prefix)
        inputs: dict[str, Any] = {"input_ids": packed.ids.to(device)}
        if cache is not None or any(row.is_branched for row in part):
            assert self._masks is not None
            inputs["position_ids"] = packed.positions.to(device)
            inputs["past_key_values"] = cache
            inputs["attention_mask"] = attention_mask(packed, self._masks, self._model, n_prefix=n_prefix)
        # Else no mask: rows are padded on the right, where no causal attention reaches.
        ends = [(len(row.context) - 1 - n_prefix, len(row) - n_prefix) for row in part]
        columns = self._n_learned + torch.cat([torch.arange(*each) for each in ends])
        rows = torch.repeat_interleave(torch.arange(len(part)), torch.tensor([b - a for a, b in ends]))
        with self._project_only(rows, columns) as is_reduced:
            logits: Tensor = self._model(**inputs, use_cache=cache is not None).logits
        return logits[0] if is_reduced else logits[rows.to(logits.device), columns.to(logits.device)]

    def _extend(self, tokens: Tokens, cache: DynamicCache) -> None:
        """Run tokens through the model behind a cache, which takes up their keys and values."""
        assert self._masks is not None
        device, n_before = self._model.device, cache.get_seq_length()
        row = Row(context=(*[0] * n_before, *tokens))
        packed = pack([row], n_prefix=n_before)
        one = torch.zeros(1, dtype=torch.long)
        with self._project_only(one, one):
            self._model(
                input_ids=packed.ids.to(device),
                position_ids=packed.positions.to(device),
                attention_mask=attention_mask(packed, self._masks, self._model, n_prefix=n_before),
                past_key_values=cache,
                use_cache=True,
            )

    @contextmanager
    def _project_only(self, rows: Tensor, columns: Tensor) -> Iterator[bool]:
        """Hand only these positions to the output projection; soft caps and scales after it are per logit."""
        projection = self._model.get_output_embeddings()
        if projection is None:
            yield False
            return

        def reduce(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
            hidden = args[0]
            return (hidden[rows.to(hidden.device), columns.to(hidden.device)].unsqueeze(0),)

        handle = projection.register_forward_pre_hook(reduce)
        try:
            yield True
        finally:
            handle.remove()


def _compare(logits: Tensor, places: Sequence[int], targets: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the float32 log-probability of targets at places, and whether they are the likeliest there.

    Each place is normalised once, however many targets it has, and by the kernel that lm-eval uses: another
    one differs from it by up to 1e-4 over a long answer.
    """
    at = torch.tensor(places, device=logits.device)
    wanted = torch.tensor(targets, device=logits.device)
    logprobs = torch.empty(len(at), device=logits.device)
    is_greedy = torch.empty(len(at), dtype=torch.bool, device=logits.device)
    for first in range(0, len(logits), _PROJECTION_ROWS):
        part = logits[first : first + _PROJECTION_ROWS]
        here = (at >= first) & (at < first + len(part))
        rows = at[here] - first
        logprobs[here] = torch.log_softmax(part.float(), dim=-1)[rows, wanted[here]]
        is_greedy[here] = part.argmax(dim=-1)[rows] == wanted[here]
    return logprobs.cpu(), is_greedy.cpu()

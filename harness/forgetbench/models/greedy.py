"""Greedy decoding in batches: padded on the left, keys and values cached, finished rows taken out.

The tokens are those of ``generate`` in transformers. Architectures that are not in ``models/families.py`` go
through ``generate`` itself, which carries finished rows along to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from forgetbench.models.families import masks_of
from forgetbench.models.finite import FiniteLogits, check_finite
from forgetbench.models.interface import Draw
from forgetbench.models.memory import free_memory, is_out_of_memory
from forgetbench.models.seeded_sampling import SeededSampling
from forgetbench.models.weights import learned_prompt


@dataclass(kw_only=True)
class Decoding:
    """A prompt, and what came of it.

    Attributes:
        prompt: Its tokens, at least one.
        stop: Strings that end it.
        draw: How tokens are drawn; None for the likeliest. Of one batch, all draw or none.
        new: New tokens: the one that ended it is among them.
    """

    prompt: list[int]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    draw: Draw | None = None
    new: list[int] = field(default_factory=list)


class GreedyDecoder:
    """Continues prompts by the likeliest token, or as each draw says.

    Args:
        model: In eval mode, on its device, its generation config greedy.
        tokenizer: Its tokenizer.
        ends: Tokens that end a text.
        pad: Token that fills rows.
    """

    def __init__(self, model: Any, tokenizer: Any, *, ends: Sequence[int], pad: int) -> None:
        self._model, self._tokenizer, self._ends, self._pad = model, tokenizer, frozenset(ends), pad
        self._compacts = learned_prompt(model) is None and masks_of(model.config.to_dict()) is not None
        supports = getattr(model, "_supports_logits_to_keep", None)
        self._last_only = {"logits_to_keep": 1} if supports is not None and supports() else {}

    @torch.inference_mode()
    def decode(self, asked: Sequence[Decoding]) -> None:
        """Fill ``new`` of each. Where memory runs out, each half of the batch goes alone.

        Raises:
            RuntimeError: Not even one row fits into memory.
            SampleError: ``nonfinite_score``: logits of a row are NaN or infinite.
        """
        try:
            (self._decode if self._compacts else self._generate)(asked)
            return
        except RuntimeError as error:
            if len(asked) == 1 or not is_out_of_memory(error):
                raise
        free_memory()
        for each in asked:
            each.new.clear()
        self.decode(asked[: len(asked) // 2])
        self.decode(asked[len(asked) // 2 :])

    def _decode(self, asked: Sequence[Decoding]) -> None:
        live = list(asked)
        ids, seen = self._padded(live)
        positions = (seen.cumsum(dim=1) - 1).clamp(min=0)
        cache = DynamicCache(config=self._model.config)
        sampling = _sampling(live)
        while live:
            logits = self._model(
                input_ids=ids,
                attention_mask=seen,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                **self._last_only,
            ).logits
            scores = logits[:, -1].float()
            check_finite(scores)
            tokens = (sampling(ids, scores) if sampling else scores).argmax(dim=-1)
            for each, token in zip(live, tokens.tolist(), strict=True):
                each.new.append(token)
            kept = [i for i, each in enumerate(live) if not self._is_done(each)]
            if len(kept) < len(live) and kept:
                rows = torch.tensor(kept, device=tokens.device)
                cache.batch_select_indices(rows)
                tokens, seen, positions = tokens[rows], seen[rows], positions[rows]
                if sampling:
                    sampling.keep(kept)
            live = [live[i] for i in kept]
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)

    def _generate(self, asked: Sequence[Decoding]) -> None:
        from transformers import LogitsProcessorList, StoppingCriteriaList

        ids, seen = self._padded(asked)
        sampling = _sampling(asked)

        def step(input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
            for each, row in zip(asked, input_ids.tolist(), strict=True):
                if not self._is_done(each):
                    each.new.append(row[-1])
            return torch.tensor([self._is_done(each) for each in asked], device=input_ids.device)

        self._model.generate(
            input_ids=ids,
            attention_mask=seen,
            max_new_tokens=max(each.max_new_tokens for each in asked),
            stopping_criteria=StoppingCriteriaList([step]),
            logits_processor=LogitsProcessorList([FiniteLogits(), *([sampling] if sampling else [])]),
        )

    def _padded(self, asked: Sequence[Decoding]) -> tuple[Tensor, Tensor]:
        """Return prompts padded on the left, and a mask that is 0 where they are; shape (rows, columns)."""
        width = max(len(each.prompt) for each in asked)
        gaps = [width - len(each.prompt) for each in asked]
        ids = [[self._pad] * gap + each.prompt for gap, each in zip(gaps, asked, strict=True)]
        seen = [[0] * gap + [1] * (width - gap) for gap in gaps]
        return torch.tensor(ids, device=self._model.device), torch.tensor(seen, device=self._model.device)

    def _is_done(self, each: Decoding) -> bool:
        """Tell whether the end token, the limit or a stop string was reached."""
        if not each.new:
            return False
        return each.new[-1] in self._ends or len(each.new) >= each.max_new_tokens or self._has_stop(each)

    def _has_stop(self, each: Decoding) -> bool:
        if not any(each.stop):
            return False
        # A token is at least one byte, but for special ones: twice the longest stop string is far enough.
        n_tail = 2 * max(len(stop.encode()) for stop in each.stop) + 2
        text = self._tokenizer.decode(
            each.new[-n_tail:], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return any(stop in text for stop in each.stop if stop)


def _sampling(asked: Sequence[Decoding]) -> SeededSampling | None:
    draws = [each.draw for each in asked if each.draw is not None]
    return SeededSampling(draws) if draws else None

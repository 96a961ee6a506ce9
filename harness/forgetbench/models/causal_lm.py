"""Causal language models through transformers, with lm-eval's tokenisation and numbers.

Tokens, truncation and log-likelihoods are those of lm-eval 0.4.13's ``hf`` backend, so that a score here is
the score there. Only scored positions go through the vocabulary projection, and requests of a batch that
have a context in common share its computation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from forgetbench.errors import CheckpointError
from forgetbench.models.branches import CHECKED, additive, pack
from forgetbench.models.component import Component
from forgetbench.models.directory import tokenizer_path
from forgetbench.models.distributions import Positions, read_tokens, rolling_windows
from forgetbench.models.interface import (
    GenerateRequest,
    Loglikelihood,
    Output,
    ScoreRequest,
    TokenWindow,
)
from forgetbench.models.seeded_sampling import SeededSampling
from forgetbench.models.weights import load_weights
from forgetbench.schema.run import LoadSettings

_N_FIRST_TOKENS = 16
_UNLIMITED_WINDOW = 2048
_ABSENT_WINDOW = 10**18
"""Tokenizers that set no limit say 10^30."""
_PROJECTION_ROWS = 512
"""Rows of logits that are turned into float32 at a time."""
_TEMPLATE_DATE = "26 Jul 2024"
"""What templates that print today's date are told (Llama 3's default), so that a run can be repeated."""


class Encoded(NamedTuple):
    """A request in tokens: what the model is fed, and what it is scored on."""

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    truncated: bool


class CausalLM:
    """A ``TextModel`` over ``AutoModelForCausalLM``.

    Args:
        model: In eval mode, on its device.
        tokenizer: Its tokenizer.

    Attributes:
        window: Longest input in tokens.
        shares_contexts: Continuations of one context are branches of one row, see ``models/branches.py``.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        eos = getattr(model.generation_config, "eos_token_id", None)
        ends = [*(eos if isinstance(eos, list) else [eos]), tokenizer.eos_token_id]
        self._ends = tuple(sorted({int(end) for end in ends if end is not None}))
        pad = next(
            (t for t in (tokenizer.pad_token_id, tokenizer.eos_token_id, *self._ends) if t is not None), 0
        )
        self._pad = int(pad)
        self.window = _window(model.config, tokenizer)
        architectures = getattr(model.config, "architectures", None) or ()
        attention = getattr(model.config, "_attn_implementation", "")
        self.shares_contexts = bool(CHECKED.intersection(architectures)) and attention in ("sdpa", "eager")
        self._neutralise_generation()

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> CausalLM:
        """Load a component of role ``lm``; ``merge`` as for ``load_weights``.

        Raises:
            CheckpointError: Weights or tokenizer cannot be loaded.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = tokenizer_path(component)
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        except Exception as error:
            raise CheckpointError(
                str(path),
                "has no tokenizer that can be loaded",
                "Save it with tokenizer.save_pretrained(DIRECTORY).",
            ) from error
        return cls(load_weights(AutoModelForCausalLM, component, settings, merge=merge), tokenizer)

    @property
    def chat_template(self) -> str | None:
        """Jinja source of the tokenizer's chat template."""
        template = self.tokenizer.chat_template
        return template.get("default") if isinstance(template, dict) else template

    def render_chat(self, user: str, *, template: str | None = None) -> str | None:
        """Return ``user`` as one user turn under the chat template, ready for the assistant's answer.

        Raises:
            CheckpointError: The template fails.
        """
        source = template if template is not None else self.chat_template
        if source is None:
            return None
        try:
            rendered = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": user}],
                chat_template=source,
                tokenize=False,
                add_generation_prompt=True,
                date_string=_TEMPLATE_DATE,
            )
        except Exception as error:  # a template may raise anything
            raise CheckpointError(
                "chat template", f"failed ({error})", "Try --chat-template none."
            ) from error
        return cast(str, rendered)

    def first_token_ids(self, text: str, *, rendered: bool) -> tuple[int, ...]:
        """Return the first 16 token ids of a prompt as the model would see it."""
        return tuple(self._encode(text, rendered=rendered)[:_N_FIRST_TOKENS])

    @torch.inference_mode()
    def score_text(self, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        """Score one batch, in order. A continuation of no tokens has log-probability 0."""
        encoded = [self._encode_request(request) for request in requests]
        scored = [e for e in encoded if e.targets]
        if not scored:
            return [_score(e, None, None) for e in encoded]
        logits = self._logits(scored)
        targets = torch.tensor([t for e in scored for t in e.targets], device=logits.device)
        logprobs, greedy = _compare(logits, targets)
        sizes = [len(e.targets) for e in encoded]
        return [
            _score(e, *parts)
            for e, *parts in zip(
                encoded, torch.split(logprobs, sizes), torch.split(greedy, sizes), strict=True
            )
        ]

    def tokenise(self, request: ScoreRequest, *, window: int) -> list[TokenWindow]:
        """Cut a continuation, after its context, into windows that read at most ``window`` tokens."""
        return list(rolling_windows(*self._split(request), window))

    def predict_tokens(self, window: TokenWindow) -> Positions:
        """Read one window."""
        return read_tokens(self.model, window)

    @torch.inference_mode()
    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        """Continue each prompt, greedily or as its draw says; the text ends before the first stop string.

        A prompt that leaves no room for new tokens is cut on the left, and its output counts as truncated.
        """
        from transformers import LogitsProcessorList, StoppingCriteriaList

        if not requests:
            return []
        room = max(1, self.window - max(request.max_new_tokens for request in requests))
        encoded = [
            self._encode(request.prompt, rendered=request.rendered) or [self._prefix] for request in requests
        ]
        prompts = [tokens[-room:] for tokens in encoded]
        width = max(map(len, prompts))
        ids = torch.tensor([[self._pad] * (width - len(p)) + p for p in prompts], device=self.model.device)
        mask = torch.tensor(
            [[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.model.device
        )
        ends = _EndOfEach(requests, self.tokenizer, width)
        new_tokens = max(request.max_new_tokens for request in requests)
        draws = [request.draw for request in requests if request.draw is not None]
        output = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=new_tokens,
            stopping_criteria=StoppingCriteriaList([ends]),
            logits_processor=LogitsProcessorList([SeededSampling(draws)] if draws else []),
        )
        cut = [len(tokens) > room for tokens in encoded]
        rows = output[:, width:].tolist()
        rows = [row[:n] for row, n in zip(rows, ends.n_new, strict=True)]
        return [self._output(*each) for each in zip(requests, rows, cut, strict=True)]

    def _output(self, request: GenerateRequest, tokens: list[int], cut: bool) -> Output:
        added = self.tokenizer.get_added_vocab()
        ends = {*self._ends, *(added[stop] for stop in request.stop if stop in added)}
        end = next((i for i, token in enumerate(tokens) if token in ends), None)
        text = self._decode(tokens[:end])
        stops = [place for stop in request.stop if stop and (place := text.find(stop)) >= 0]
        return Output(
            text=text[: min(stops)] if stops else text,
            n_tokens=len(tokens[:end]),
            truncated=cut or (end is None and not stops),
        )

    def _encode_request(self, request: ScoreRequest) -> Encoded:
        """Return lm-eval's tokens: ``TemplateLM._encode_pair`` and the truncation of ``HFLM``."""
        context, continuation = self._split(request)
        truncated = len(continuation) > self.window or len(context) + len(continuation) > self.window + 1
        targets = continuation[-self.window :]
        inputs = (context + continuation)[-(self.window + 1) :][:-1]
        return Encoded(tuple(inputs), tuple(targets), truncated)

    def _split(self, request: ScoreRequest) -> tuple[list[int], list[int]]:
        context, continuation, rendered = request.context, request.continuation, request.rendered
        if context == "":
            tokens = self._encode(continuation, rendered=True)
            return (tokens[:1], tokens[1:]) if tokens[:1] == [self._prefix] else ([self._prefix], tokens)
        n_kept = len(context.rstrip())
        context, continuation = context[:n_kept], context[n_kept:] + continuation
        whole = self._encode(context + continuation, rendered=rendered)
        before = self._encode(context, rendered=rendered)
        after = whole[len(before) :]
        if not after and request.continuation:  # it melted into the context's last token: lm-eval stops here
            before, after = whole[:-1], whole[-1:]
        return before or [self._prefix], after

    def _encode(self, text: str, *, rendered: bool) -> list[int]:
        """Return token ids; special tokens are added unless the text has them: rendered, or begun by BOS."""
        plain = rendered or text.startswith(self.tokenizer.decode(self._prefix))
        return list(self.tokenizer.encode(text, **({"add_special_tokens": False} if plain else {})))

    def _decode(self, tokens: list[int]) -> str:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return cast(str, text)

    @property
    def _prefix(self) -> int:
        """The token that an empty context is replaced by."""
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return int(bos if bos is not None else eos if eos is not None else self._pad)

    def _logits(self, scored: list[Encoded]) -> Tensor:
        """Return the logits at the scored positions, request after request: shape (positions, vocabulary)."""
        inputs, places = self._shared_rows(scored) if self.shares_contexts else self._separate_rows(scored)
        rows, columns = torch.tensor(places, device=self.model.device).T
        with self._project_only(rows, columns) as is_reduced:
            logits: Tensor = self.model(**inputs, use_cache=False).logits
        return logits[0] if is_reduced else logits[rows, columns]

    def _shared_rows(self, scored: list[Encoded]) -> tuple[dict[str, Tensor], list[tuple[int, int]]]:
        """Return model inputs with one row per context, and the place that predicts each scored token."""
        packed = pack([(e.inputs[: len(e.inputs) - len(e.targets) + 1], e.targets) for e in scored])
        device = self.model.device
        inputs = {
            "input_ids": packed.ids.to(device),
            "position_ids": packed.positions.to(device),
            "attention_mask": additive(packed.visible, self.model.dtype).to(device),
        }
        return inputs, [place for branch in packed.branches for place in branch.places]

    def _separate_rows(self, scored: list[Encoded]) -> tuple[dict[str, Tensor], list[tuple[int, int]]]:
        """Return model inputs with one row per different input, and the place that predicts each token.

        Inputs are padded on the right, where no causal attention reaches: no mask is needed.
        """
        rows = {inputs: row for row, inputs in enumerate(dict.fromkeys(e.inputs for e in scored))}
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=self.model.device)
        firsts = [(rows[e.inputs], len(e.inputs) - len(e.targets), len(e.targets)) for e in scored]
        return {"input_ids": ids}, [(row, first + i) for row, first, n in firsts for i in range(n)]

    @contextmanager
    def _project_only(self, rows: Tensor, columns: Tensor) -> Iterator[bool]:
        """Hand only these positions to the output projection; soft caps and scales after it are per logit."""
        projection = self.model.get_output_embeddings()
        if projection is None:
            yield False
            return
        handle = projection.register_forward_pre_hook(lambda _, args: (args[0][rows, columns].unsqueeze(0),))
        try:
            yield True
        finally:
            handle.remove()

    def _neutralise_generation(self) -> None:
        """Greedy for both arms: a checkpoint's own penalties and sampling would count as forgetting."""
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            use_cache=True,
            pad_token_id=self._pad,
            eos_token_id=list(self._ends) or None,
            bos_token_id=self.tokenizer.bos_token_id,
        )


class _EndOfEach:
    """Stopping criterion, row by row: a stop string has appeared, or the request's own limit is reached."""

    def __init__(self, requests: Sequence[GenerateRequest], tokenizer: Any, n_prompt: int) -> None:
        self._requests, self._tokenizer, self._n_prompt = requests, tokenizer, n_prompt
        # A token is at least one byte, but for special ones: twice the longest stop string is far enough.
        self._n_tail = [2 * max((len(s.encode()) for s in r.stop), default=0) + 2 for r in requests]
        self.n_new: list[int | None] = [None] * len(requests)
        """How many new tokens each row had when it was done."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        n_new = input_ids.shape[1] - self._n_prompt
        for row, request in enumerate(self._requests):
            if self.n_new[row] is None and (
                n_new >= request.max_new_tokens or self._has_stop(row, request, input_ids, n_new)
            ):
                self.n_new[row] = n_new
        return torch.tensor([n is not None for n in self.n_new], device=input_ids.device)

    def _has_stop(self, row: int, request: GenerateRequest, input_ids: Tensor, n_new: int) -> bool:
        if not any(request.stop):
            return False
        tail = input_ids[row, -min(n_new, self._n_tail[row]) :].tolist()
        text = self._tokenizer.decode(tail, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return any(stop in text for stop in request.stop if stop)


def _window(config: Any, tokenizer: Any) -> int:
    """Return the longest input in tokens, looked up where lm-eval looks it up."""
    text = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (value := getattr(text, name, None)) is not None:
            return int(value)
    longest = int(getattr(tokenizer, "model_max_length", None) or _UNLIMITED_WINDOW)
    return longest if longest < _ABSENT_WINDOW else _UNLIMITED_WINDOW


def _compare(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return each target's float32 log-probability, and whether it is the likeliest; shape (positions,)."""
    logprobs, greedy = [], []
    parts = torch.split(logits, _PROJECTION_ROWS), torch.split(targets, _PROJECTION_ROWS)
    for part, wanted in zip(*parts, strict=True):
        normalised = torch.log_softmax(part.float(), dim=-1)
        logprobs.append(normalised.gather(1, wanted[:, None])[:, 0])
        greedy.append(part.argmax(dim=-1) == wanted)
    return torch.cat(logprobs).cpu(), torch.cat(greedy).cpu()


def _score(encoded: Encoded, logprobs: Tensor | None, greedy: Tensor | None) -> Loglikelihood:
    return Loglikelihood(
        logprob=float(logprobs.sum()) if logprobs is not None else 0.0,
        is_greedy=bool(greedy.all()) if greedy is not None else True,
        n_tokens=len(encoded.targets),
        truncated=encoded.truncated,
    )

"""Causal language models through transformers, with lm-eval's tokenisation and numbers.

Tokens, truncation and log-likelihoods are those of lm-eval 0.4.13's ``hf`` backend, so that a score here is
the score there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Component
from forgetbench.models.directory import tokenizer_path
from forgetbench.models.distributions import Positions, read_tokens, rolling_windows
from forgetbench.models.greedy import Decoding, GreedyDecoder
from forgetbench.models.interface import (
    GenerateRequest,
    Loglikelihood,
    Output,
    ScoreRequest,
    TokenWindow,
)
from forgetbench.models.resident_base import ResidentBase, weights_of
from forgetbench.models.text_scorer import TextScorer, TokenScores, Wanted
from forgetbench.models.weights import without_adapter
from forgetbench.schema.run import LoadSettings

_N_FIRST_TOKENS = 16
_UNLIMITED_WINDOW = 2048
_ABSENT_WINDOW = 10**18
"""Tokenizers that set no limit say 10^30."""
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
        scorer: What scores tokens.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        eos = getattr(model.generation_config, "eos_token_id", None)
        ends = [*(eos if isinstance(eos, list) else [eos]), tokenizer.eos_token_id]
        self._ends = tuple(sorted({int(end) for end in ends if end is not None}))
        pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, *self._ends)
        n_embedded = len(model.get_input_embeddings().weight)  # a tokenizer may name a token beyond
        self._pad = next((int(t) for t in pads if t is not None and t < n_embedded), 0)
        self.window = _window(model.config, tokenizer)
        self.scorer = TextScorer(model)
        self._neutralise_generation()

    @classmethod
    def load(
        cls,
        component: Component,
        settings: LoadSettings,
        *,
        merge: bool = True,
        resident: ResidentBase | None = None,
    ) -> CausalLM:
        """Load a component of role ``lm``; on a base that stays loaded, where ``resident`` is given.

        ``merge`` as for ``load_weights``, without ``resident``.

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
        model = weights_of(AutoModelForCausalLM, component, settings, merge=merge, resident=resident)
        if settings.compile:
            # The layers alone: which positions are projected changes from batch to batch.
            without_adapter(model).base_model.compile(dynamic=True)
        return cls(model, tokenizer)

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
        return tuple(self.encode(text, rendered=rendered)[:_N_FIRST_TOKENS])

    def score_text(self, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        """Score a batch of any size, in order. A continuation of no tokens has log-probability 0."""
        encoded = self._encode_requests(requests)
        scores = iter(self.scorer.score([Wanted(e.inputs, e.targets) for e in encoded if e.targets]))
        return [_score(each, next(scores) if each.targets else None) for each in encoded]

    def score_documents(self, texts: Sequence[str]) -> list[Loglikelihood]:
        """Score whole texts, in order: lm-eval's rolling log-likelihood.

        Each token is predicted once, the first from the token that stands for an empty context; a text longer
        than the window is cut, and what follows sees a full window before it.
        """
        windows = [self._windows(self.encode(text, rendered=False)) for text in texts]
        scores = iter(self.scorer.score([window for each in windows for window in each]))
        return [_document(each, [next(scores) for _ in each]) for each in windows]

    def tokenise(self, request: ScoreRequest, *, window: int) -> list[TokenWindow]:
        """Cut a continuation, after its context, into windows that read at most ``window`` tokens."""
        return list(rolling_windows(*self._split(request, self.encode), window))

    def predict_tokens(self, window: TokenWindow) -> Positions:
        """Read one window."""
        return read_tokens(self.model, window)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        """Continue each prompt, greedily or as its draw says; the text ends before the first stop string.

        A prompt that leaves no room for new tokens is cut on the left, and its output counts as truncated; so
        does one that would go on beyond the window, where it ends.
        """
        if not requests:
            return []
        asked, cut = [], []
        for request in requests:
            tokens = self.encode(request.prompt, rendered=request.rendered) or [self.prefix_token]
            room = max(1, self.window - request.max_new_tokens)
            cut.append(len(tokens) > room)
            asked.append(
                Decoding(
                    prompt=tokens[-room:],
                    max_new_tokens=min(request.max_new_tokens, max(1, self.window - min(len(tokens), room))),
                    stop=request.stop,
                    draw=request.draw,
                )
            )
        GreedyDecoder(self.model, self.tokenizer, ends=self._ends, pad=self._pad).decode(asked)
        return [
            self._output(request, each.new, is_cut)
            for request, each, is_cut in zip(requests, asked, cut, strict=True)
        ]

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

    def _windows(self, tokens: list[int]) -> list[Wanted]:
        """Cut a text as ``get_rolling_token_windows`` of lm-eval does, with a context of one token."""
        whole = (self.prefix_token, *tokens)
        ends = [*range(self.window, len(tokens), self.window), len(tokens)] if tokens else []
        found, start = [], 0
        for end in ends:
            # Place t of the text is place t + 1 of ``whole``: the last target is not fed.
            found.append(Wanted(whole[max(0, end - self.window) : end], tuple(tokens[start:end])))
            start = end
        return found

    def _encode_requests(self, requests: Sequence[ScoreRequest]) -> list[Encoded]:
        """Return lm-eval's tokens: ``TemplateLM._encode_pair`` and the truncation of ``HFLM``."""
        encode = cache(self.encode)  # a context comes with several continuations
        return [self._cut(*self._split(request, encode)) for request in requests]

    def _cut(self, context: list[int], continuation: list[int]) -> Encoded:
        truncated = len(continuation) > self.window or len(context) + len(continuation) > self.window + 1
        targets = continuation[-self.window :]
        inputs = (context + continuation)[-(self.window + 1) :][:-1]
        return Encoded(tuple(inputs), tuple(targets), truncated)

    def _split(self, request: ScoreRequest, encode: Callable[..., list[int]]) -> tuple[list[int], list[int]]:
        context, continuation, rendered = request.context, request.continuation, request.rendered
        if context == "":
            tokens = encode(continuation, rendered=True)
            return (
                (tokens[:1], tokens[1:])
                if tokens[:1] == [self.prefix_token]
                else ([self.prefix_token], tokens)
            )
        n_kept = len(context.rstrip())
        context, continuation = context[:n_kept], context[n_kept:] + continuation
        whole = encode(context + continuation, rendered=rendered)
        before = encode(context, rendered=rendered)
        after = whole[len(before) :]
        if not after and request.continuation:  # it melted into the context's last token: lm-eval stops here
            before, after = whole[:-1], whole[-1:]
        return before or [self.prefix_token], after

    def encode(self, text: str, *, rendered: bool) -> list[int]:
        """Return token ids; special tokens are added unless the text has them: rendered, or begun by BOS."""
        plain = rendered or text.startswith(self.tokenizer.decode(self.prefix_token))
        return list(self.tokenizer.encode(text, **({"add_special_tokens": False} if plain else {})))

    def _decode(self, tokens: list[int]) -> str:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return cast(str, text)

    @property
    def prefix_token(self) -> int:
        """The token that an empty context is replaced by."""
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return int(bos if bos is not None else eos if eos is not None else self._pad)

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


def _window(config: Any, tokenizer: Any) -> int:
    """Return the longest input in tokens, looked up where lm-eval looks it up."""
    text = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (value := getattr(text, name, None)) is not None:
            return int(value)
    longest = int(getattr(tokenizer, "model_max_length", None) or _UNLIMITED_WINDOW)
    return longest if longest < _ABSENT_WINDOW else _UNLIMITED_WINDOW


def _score(encoded: Encoded, scores: TokenScores | None) -> Loglikelihood:
    return Loglikelihood(
        logprob=float(scores.logprobs.sum()) if scores is not None else 0.0,
        is_greedy=bool(scores.is_greedy.all()) if scores is not None else True,
        n_tokens=len(encoded.targets),
        truncated=encoded.truncated,
    )


def _document(windows: Sequence[Wanted], scores: Sequence[TokenScores]) -> Loglikelihood:
    return Loglikelihood(
        logprob=sum(float(each.logprobs.sum()) for each in scores),
        is_greedy=all(bool(each.is_greedy.all()) for each in scores),
        n_tokens=sum(len(each.targets) for each in windows),
    )

"""Our text engine as a model of lm-eval: ``--model forgetbench``.

Importing this module registers it. Tokens, truncation and log-likelihoods are those of lm-eval's ``hf``
backend; generation is greedy, whatever a checkpoint's generation config says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from jinja2 import TemplateError
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from tqdm import tqdm

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import GenerateRequest, ScoreRequest
from forgetbench.models.load import load
from forgetbench.models.text_scorer import Wanted
from forgetbench.schema.run import LoadSettings

_N_SCORED = 2048
"""Requests that are scored between two steps of the progress bar."""
_N_GENERATED = 16
"""Prompts that are continued together, where no batch size is given."""
_GREEDY = "The forgetbench model generates greedily."
_ASKED = {"until", "max_gen_toks"}
_SAMPLING = {"do_sample", "temperature", "top_p", "top_k", "min_p"}
"""Without effect on greedy text."""
_NEUTRAL = {"num_beams": 1, "repetition_penalty": 1, "no_repeat_ngram_size": 0, "use_cache": True}
"""Values at which a setting has none."""

Answer = TypeVar("Answer")


def beyond_greedy(settings: Mapping[str, Any]) -> list[str]:
    """Return which of lm-eval's settings of generation change an answer and are not in greedy search.

    Args:
        settings: As ``normalize_gen_kwargs`` returns them.
    """
    plain = _ASKED | _SAMPLING | {name for name, value in settings.items() if _NEUTRAL.get(name) == value}
    drawn = ["do_sample"] if settings.get("do_sample") else []
    return drawn + sorted(settings.keys() - plain)


def _present(device: str | None) -> str:
    import torch

    if device is None or (device.startswith("cuda") and not torch.cuda.is_available()):
        return "cpu"
    return device


@register_model("forgetbench")
class ForgetbenchLM(TemplateLM):  # type: ignore[misc]  # lm-eval is untyped here
    """lm-eval's ``LM`` interface over :class:`CausalLM`.

    Args:
        pretrained: A causal language model by any name that ``forgetbench run --model`` takes, adapters among
            them; or a loaded one.
        batch_size: Prompts that are continued together; 16 for ``auto``. Scoring cuts its batches by tokens.
        max_batch_size: Taken as lm-eval gives it, and not used.
        device: As for torch; None for the CPU. A CUDA device where torch has none is the CPU, as in lm-eval's
            ``hf``: its command line says ``cuda:0`` where nothing is said.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        arguments: Others that lm-eval's ``hf`` backend knows are refused by name.

    Raises:
        UsageError: The checkpoint is no causal language model, or an argument is not known.
    """

    def __init__(
        self,
        pretrained: str | CausalLM,
        *,
        batch_size: int | str = _N_GENERATED,
        max_batch_size: int | None = None,
        device: str | None = None,
        dtype: str = "float32",
        **arguments: Any,
    ) -> None:
        super().__init__()
        if arguments:
            known = "pretrained, dtype, device and batch_size"
            raise UsageError(f"--model_args {min(arguments)}", "is not known", f"Known are {known}.")
        self.batch_size = int(batch_size) if str(batch_size).isdecimal() else _N_GENERATED
        self._name = pretrained if isinstance(pretrained, str) else "a loaded model"
        self._settings = LoadSettings(device=_present(device), dtype=dtype)
        self._fingerprint = ""
        self.model = self._load(pretrained) if isinstance(pretrained, str) else pretrained
        self.tokenizer = self.model.tokenizer

    def _load(self, name: str) -> CausalLM:
        component = resolve(name).component_for("score_text")
        model = load(component, self._settings) if component is not None else None
        if component is None or not isinstance(model, CausalLM):
            raise UsageError(
                f"--model_args pretrained={name}",
                "is not a causal language model",
                "Other models go through `forgetbench run`.",
            )
        self._fingerprint = component.fingerprint
        return model

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score continuations: summed log-probability, and whether each token is the likeliest."""

        def score(pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
            asked = [ScoreRequest(context=context, continuation=rest) for context, rest in pairs]
            return [(self._a_number(each.logprob), each.is_greedy) for each in self.model.score_text(asked)]

        # Contexts that begin alike come together, for their prefix is computed once.
        return self._in_batches("loglikelihood", requests, score, size=_N_SCORED, quiet=disable_tqdm)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Score whole texts, see :meth:`CausalLM.score_documents`."""

        def score(texts: Sequence[tuple[str]]) -> list[float]:
            documents = self.model.score_documents([text for (text,) in texts])
            return [self._a_number(each.logprob) for each in documents]

        return self._in_batches(
            "loglikelihood_rolling", requests, score, size=_N_GENERATED, quiet=disable_tqdm
        )

    def _a_number(self, logprob: float) -> float:
        """Return a log-likelihood; lm-eval would take NaN for an answer like any other.

        Raises:
            CheckpointError: It is NaN.
        """
        if math.isnan(logprob):
            raise CheckpointError(
                self._name, "scores text with NaN", "Look for NaN in its weights, or try dtype=float32."
            )
        return logprob

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Continue prompts greedily up to a stop string.

        Raises:
            UsageError: A task asks for sampling, or for another search than the greedy one.
        """

        def generate(pairs: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
            return [each.text for each in self.model.generate([self._request(*pair) for pair in pairs])]

        return self._in_batches(
            "generate_until",
            requests,
            generate,
            size=self.batch_size,
            quiet=disable_tqdm,
            key=lambda arguments: -len(arguments[0]),
        )

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Render a conversation by the tokenizer's chat template, without system turns where it has none."""
        how = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            rendered = self.tokenizer.apply_chat_template(chat_history, **how)
        except TemplateError:  # as lm-eval's hf backend does: Gemma refuses system turns
            heard = [turn for turn in chat_history if turn["role"] != "system"]
            rendered = self.tokenizer.apply_chat_template(heard, **how)
        return cast(str, rendered)

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval keys its cache of requests by."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return cast(int, self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """The token that an empty context is replaced by."""
        return self.model.prefix_token

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return self.model.window

    @property
    def max_gen_toks(self) -> int:
        """How many tokens are generated where a task does not say."""
        return 256

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return the tokens of a text; BOS is added unless the text begins with it."""
        return self.model.encode(string, rendered=add_special_tokens is False)

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm-eval writes into its results file."""
        return {
            "model_num_parameters": int(self.model.model.num_parameters()),
            "model_dtype": str(self.model.model.dtype),
            "model_fingerprint": self._fingerprint,
        }

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        wanted = [
            Wanted(tuple(context + rest)[-(self.max_length + 1) :][:-1], tuple(rest[-self.max_length :]))
            for _, context, rest in requests
        ]
        scores = self.model.scorer.score(wanted)
        return [(float(each.logprobs.sum()), bool(each.is_greedy.all())) for each in scores]

    def _request(self, prompt: str, arguments: dict[str, Any]) -> GenerateRequest:
        settings = normalize_gen_kwargs(arguments, self.max_gen_toks)
        if other := beyond_greedy(settings):
            raise UsageError(other[0], "is not supported", _GREEDY)
        end = self.tokenizer.decode([self.eot_token_id])
        return GenerateRequest(
            prompt=prompt,
            max_new_tokens=int(settings["max_gen_toks"]),
            stop=tuple(handle_stop_sequences(settings.get("until"), eos=end)),
        )

    def _in_batches(
        self,
        kind: str,
        requests: Sequence[Any],
        answer: Callable[[Sequence[Any]], Iterable[Answer]],
        *,
        size: int,
        quiet: bool,
        key: Callable[[tuple[Any, ...]], Any] = lambda arguments: arguments[0],
    ) -> list[Answer]:
        """Answer requests in the order of ``key``, and tell lm-eval's cache of each."""
        found: dict[int, Answer] = {}
        order = sorted(range(len(requests)), key=lambda i: key(requests[i].args))
        with tqdm(total=len(requests), disable=quiet, desc=f"Running {kind} requests") as bar:
            for part in _batched(order, size):
                for i, each in zip(part, answer([requests[i].args for i in part]), strict=True):
                    found[i] = each
                    self.cache_hook.add_partial(kind, requests[i].args, each)
                bar.update(len(part))
        return [found[i] for i in range(len(requests))]


def _batched(values: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (values[i : i + size] for i in range(0, len(values), size))

"""The families of decoders whose requests share contexts; torch is not needed to know them.

The architectures that are named here take a four-dimensional mask and restarted positions. Each was tested,
as a tiny random model, against separate rows and lm-eval's ``hf`` backend; any other is batched plainly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from forgetbench.models.component import Component
from forgetbench.models.fingerprint import read_json

Masks = Literal["full", "sliding", "by_layer"]

CHECKED: dict[str, Masks] = {
    "LlamaForCausalLM": "full",
    "GemmaForCausalLM": "full",
    "PhiForCausalLM": "full",
    "GPTNeoXForCausalLM": "full",
    "GPT2LMHeadModel": "full",
    "OPTForCausalLM": "full",
    "MistralForCausalLM": "sliding",
    "Phi3ForCausalLM": "sliding",
    "Qwen2ForCausalLM": "by_layer",
    "Qwen3ForCausalLM": "by_layer",
    "Gemma2ForCausalLM": "by_layer",
    "Gemma3ForCausalLM": "by_layer",
}
"""Architecture → whether all layers see everything, all slide a window, or each does one of both."""

_ROPE_BY_LENGTH = ("dynamic", "longrope")
"""Rotary embeddings that change with the longest row of a batch, which shared rows are not."""


def masks_of(config: Mapping[str, Any]) -> Masks | None:
    """Return how a model is masked, by its config.json; None where contexts cannot be shared."""
    kinds = {CHECKED.get(str(name)) for name in config.get("architectures") or ()}
    if len(kinds) != 1 or any(_rope_types(config)):
        return None
    return kinds.pop()


def plain_batching(component: Component) -> Iterator[str]:
    """Yield that a language model's contexts are not shared, where that is so."""
    plain = component.base or component
    if (
        "score_text" not in plain.capabilities
        or plain.path is None
        or not (plain.path / "config.json").is_file()
    ):
        return
    if masks_of(read_json(plain.path / "config.json")) is None:
        yield (
            f"{component.source}: contexts are not shared for {plain.architecture}, "
            "which is batched plainly and scored more slowly"
        )


def _rope_types(config: Mapping[str, Any]) -> Iterator[bool]:
    """Yield whether a kind of rotary embedding goes by length, for each that a config names."""
    settings = config.get("rope_parameters") or config.get("rope_scaling") or {}
    for each in (settings, *(value for value in settings.values() if isinstance(value, Mapping))):
        yield (each.get("rope_type") or each.get("type")) in _ROPE_BY_LENGTH

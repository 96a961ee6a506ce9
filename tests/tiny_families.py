"""One tiny random model of each family whose contexts are shared, and of one that is not listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import make_tokenizer

WINDOW = 96
_ROPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": WINDOW,
    "initializer_range": 0.3,
}
_NEOX = {**_ROPE, "rotary_pct": 0.5}
_GEMMA = {**_ROPE, "head_dim": 8}
_LAYERS = ["sliding_attention", "full_attention"]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "LlamaForCausalLM": ("llama", _ROPE),
    "GemmaForCausalLM": ("gemma", _GEMMA),
    "Gemma2ForCausalLM": ("gemma2", {**_GEMMA, "sliding_window": 12, "layer_types": _LAYERS}),
    "Gemma3ForCausalLM": ("gemma3_text", {**_GEMMA, "sliding_window": 12, "layer_types": _LAYERS}),
    "MistralForCausalLM": ("mistral", {**_ROPE, "sliding_window": 12}),
    "Phi3ForCausalLM": ("phi3", {**_ROPE, "sliding_window": 12, "pad_token_id": 1}),
    "PhiForCausalLM": ("phi", _ROPE),
    "Qwen2ForCausalLM": (
        "qwen2",
        {**_ROPE, "use_sliding_window": True, "sliding_window": 12, "layer_types": _LAYERS},
    ),
    "Qwen3ForCausalLM": (
        "qwen3",
        {**_GEMMA, "use_sliding_window": True, "sliding_window": 12, "layer_types": _LAYERS},
    ),
    "GPTNeoXForCausalLM": ("gpt_neox", {k: v for k, v in _NEOX.items() if k != "num_key_value_heads"}),
    "GPT2LMHeadModel": (
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": WINDOW, "initializer_range": 0.3},
    ),
    "OPTForCausalLM": (
        "opt",
        {
            "hidden_size": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": WINDOW,
            "init_std": 0.3,
            "pad_token_id": 1,
        },
    ),
    "BloomForCausalLM": (
        "bloom",
        {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3, "seq_length": WINDOW},
    ),
}


def make_family(folder: Path, architecture: str, *, bos: bool = True) -> Path:
    """Save a model of an architecture with its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, settings = FAMILIES[architecture]
    tokenizer = make_tokenizer(bos=bos)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, **{"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, **settings}
    )
    model = AutoModelForCausalLM.from_config(config)
    assert type(model).__name__ == architecture
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

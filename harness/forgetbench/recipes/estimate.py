"""How long a training will take, before it has begun."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from forgetbench.recipes.data import read_training_rows
from forgetbench.recipes.mixing import sources_of
from forgetbench.schema.recipe import Recipe

_PASSES = {"full": 6.0, "lora": 4.0, "peft": 4.0}
"""Floating-point operations per parameter and token: forward 2, gradient of the inputs 2, of the weights 2
(Kaplan et al. 2020, arXiv 2001.08361, §2.1)."""
_CHARACTERS_PER_TOKEN = 4.0
_WHISPER_FRAMES = 1500
_ENCODER_SHARE = 0.25
"""Of Whisper's parameters, half of which are embeddings: those that every frame goes through."""
_COST = {"distillation": 1.5, "dpo": 2.7, "grpo": 6.0}
"""Of a method, over plain fine-tuning: a second model, a second answer, generation."""


def training_kind(recipe: Recipe) -> str:
    """Name the trainings that take as long for an example."""
    return f"{recipe.model} {recipe.method} {recipe.weights}"


def seconds_per_example(recipe: Recipe, parameters: int, flops_per_s: float) -> float:
    """Return a rough guess, by the size of the model and of the examples."""
    if recipe.family == "whisper":
        tokens = _WHISPER_FRAMES * _ENCODER_SHARE
    elif recipe.family != "causal_lm":
        tokens = recipe.max_length
    else:
        rows = read_training_rows(sources_of(recipe)["target"], ("prompt",))
        lengths = [sum(len(text) for text in row.values()) for row in rows]
        tokens = min(2 * sum(lengths) / len(lengths) / _CHARACTERS_PER_TOKEN + 20, recipe.max_length)
    return _COST.get(recipe.method, 1.0) * _PASSES[recipe.weights] * parameters * tokens / flops_per_s


def training_seconds(
    recipe: Recipe, parameters: int, measured: Mapping[str, float], flops_per_s: float
) -> float:
    """Return the seconds of a whole training: by measured speed where there is one."""
    known = measured.get(training_kind(recipe))
    each = known if known is not None else seconds_per_example(recipe, parameters, flops_per_s)
    return each * recipe.steps * recipe.batch_size


def matrix_flops_per_s() -> float:
    """Return this machine's speed in products of float32 matrices of a small model's size."""
    import torch

    left, right = torch.ones(256, 768), torch.ones(768, 3072)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.2:
        left @ right
        done += 1
    return done * 2 * 256 * 768 * 3072 / (time.perf_counter() - start)


def output_folder(root: Path, recipe: Recipe, key: str) -> Path:
    """Return where the checkpoints of a recipe lie while a sweep needs them."""
    return root / "recipes" / f"{recipe.name}-{key[:12]}"

"""The recipe: how a checkpoint is post-trained, complete enough to make it again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forgetbench.schema.document import Document
from forgetbench.schema.task import NoiseKind

FACTS = "forgetbench_recipe.json"
"""Name of the file with the facts in the directory of each checkpoint."""

Method = Literal["lora"]
Family = Literal["causal_lm", "whisper"]


class RecipeNoise(Document):
    """Noise that training speech is mixed with."""

    kind: NoiseKind = "babble"
    snr_db: tuple[float, ...] = Field(min_length=1)
    """Speech level over noise level, in dB; one is drawn for each utterance."""


class Recipe(Document):
    """One post-training run. The same recipe on the same data gives the same adapter."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    method: Method = "lora"
    family: Family
    model: str
    """Base: hub id (``org/name[@revision]``) or directory; written into the adapter as it is here."""
    data: str
    """JSONL file: ``prompt`` and ``answer`` for a language model; ``audio`` (relative to the file) and
    ``text`` for Whisper."""
    output: str
    """Directory for the final adapter, with ``checkpoint-<step>`` directories inside."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    save_steps: tuple[int, ...] = ()
    """Steps after which a checkpoint is kept."""
    learning_rate: float = Field(gt=0)
    """Peak: reached after ``warmup_steps``, then falling linearly to zero."""
    warmup_steps: int = Field(default=2, ge=0)
    batch_size: int = Field(ge=1)
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16, gt=0)
    """The adapter's output is scaled by ``alpha / rank``."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the adapter's input."""
    target_modules: tuple[str, ...] = Field(default=("q_proj", "v_proj"), min_length=1)
    """Names of the linear layers that get an adapter."""
    seed: int = Field(default=0, ge=0)
    max_length: int = Field(default=512, ge=8)
    """Longest training example of a language model, in tokens; the rest is cut."""
    language: str = "en"
    """Language token of a multilingual Whisper."""
    noise: RecipeNoise | None = None
    """For speech; None trains on the recordings as they are."""
    audio_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """For speech: train on a seeded part of the recordings that together last no longer than this, in
    seconds; a smaller part lies within a larger one. None trains on all of them."""


class RecipeFacts(Document):
    """What a recipe did up to one checkpoint: ``forgetbench_recipe.json`` in the checkpoint's directory."""

    schema_version: Literal[1] = 1
    recipe: Recipe
    data_sha256: str
    """Of the data file."""
    audio_sha256: str | None = None
    """For speech: over the names and bytes of the recordings."""
    base_fingerprint: str | None = None
    """Of the base's content, as run documents have it; None in directories made before it was noted."""
    status: Literal["running", "finished"]
    step: int
    trained_parameters: int
    examples_seen: int
    tokens_seen: int | None = None
    """For a language model: tokens of prompts and answers, without padding."""
    audio_s_available: float | None = None
    """For speech: seconds of the recordings that were trained on, each counted once."""
    audio_s_seen: float | None = None
    """For speech: seconds of recordings, each as often as it was seen, without padding."""
    target_loss: float | None = None
    """Mean training loss of the last (up to five) steps, in nats per token."""
    versions: dict[str, str]

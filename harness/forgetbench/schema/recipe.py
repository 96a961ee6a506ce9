"""The recipe: how a checkpoint is post-trained, complete enough to make it again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from forgetbench.schema.document import Document
from forgetbench.schema.task import NoiseKind

FACTS = "forgetbench_recipe.json"
"""Name of the file with the facts in the directory of each checkpoint."""

Method = Literal["sft", "distillation", "sdft-rewrite", "dpo", "grpo", "pseudo-label"]
"""What is learned from: references, a teacher, the model's own rewriting of the references, preferences, a
reward, or a model's own transcripts."""
Family = Literal["causal_lm", "whisper", "enhancer", "unit_lm"]
"""``unit_lm``: a language model over the codes of an EnCodec, from the codec alone or trained on."""
Weights = Literal["full", "lora", "peft"]
Schedule = Literal["linear", "cosine", "constant"]


_DOUBLINGS = 5
_MOST = 10**9
"""Above any training's numbers, and below those that no array and no estimate can hold."""


def _is_place(name: str) -> str:
    if "\0" in name:
        raise ValueError("holds a zero character, which no path has")
    return name


Place = Annotated[str, AfterValidator(_is_place)]
"""A path, or the name of a model."""


class RecipeNoise(Document):
    """Noise that training speech is mixed with."""

    kind: NoiseKind = "babble"
    snr_db: tuple[float, ...] = Field(min_length=1)
    """Speech level over noise level, in dB; one is drawn for each utterance."""


class Mixed(Document):
    """Examples of something else among the training examples: safety, or what was learned before."""

    data: Place
    """JSONL file of the same form as the training data."""
    share: float = Field(gt=0, lt=1)
    """Of all training examples."""


class Recipe(Document):
    """One post-training run. The same recipe on the same data gives the same weights."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    variant: str = Field(default="", max_length=60)
    """What curves tell it apart by, beside method, rank and remedies, such as ``learning_rate 1e-4``."""
    method: Method = "sft"
    weights: Weights = "lora"
    """Which are trained: all, a LoRA, or what ``peft`` says."""
    family: Family
    model: Place
    """Base: hub id (``org/name[@revision]``) or directory; written into the checkpoint as it is here."""
    data: Place
    """JSONL file. For a language model ``prompt`` and ``answer``; for DPO ``prompt``, ``chosen`` and
    ``rejected``; for GRPO ``prompt``. For Whisper ``audio`` (relative to the file) and ``text``, which
    pseudo-labels do without. For a model of units ``audio``; for an enhancer, too: clean recordings, which
    ``noise`` is added to."""
    output: Place
    """Directory for the final checkpoint, with ``checkpoint-<step>`` directories inside."""
    steps: int = Field(ge=1, le=_MOST)
    """Optimiser steps."""
    save_steps: tuple[int, ...] | None = None
    """Steps after which a checkpoint is kept; None for five that double up to the last."""
    max_epochs: float = Field(default=100, gt=0)
    """More passes over the data than this are an error."""
    learning_rate: float = Field(gt=0)
    """Peak: reached after ``warmup_steps``, then as ``schedule`` says."""
    schedule: Schedule = "linear"
    """Falling to zero, or constant: then a checkpoint is what a shorter run would have ended with."""
    warmup_steps: int = Field(default=2, ge=0, le=_MOST)
    batch_size: int = Field(ge=1, le=_MOST)
    rank: int = Field(default=8, ge=1, le=_MOST)
    """Of the LoRA."""
    alpha: float = Field(default=16, gt=0)
    """The adapter's output is scaled by ``alpha / rank``, for rsLoRA by ``alpha / √rank``."""
    rslora: bool = False
    """Rank-stabilised LoRA (Kalajdzievski 2023, arXiv 2312.03732)."""
    load_in_4bit: bool = False
    """QLoRA: the frozen weights in NF4, by bitsandbytes (Dettmers et al. 2023, arXiv 2305.14314)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the adapter's input."""
    target_modules: tuple[str, ...] = Field(default=("q_proj", "v_proj"), min_length=1)
    """Names of the linear layers that get an adapter."""
    peft: dict[str, Any] | None = None
    """For ``weights: peft``: a PEFT configuration in its own words, with ``peft_type``."""
    teacher: Place | None = None
    """For distillation and pseudo-labels: the model that is learned from; None for the base itself."""
    distillation_beta: float = Field(default=0.0, ge=0, le=1)
    """0 for KL(teacher‖student), 1 for KL(student‖teacher), between them a generalised Jensen-Shannon
    divergence (Agarwal et al. 2023, arXiv 2306.13649)."""
    dpo_beta: float = Field(default=0.1, gt=0)
    """How closely DPO stays at the base (Rafailov et al. 2023, arXiv 2305.18290)."""
    grpo_beta: float = Field(default=0.0, ge=0)
    """Weight of GRPO's KL to the base (Shao et al. 2024, arXiv 2402.03300)."""
    reward: str | None = None
    """For GRPO: ``answer_words`` or a Python function ``package.module:function``."""
    n_completions: int = Field(default=4, ge=2, le=_MOST)
    """For GRPO: drawn for each prompt."""
    max_new_tokens: int = Field(default=128, ge=1, le=_MOST)
    """Longest answer that a model writes in training: GRPO's completions, rewritten references."""
    safety: Mixed | None = None
    """Safety examples mixed in (Bianchi et al. 2023, arXiv 2309.07875)."""
    replay: Mixed | None = None
    """Examples of what the model knew before, mixed in."""
    l2_to_base: float = Field(default=0.0, ge=0)
    """λ of the penalty λ/2·‖θ − θ_base‖² (Li et al. 2018, arXiv 1802.06483)."""
    ewc: float = Field(default=0.0, ge=0)
    """λ of the penalty λ/2·Σ F·(θ − θ_base)², F the diagonal empirical Fisher information on ``ewc_data``
    (Kirkpatrick et al. 2017, arXiv 1612.00796)."""
    ewc_data: Place | None = None
    """JSONL file of what is to be kept; None for the replayed examples."""
    ewc_examples: int = Field(default=32, ge=1)
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """What numpy takes as one."""
    max_length: int = Field(default=512, ge=8, le=_MOST)
    """Longest training example of a language model, in tokens; the rest is cut. A prompt that leaves nothing
    to learn is an error."""
    language: str = "en"
    """Language token of a multilingual Whisper."""
    noise: RecipeNoise | None = None
    """For speech; None trains on the recordings as they are."""
    audio_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """For speech: train on a seeded part of the recordings that together last no longer than this, in
    seconds; a smaller part lies within a larger one. None trains on all of them."""

    @property
    def saved(self) -> tuple[int, ...]:
        """Steps after which a checkpoint is kept, rising: those of ``save_steps`` within ``steps``."""
        if self.save_steps is None:
            return tuple(sorted({max(1, round(self.steps / 2**halvings)) for halvings in range(_DOUBLINGS)}))
        return tuple(sorted({step for step in self.save_steps if step <= self.steps}))

    @property
    def label(self) -> str:
        """What curves call the method: the trained weights, with what differs from plain fine-tuning."""
        weights = (
            str((self.peft or {}).get("peft_type", "peft")).lower()
            if self.weights == "peft"
            else self.weights
        )
        if self.weights == "lora":
            weights = "qlora" if self.load_in_4bit else "rslora" if self.rslora else "lora"
        parts = [weights] if self.method == "sft" else [self.method, weights]
        mixed = (("safety", self.safety), ("replay", self.replay))
        parts += [f"+ {name} {part.share:g}" for name, part in mixed if part]
        parts += [f"+ l2 {self.l2_to_base:g}"] if self.l2_to_base else []
        parts += [f"+ ewc {self.ewc:g}"] if self.ewc else []
        return " ".join([*parts, self.variant] if self.variant else parts)


class Contamination(Document):
    """Training examples that are test items too."""

    tasks: tuple[str, ...]
    """Tasks whose items were compared."""
    not_checked: tuple[str, ...] = ()
    """Tasks whose items are not on this machine."""
    exact: int
    """Training examples whose words are those of a test item, or whose recording is one."""
    near: int
    """Training examples that are nearly a test item, and none exactly."""
    examples: tuple[str, ...] = ()
    """The first of them: where it stands, and the task."""


class RecipeFacts(Document):
    """What a recipe did up to one checkpoint: ``forgetbench_recipe.json`` in the checkpoint's directory."""

    schema_version: Literal[1] = 1
    recipe: Recipe
    reproduce: str = ""
    """The command that makes the checkpoint again; absolute paths stand in it by their names alone."""
    data_sha256: str
    """Of the data file."""
    audio_sha256: str | None = None
    """For speech: over the names and bytes of the recordings."""
    other_sha256: str | None = None
    """Over the other files and models that the recipe names: what is mixed in, and the teacher."""
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
    """Cross-entropy in nats per token on (up to 16) training examples of the target, spread over the
    file: without what is mixed in, penalties or dropout. For an enhancer: minus SI-SDR, in dB."""
    reward: float | None = None
    """For GRPO: mean reward of the last (up to five) steps."""
    contamination: Contamination | None = None
    """None where nothing was compared."""
    versions: dict[str, str]

"""Which method works for which family of models, and why not elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from forgetbench.errors import UsageError
from forgetbench.models.alpha import is_plain_lora
from forgetbench.recipes.mixing import example_counts
from forgetbench.recipes.penalty import kept_data
from forgetbench.schema.recipe import Family, Method, Recipe

_TEXT_ONLY = "learns from texts that are chosen or written by a language model"
REFUSED: dict[tuple[Method, Family], str] = {
    ("pseudo-label", "causal_lm"): "is for speech: a text without an answer has no transcript to write",
    ("sdft-rewrite", "whisper"): "has a model rewrite answers: a transcript has one wording only",
    ("dpo", "whisper"): f"{_TEXT_ONLY}: TRL has no trainer for speech recognition",
    ("grpo", "whisper"): f"{_TEXT_ONLY}: TRL has no trainer for speech recognition",
    ("distillation", "enhancer"): "is for models that write: learn a teacher's output as the clean recording",
    ("sdft-rewrite", "enhancer"): "has a model rewrite answers, and an enhancer writes none",
    ("dpo", "enhancer"): _TEXT_ONLY,
    ("grpo", "enhancer"): _TEXT_ONLY,
    ("pseudo-label", "enhancer"): "has a model write transcripts, and an enhancer writes none",
    ("distillation", "unit_lm"): "has no teacher here: two codecs make different units",
    ("sdft-rewrite", "unit_lm"): "has a model rewrite answers, and speech units are no answers",
    ("dpo", "unit_lm"): _TEXT_ONLY,
    ("grpo", "unit_lm"): _TEXT_ONLY,
    ("pseudo-label", "unit_lm"): "has a model write transcripts, and a model of units writes none",
}
"""Why a method is refused; what is not here works and is tested."""

_REMEDIES = ("safety", "replay", "l2_to_base", "ewc")
_OF_A_LORA = ("rank", "alpha", "rslora", "dropout", "target_modules")
_OF_METHODS: dict[str, tuple[Method, ...]] = {
    "teacher": ("distillation", "pseudo-label"),
    "distillation_beta": ("distillation",),
    "dpo_beta": ("dpo",),
    "grpo_beta": ("grpo",),
    "reward": ("grpo",),
    "n_completions": ("grpo",),
}
"""Fields that no other method reads: given to one, they would change nothing, and nobody would know."""
_OF_FAMILIES: dict[str, tuple[Family, ...]] = {
    "distillation_beta": ("causal_lm",),
    "max_length": ("causal_lm", "unit_lm"),
    "language": ("whisper",),
}
"""The same of families."""


def refusal(method: Method, family: Family) -> str | None:
    """Return why a method does not work for a family; None where it works."""
    return REFUSED.get((method, family))


def check_method(recipe: Recipe) -> None:
    """Refuse what cannot work, before anything is read.

    Raises:
        UsageError: The method is not for the model's family, or the recipe is at odds with itself.
    """
    thing = f"recipe {recipe.name}"
    if reason := refusal(recipe.method, recipe.family):
        raise UsageError(
            thing, f"{recipe.method} {reason}", "See `forgetbench recipe ls` for the methods that there are."
        )
    if recipe.load_in_4bit and recipe.weights == "full":
        raise UsageError(thing, "weights in 4 bits are frozen", "Use weights=lora for QLoRA.")
    if recipe.load_in_4bit and recipe.ewc:
        cause = "ewc needs the gradients of the base's weights, and weights in 4 bits have none"
        raise UsageError(thing, cause, "Use l2_to_base, or leave load_in_4bit out.")
    if recipe.weights == "peft" and recipe.peft is None:
        raise UsageError(thing, "weights=peft needs a PEFT configuration", "Give peft.peft_type=IA3.")
    if recipe.family == "enhancer" and recipe.weights != "full":
        raise UsageError(
            thing, "an enhancer is trained whole: PEFT has no layers for it", "Use weights=full."
        )
    if recipe.family == "enhancer" and recipe.ewc:
        raise UsageError(thing, "ewc needs a likelihood, and an enhancer has none", "Use l2_to_base.")
    if recipe.family == "unit_lm" and recipe.noise is not None:
        raise UsageError(thing, "a model of units learns the recordings as they are", "Leave out --noise.")
    if recipe.family == "enhancer" and recipe.audio_s is not None:
        raise UsageError(thing, "audio_s is given, and an enhancer learns all recordings", "Leave it out.")
    unused = recipe.ewc_data is not None and not recipe.ewc
    if unused:
        raise UsageError(thing, "ewc_data is given and ewc is 0", "Give ewc=λ.")
    _check_remedies(recipe, thing)
    _check_nothing_ignored(recipe, thing)


def check_interpolation(recipe: Recipe, alphas: Sequence[float]) -> None:
    """Refuse parts of a change that cannot be made of what a recipe will save.

    Args:
        recipe: What will be trained.
        alphas: Parts α of the change; 1 is what is saved.

    Raises:
        UsageError: It will be no plain LoRA and no whole model in the transformers layout.
    """
    parts = [alpha for alpha in alphas if alpha != 1]
    if not parts:
        return
    thing = f"recipe {recipe.name}, interpolation {parts[0]:g}"
    if recipe.family == "enhancer":
        cause = "an enhancer is saved as an ONNX graph, which has no part of a change"
        raise UsageError(thing, cause, "Leave interpolation out.")
    adapter = recipe.peft or {}
    kind = str(adapter.get("peft_type", "")).upper()
    if recipe.weights == "peft" and not is_plain_lora({**adapter, "peft_type": kind}):
        cause = f"{kind} is no adapter whose whole change is a plain LoRA"
        raise UsageError(thing, cause, "Use weights=lora or full, or leave interpolation out.")


def _check_remedies(recipe: Recipe, thing: str) -> None:
    asked = [name for name in _REMEDIES if getattr(recipe, name)]
    if asked and recipe.method in ("dpo", "grpo"):
        cause = f"{asked[0]} goes with supervised methods; {recipe.method} has its own KL to the base"
        raise UsageError(thing, cause, f"Use {recipe.method}_beta.")
    if (recipe.l2_to_base or recipe.ewc) and recipe.weights == "peft":
        cause = (
            "l2_to_base and ewc are for full fine-tuning and LoRA: other adapters add no change to weights"
        )
        raise UsageError(thing, cause, "Leave them out, or take weights=full or weights=lora.")
    if recipe.ewc:
        kept_data(recipe)
    example_counts(recipe)


def _check_nothing_ignored(recipe: Recipe, thing: str) -> None:
    if recipe.peft is not None and recipe.weights != "peft":
        cause = f"peft is given, and weights={recipe.weights} reads nothing of it"
        raise UsageError(thing, cause, "Use the recipe peft, or weights=peft.")
    for field in _OF_A_LORA if recipe.weights != "lora" else ():
        if _is_changed(recipe, field):
            cause = f"{field} is a LoRA's, and weights={recipe.weights} trains none"
            raise UsageError(thing, cause, f"Use weights=lora, or leave {field} out.")
    for field, methods in _OF_METHODS.items():
        if recipe.method not in methods and _is_changed(recipe, field):
            cause = f"{field} is for {' and '.join(methods)}, and this is {recipe.method}"
            raise UsageError(thing, cause, f"Use the recipe {methods[0]}, or leave {field} out.")
    for field, families in _OF_FAMILIES.items():
        if recipe.family not in families and _is_changed(recipe, field):
            cause = f"{field} is for the family {' or '.join(families)}, and this is {recipe.family}"
            raise UsageError(thing, cause, f"Leave {field} out.")


def _is_changed(recipe: Recipe, field: str) -> bool:
    return bool(getattr(recipe, field) != Recipe.model_fields[field].default)

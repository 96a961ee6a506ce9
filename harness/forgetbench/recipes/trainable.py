"""Which weights of a loaded model a recipe trains: all of them, a LoRA, or what a PEFT configuration says."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from forgetbench.errors import MissingPackageError, UsageError
from forgetbench.recipes.base import Base
from forgetbench.schema.recipe import Recipe

_NEEDED = {"num_virtual_tokens": "20", "token_indices": "[ID,ID]"}
"""What PEFT has as a field without a default, and uses without a look; an example of each."""
_NO_TASK_IDS = "reads the id of a task with each example, and training data have none"
_UNFIT = {
    "CPT": "has a loss of its own, and the trainer keeps to the method's",
    "MULTITASK_PROMPT_TUNING": _NO_TASK_IDS,
    "POLY": _NO_TASK_IDS,
}
"""What PEFT has and a recipe cannot train."""


def load_base(auto_class: Any, recipe: Recipe, base: Base) -> Any:
    """Return the model that is trained, in float32, or with the frozen weights of QLoRA in 4 bits.

    Args:
        auto_class: The transformers class with ``from_pretrained``.
        recipe: Says which.
        base: Where it lies.

    Raises:
        MissingPackageError: bitsandbytes is not installed.
    """
    import torch

    if not recipe.load_in_4bit:
        return auto_class.from_pretrained(base.path, dtype=torch.float32)
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingPackageError("recipe, load_in_4bit", "bitsandbytes", extra="qlora")
    from transformers import BitsAndBytesConfig

    kept = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    model = auto_class.from_pretrained(base.path, dtype=torch.float32, quantization_config=kept)
    _never_pack(model)
    return model


def trainable(model: Any, recipe: Recipe, base: Base, *, task_type: str | None) -> Any:
    """Return the model with the weights to train, seeded where they are fresh; all others are frozen.

    Args:
        model: A transformers model.
        recipe: Says which, and the seed.
        base: Where the model is from. Its path stands in the adapter until it is saved: PEFT would ask
            the hub about a hub id.
        task_type: PEFT's, such as ``CAUSAL_LM``; None for Whisper, whose inputs no PEFT task type fits.

    Raises:
        UsageError: The configuration is not PEFT's, or the model has none of the target modules.
    """
    from peft import get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    set_seed(recipe.seed)
    if recipe.weights == "full":
        return model
    config = peft_config(recipe, base, task_type=task_type)
    if recipe.load_in_4bit:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    with peft_errors(model, config):
        return get_peft_model(model, config)


@contextmanager
def peft_errors(model: Any, config: Any) -> Iterator[None]:
    """Turn PEFT's refusal of a configuration into one line.

    Args:
        model: The model that the adapter is for.
        config: The PEFT configuration; None without one.

    Raises:
        UsageError: The model has none of the target modules, or PEFT cannot use the configuration.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if config is None:
            raise
        if "arget modules" not in str(error):
            raise _refused(f"peft {_kind(config)}", error) from error
        names = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if _is_linear(part)})
        wanted = sorted(config.target_modules or ())
        cause = f"the model has no {' or '.join(wanted)}"
        raise UsageError("target_modules", cause, f"Choose among {', '.join(names)}.") from None


def train_in_float32(model: Any) -> None:
    """Make all trained weights float32, in place.

    TRL makes an adapter on 4 bits bfloat16, and PEFT reads it back as float32 where a training goes on.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _refused(thing: str, error: TypeError | ValueError) -> UsageError:
    said = " ".join(str(error).split())[:200]
    missing = "a setting is missing or of the wrong kind" if isinstance(error, TypeError) else ""
    cause = f"{missing} ({said})" if missing else said
    return UsageError(thing, cause, "See PEFT's documentation of that configuration.")


def _kind(config: Any) -> str:
    return str(getattr(config.peft_type, "value", config.peft_type))


def _never_pack(model: Any) -> None:
    """Keep bitsandbytes from packing weights when first evaluated on a CPU: packed, they pass no gradient."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def peft_config(recipe: Recipe, base: Base, *, task_type: str | None) -> Any:
    """Return the PEFT configuration of a recipe; None for full fine-tuning.

    Raises:
        UsageError: It is not PEFT's.
    """
    from peft import LoraConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    if recipe.weights == "full":
        return None
    common = {"task_type": task_type, "base_model_name_or_path": str(base.path)}
    if recipe.weights == "lora":
        return LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            use_rslora=recipe.rslora,
            target_modules=list(recipe.target_modules),
            **common,
        )
    asked = dict(recipe.peft or {})
    kind = str(asked.pop("peft_type", "")).upper()
    known = {
        str(getattr(name, "value", name)): config for name, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
    }
    if kind not in known:
        raise UsageError(
            f"peft_type {kind or 'is missing'}", "is not PEFT's", f"There is {', '.join(sorted(known))}."
        )
    if kind in _UNFIT:
        raise UsageError(f"peft {kind}", _UNFIT[kind], "Choose another peft_type.")
    try:
        config = known[kind](**common, **asked)
    except (TypeError, ValueError) as error:
        raise _refused(f"peft {kind}", error) from None
    for field in _NEEDED:
        if hasattr(config, field) and not getattr(config, field):
            raise UsageError(f"peft {kind}", f"needs {field}", f"Give peft.{field}={_NEEDED[field]}.")
    return config


def _is_linear(part: Any) -> bool:
    from torch import nn

    return isinstance(part, nn.Linear)

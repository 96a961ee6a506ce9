"""LoRA on a causal language model, by TRL's SFTTrainer: the loss is on the answers only."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from forgetbench.errors import UsageError
from forgetbench.recipes.adapter import add_adapter
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import read_training_rows, training_order
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.schema.recipe import Recipe


def prepare_causal(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{prompt, answer}`` rows.

    Prompts and answers go through the tokenizer's chat template where it has one, and follow each other as
    they are where it has none.

    Raises:
        DataError: The data cannot be used.
        UsageError: TRL is missing, or the recipe asks for what the model does not have.
    """
    if importlib.util.find_spec("trl") is None:
        raise UsageError("recipe", "needs TRL", "Run: pip install 'forgetbench[recipes]'")
    if recipe.noise is not None:
        raise UsageError(f"recipe {recipe.name}", "noise is for speech, and this is a language model")
    if recipe.audio_s is not None:
        raise UsageError(f"recipe {recipe.name}", "audio_s is for speech, and this is a language model")
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = read_training_rows(Path(recipe.data).expanduser(), ("prompt", "answer"))
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    order = training_order(len(rows), recipe.steps * recipe.batch_size, recipe.seed)
    chat = tokenizer.chat_template is not None
    dataset = Dataset.from_list([_example(rows[i]["prompt"], rows[i]["answer"], chat=chat) for i in order])
    trainer = SFTTrainer(
        model=add_adapter(model, recipe, base, task_type="CAUSAL_LM"),
        args=SFTConfig(
            **common_arguments(recipe),
            max_length=recipe.max_length,
            completion_only_loss=True,
            gradient_checkpointing=False,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    lengths = [float(len(ids)) for ids in trainer.train_dataset["input_ids"]]
    return Job(trainer=trainer, exposure=Exposure(unit="tokens", per_example=lengths))


def _example(prompt: str, answer: str, *, chat: bool) -> dict[str, Any]:
    """Return TRL's prompt-completion form of a row."""
    if chat:
        return {
            "prompt": [{"role": "user", "content": prompt}],
            "completion": [{"role": "assistant", "content": answer}],
        }
    return {"prompt": prompt, "completion": f" {answer.lstrip()}"}

"""Reinforcement-style training of a causal language model by TRL: DPO and GRPO."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forgetbench.errors import ForgetbenchError, UsageError
from forgetbench.recipes.base import Base
from forgetbench.recipes.causal_lm import (
    as_batch,
    check_for_text,
    load_causal,
    load_tokenizer,
    read_fitting_rows,
)
from forgetbench.recipes.data import Row, read_training_rows, training_order
from forgetbench.recipes.mixing import TARGET, training_places
from forgetbench.recipes.target_loss import spread
from forgetbench.recipes.trainable import peft_config, peft_errors
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.schema.recipe import Recipe

DPO_COLUMNS = ("prompt", "chosen", "rejected")
_FORM_OF_A_REWARD = (
    "A reward takes (completions, **columns of the data), and returns a number for each completion; another "
    "reward is another training: choose another --output."
)


def prepare_dpo(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{prompt, chosen, rejected}`` rows; the base is the reference.

    Raises:
        DataError: The data cannot be used.
        UsageError: TRL is missing.
    """
    check_for_text(recipe)
    from datasets import Dataset
    from transformers import set_seed
    from trl import DPOConfig, DPOTrainer

    tokenizer = load_tokenizer(base)
    rows = read_fitting_rows(Path(recipe.data).expanduser(), DPO_COLUMNS, tokenizer, recipe.max_length)
    model = load_causal(recipe, base)
    examples = [rows[place.row] for place in training_places(recipe, {TARGET: len(rows)})]
    chat = tokenizer.chat_template is not None
    set_seed(recipe.seed)
    adapter = peft_config(recipe, base, task_type="CAUSAL_LM")
    settings = DPOConfig(
        **common_arguments(recipe),
        beta=recipe.dpo_beta,
        max_length=recipe.max_length,
        gradient_checkpointing=False,
    )
    with peft_errors(model, adapter):
        trainer = DPOTrainer(
            model=model,
            args=settings,
            train_dataset=Dataset.from_list([_preference(row, chat=chat) for row in examples]),
            processing_class=tokenizer,
            peft_config=adapter,
        )
    lengths = [float(_n_tokens(tokenizer, row["prompt"], row["chosen"], row["rejected"])) for row in examples]
    return Job(
        trainer=trainer,
        exposure=Exposure(unit="tokens", per_example=lengths),
        probe=[as_batch(tokenizer, row["prompt"], row["chosen"], recipe.max_length) for row in spread(rows)],
    )


def prepare_grpo(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{prompt}`` rows, with ``answer`` where the reward reads it.

    One step draws ``n_completions`` for each of ``batch_size`` prompts.

    Raises:
        DataError: The data cannot be used.
        UsageError: TRL is missing, or the reward is unknown.
    """
    check_for_text(recipe)
    reward = reward_function(recipe)
    from datasets import Dataset
    from transformers import set_seed
    from trl import GRPOConfig, GRPOTrainer

    columns = ("prompt", "answer") if recipe.reward == "answer_words" else ("prompt",)
    rows = read_training_rows(Path(recipe.data).expanduser(), columns)
    model, tokenizer = load_causal(recipe, base), load_tokenizer(base)
    order = training_order(len(rows), recipe.steps * recipe.batch_size, recipe.seed)
    training_places(recipe, {TARGET: len(rows)})
    chat = tokenizer.chat_template is not None
    tokenizer.padding_side = "left"
    set_seed(recipe.seed)
    common = common_arguments(recipe)
    common.pop("train_sampling_strategy")
    common["per_device_train_batch_size"] = recipe.batch_size * recipe.n_completions
    adapter = peft_config(recipe, base, task_type="CAUSAL_LM")
    settings = GRPOConfig(
        **common,
        beta=recipe.grpo_beta,
        num_generations=recipe.n_completions,
        max_completion_length=recipe.max_new_tokens,
        shuffle_dataset=False,
        gradient_checkpointing=False,
    )
    with peft_errors(model, adapter):
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=settings,
            train_dataset=Dataset.from_list([_asked(rows[i], chat=chat) for i in order]),
            processing_class=tokenizer,
            peft_config=adapter,
        )
    lengths = [float(_n_tokens(tokenizer, rows[i]["prompt"])) for i in order]
    answered = [row for row in spread(rows) if "answer" in row]
    return Job(
        trainer=trainer,
        exposure=Exposure(unit="tokens", per_example=lengths),
        probe=[as_batch(tokenizer, row["prompt"], row["answer"], recipe.max_length) for row in answered],
    )


def reward_function(recipe: Recipe) -> Callable[..., list[float]]:
    """Return what scores completions, in TRL's form: ``(completions, **columns) -> list of float``.

    Raises:
        UsageError: There is none, or it cannot be imported.
    """
    if recipe.reward == "answer_words":
        return answer_words
    module, _, name = (recipe.reward or "").partition(":")
    if not module or not name:
        raise UsageError(
            "reward", "GRPO needs a reward", "Give reward=answer_words or reward=package.module:function."
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"reward {recipe.reward}",
            f"cannot be imported ({error})",
            "Name a function that can be imported from here: package.module:function.",
        ) from None
    if not callable(found):
        raise UsageError(
            f"reward {recipe.reward}", "is no function", "Name a function: package.module:function."
        )

    @functools.wraps(found)
    def checked(completions: Sequence[Any], **columns: Any) -> list[float]:
        try:
            rewards = found(completions=completions, **columns)
        except (MemoryError, ForgetbenchError):
            raise
        except Exception as error:
            cause = f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UsageError(f"reward {recipe.reward}", cause, _FORM_OF_A_REWARD) from error
        try:
            numbers = [float(reward) for reward in rewards]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != len(completions):
            cause = f"returned no list of {len(completions)} numbers, one for each completion"
            raise UsageError(f"reward {recipe.reward}", cause, _FORM_OF_A_REWARD)
        return numbers

    return checked


def reward_source(recipe: Recipe) -> Path | None:
    """Return the file of a user's own reward function: another content is another reward.

    Raises:
        UsageError: It cannot be imported.
    """
    if recipe.reward in (None, "answer_words"):
        return None
    try:
        source = inspect.getsourcefile(inspect.unwrap(reward_function(recipe)))
    except TypeError:  # made by compiled code, or an object
        return None
    return Path(source) if source is not None else None


def answer_words(completions: Sequence[Any], answer: Sequence[str], **_: Any) -> list[float]:
    """Return the F1 of each completion's words against its answer's, in [0, 1] (as SQuAD scores answers)."""
    return [
        _f1(_words(_text(found)), _words(wanted)) for found, wanted in zip(completions, answer, strict=True)
    ]


def _f1(found: list[str], wanted: list[str]) -> float:
    shared = sum(min(found.count(word), wanted.count(word)) for word in set(found))
    return 2 * shared / (len(found) + len(wanted)) if found or wanted else 0.0


def _text(completion: Any) -> str:
    return completion if isinstance(completion, str) else "".join(turn["content"] for turn in completion)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _preference(row: Row, *, chat: bool) -> dict[str, Any]:
    if not chat:
        return {"prompt": row["prompt"], **{name: f" {row[name].lstrip()}" for name in DPO_COLUMNS[1:]}}
    said = {name: [{"role": "assistant", "content": row[name]}] for name in DPO_COLUMNS[1:]}
    return {"prompt": [{"role": "user", "content": row["prompt"]}], **said}


def _asked(row: Row, *, chat: bool) -> dict[str, Any]:
    prompt = [{"role": "user", "content": row["prompt"]}] if chat else row["prompt"]
    return {**row, "prompt": prompt}


def _n_tokens(tokenizer: Any, *texts: str) -> int:
    return sum(len(tokenizer(text, add_special_tokens=False).input_ids) for text in texts)

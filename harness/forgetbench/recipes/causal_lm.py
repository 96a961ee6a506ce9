"""Fine-tuning and distillation of a causal language model, by TRL's SFTTrainer; only answers are learned."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError, DataError, MissingPackageError, UsageError
from forgetbench.recipes.base import Base, locate_base
from forgetbench.recipes.data import Row, json_rows, read_training_rows
from forgetbench.recipes.mixing import TARGET, sources_of, training_places
from forgetbench.recipes.penalty import fisher_diagonal, kept_data, penalised
from forgetbench.recipes.rewrite import REWRITTEN, rewritten_rows
from forgetbench.recipes.target_loss import spread
from forgetbench.recipes.trainable import load_base, trainable
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.recipes.written import as_jsonl
from forgetbench.schema.recipe import Recipe

COLUMNS = ("prompt", "answer")


def prepare_causal(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{prompt, answer}`` rows.

    Prompts and answers go through the tokenizer's chat template where it has one, and follow each other as
    they are where it has none.

    Raises:
        DataError: The data cannot be used.
        UsageError: TRL is missing, or the recipe asks for what the model does not have.
    """
    check_for_text(recipe)
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer = load_tokenizer(base)
    sources: dict[str, Sequence[Mapping[str, Any]]] = {
        name: read_fitting_rows(path, COLUMNS, tokenizer, recipe.max_length)
        for name, path in sources_of(recipe).items()
    }
    targets = sources[TARGET]
    attached: dict[str, bytes] = {}
    if recipe.method == "sdft-rewrite":
        sources[TARGET] = rewritten_rows(targets, recipe, base)
        attached[REWRITTEN] = as_jsonl(sources[TARGET])
    places = training_places(recipe, {name: len(rows) for name, rows in sources.items()})
    model = load_causal(recipe, base)
    chat = tokenizer.chat_template is not None
    learned = [sources[place.source][place.row] for place in places]
    fisher = _fisher(model, tokenizer, recipe)
    trained = trainable(model, recipe, base, task_type="CAUSAL_LM")
    kind = _distilling(SFTTrainer, recipe, base) if recipe.method == "distillation" else SFTTrainer
    trainer = penalised(kind, recipe, trained, fisher)(
        model=trained,
        args=SFTConfig(
            **common_arguments(recipe),
            max_length=recipe.max_length,
            completion_only_loss=True,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(
            [_example(row["prompt"], row["answer"], chat=chat) for row in learned]
        ),
        processing_class=tokenizer,
    )
    lengths = [float(len(ids)) for ids in trainer.train_dataset["input_ids"]]
    return Job(
        trainer=trainer,
        exposure=Exposure(unit="tokens", per_example=lengths),
        probe=[
            as_batch(tokenizer, row["prompt"], row["answer"], recipe.max_length) for row in spread(targets)
        ],
        attached=attached,
    )


def check_for_text(recipe: Recipe) -> None:
    """Refuse what a language model cannot take.

    Raises:
        UsageError: TRL is missing, or the recipe asks for something of speech.
    """
    if importlib.util.find_spec("trl") is None:
        raise MissingPackageError(f"recipe {recipe.name}", "TRL", extra="recipes")
    if recipe.noise is not None:
        raise UsageError(
            f"recipe {recipe.name}", "noise is for speech, and this is a language model", "Leave it out."
        )
    if recipe.audio_s is not None:
        raise UsageError(
            f"recipe {recipe.name}", "audio_s is for speech, and this is a language model", "Leave it out."
        )


def load_tokenizer(base: Base) -> Any:
    """Return the base's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base.path)


def load_causal(recipe: Recipe, base: Base) -> Any:
    """Return the base's model."""
    from transformers import AutoModelForCausalLM

    return load_base(AutoModelForCausalLM, recipe, base)


def read_fitting_rows(path: Path, columns: tuple[str, ...], tokenizer: Any, max_length: int) -> list[Row]:
    """Return the rows of a JSONL file, each with a prompt that leaves room for at least a token to learn.

    TRL would leave out the others, and what is trained would no longer be what was planned.

    Raises:
        DataError: The data cannot be used, or a prompt fills ``max_length``; the line is named.
    """
    rows = read_training_rows(path, columns)
    for i, row in enumerate(rows):
        n_tokens = len(_prompt_ids(tokenizer, row["prompt"]))
        if n_tokens >= max_length:
            place, _ = json_rows(path)[i]
            cause = f"its prompt has {n_tokens} tokens, and max_length {max_length} leaves nothing to learn"
            raise DataError(place, cause, f"Shorten the prompt, or raise max_length above {n_tokens}.")
    return rows


def as_batch(tokenizer: Any, prompt: str, answer: str, max_length: int) -> dict[str, Any]:
    """Return one example as the model's input, shape (1, n tokens), with labels on the answer only."""
    import torch

    before = _prompt_ids(tokenizer, prompt)
    if tokenizer.chat_template is None:
        ids = [*tokenizer(f"{prompt} {answer.lstrip()}").input_ids, tokenizer.eos_token_id]
    else:
        ids = _chat_ids(tokenizer, [_user(prompt), {"role": "assistant", "content": answer}])
    labels = [-100] * len(before) + ids[len(before) :]
    return {
        "input_ids": torch.tensor([ids[:max_length]]),
        "attention_mask": torch.ones(1, min(len(ids), max_length), dtype=torch.long),
        "labels": torch.tensor([labels[:max_length]]),
    }


def _prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    if tokenizer.chat_template is None:
        return list(tokenizer(prompt).input_ids)
    return _chat_ids(tokenizer, [_user(prompt)], add_generation_prompt=True)


def _user(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}


def _chat_ids(tokenizer: Any, messages: Sequence[Mapping[str, str]], **how: Any) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **how)
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def _fisher(model: Any, tokenizer: Any, recipe: Recipe) -> Any:
    if not recipe.ewc:
        return None
    kept = read_fitting_rows(kept_data(recipe), COLUMNS, tokenizer, recipe.max_length)
    rows = kept[: recipe.ewc_examples]
    batches = [as_batch(tokenizer, row["prompt"], row["answer"], recipe.max_length) for row in rows]
    modules = recipe.target_modules if recipe.weights == "lora" else None
    return fisher_diagonal(model, batches, modules=modules)


def _distilling(trainer_class: Any, recipe: Recipe, base: Base) -> Any:
    """Return a trainer whose loss is TRL's generalised Jensen-Shannon divergence from a teacher (its GKD).

    Raises:
        CheckpointError: The teacher is not there, or has another vocabulary.
        UsageError: There is no teacher: the base itself would teach nothing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if recipe.teacher is None:
        cause = "distillation needs a teacher: the base would teach itself nothing"
        raise UsageError(f"recipe {recipe.name}", cause, "Give teacher=MODEL.")
    from trl.experimental.gkd import GKDTrainer

    found = locate_base(recipe.teacher)
    mine, theirs = (AutoTokenizer.from_pretrained(place.path).get_vocab() for place in (base, found))
    if mine != theirs:
        raise CheckpointError(
            recipe.teacher,
            f"has another vocabulary than {recipe.model}: next-token distributions cannot be compared",
            "Choose a teacher of the same family, or learn its answers as data.",
        )
    teacher = (
        AutoModelForCausalLM.from_pretrained(found.path, dtype=torch.float32).eval().requires_grad_(False)
    )

    class Distilling(trainer_class):  # type: ignore[misc, unused-ignore]  # a class of run time
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            seen = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            output = model(**seen)
            with torch.no_grad():
                taught = teacher.to(output.logits.device)(**seen).logits
            n_shared = min(output.logits.shape[-1], taught.shape[-1])  # padded embeddings differ in size
            loss = GKDTrainer.generalized_jsd_loss(
                output.logits[:, :-1, :n_shared],
                taught[:, :-1, :n_shared],
                labels=inputs["labels"][:, 1:],
                beta=recipe.distillation_beta,
            )
            return (loss, output) if return_outputs else loss

    return Distilling


def _example(prompt: str, answer: str, *, chat: bool) -> dict[str, Any]:
    """Return TRL's prompt-completion form of a row."""
    if chat:
        return {
            "prompt": [_user(prompt)],
            "completion": [{"role": "assistant", "content": answer}],
        }
    return {"prompt": prompt, "completion": f" {answer.lstrip()}"}

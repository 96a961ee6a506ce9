"""LoRA: a recipe becomes an adapter, with a checkpoint at each step that the recipe names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from forgetbench.engine.environment import package_version
from forgetbench.engine.progress import Progress, Silent
from forgetbench.recipes.base import Base, locate_base
from forgetbench.recipes.output import (
    Inputs,
    checkpoint_directories,
    inputs_of,
    is_finished,
    keep_adapter_only,
    last_complete_checkpoint,
    write_facts,
)
from forgetbench.recipes.training import Job, quiet_training, target_loss, watch
from forgetbench.schema.recipe import Recipe, RecipeFacts

_VERSIONS = ("forgetbench", "torch", "transformers", "peft", "trl")


def run_lora(recipe: Recipe, *, progress: Progress | None = None) -> list[Path]:
    """Train the adapter of a recipe, or go on with it, or find it finished.

    On a CPU the same recipe on the same data gives the same bytes, interrupted or not.

    Args:
        recipe: What to train, on what, and where to write.
        progress: Told of the steps, and of a recipe that was finished before.

    Returns:
        The PEFT adapter directories: ``checkpoint-<step>`` by step, then the output directory itself, which
        holds the final adapter.

    Raises:
        CheckpointError: The base is not there.
        DataError: The data cannot be used.
        UsageError: The output directory holds something else, or the recipe does not fit the model.
        ForgetbenchError: The loss is no longer finite.
    """
    progress = progress or Silent()
    folders = checkpoint_directories(recipe)
    base = locate_base(recipe.model)
    inputs = inputs_of(recipe, base)
    if is_finished(recipe, inputs):
        progress.say(f"{recipe.name} is finished already in {recipe.output}: nothing is trained again")
        return folders
    with quiet_training():
        job = _prepare(recipe, base)
        _train(job, recipe, base, inputs=inputs, progress=progress)
    return folders


def _prepare(recipe: Recipe, base: Base) -> Job:
    from forgetbench.recipes.lora_causal import prepare_causal
    from forgetbench.recipes.lora_whisper import prepare_whisper

    return prepare_whisper(recipe, base) if recipe.family == "whisper" else prepare_causal(recipe, base)


def _train(job: Job, recipe: Recipe, base: Base, *, inputs: Inputs, progress: Progress) -> None:
    output = Path(recipe.output).expanduser()
    output.mkdir(parents=True, exist_ok=True)
    facts = _facts_maker(job, recipe, inputs)
    resume_from = last_complete_checkpoint(output)
    done = int(resume_from.name.rpartition("-")[2]) if resume_from else 0
    write_facts(output, facts(done, "running"))

    def saved(folder: Path, step: int) -> None:
        keep_adapter_only(folder, base, to_resume=True)
        write_facts(folder, facts(step, "finished"))

    watch(job.trainer, recipe, progress=progress, saved=saved)
    progress.begin(f"recipe {recipe.name}", recipe.steps, done)
    job.trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    job.trainer.model.save_pretrained(output)
    job.trainer.state.save_to_json(str(output / "trainer_state.json"))
    for folder in checkpoint_directories(recipe):
        keep_adapter_only(folder, base, to_resume=False)
    write_facts(output, facts(recipe.steps, "finished"))
    progress.end()


def _facts_maker(job: Job, recipe: Recipe, inputs: Inputs) -> Callable[..., RecipeFacts]:
    """Return a function that states the facts after a number of steps."""
    parameters = sum(p.numel() for p in job.trainer.model.parameters() if p.requires_grad)
    available = job.audio_s_available
    versions = {name: found for name in _VERSIONS if (found := package_version(name))}

    def facts(step: int, status: str) -> RecipeFacts:
        n_examples = step * recipe.batch_size
        seen = job.exposure.after(n_examples)
        return RecipeFacts.model_validate(
            {
                "recipe": recipe,
                **asdict(inputs),
                "status": status,
                "step": step,
                "trained_parameters": parameters,
                "examples_seen": n_examples,
                "tokens_seen": int(seen) if job.exposure.unit == "tokens" else None,
                "audio_s_available": None if available is None else round(available, 3),
                "audio_s_seen": round(seen, 3) if job.exposure.unit == "audio_s" else None,
                "target_loss": target_loss(job.trainer.state.log_history),
                "versions": versions,
            }
        )

    return facts

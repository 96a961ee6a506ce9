"""A recipe becomes a checkpoint, with others along the way at the steps that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from forgetbench.atomic import write_atomically
from forgetbench.engine.environment import package_version
from forgetbench.engine.progress import Progress, Silent
from forgetbench.recipes.base import Base, locate_base
from forgetbench.recipes.make import command_of
from forgetbench.recipes.methods import check_method
from forgetbench.recipes.output import (
    Inputs,
    checkpoint_directories,
    finish_weights,
    forget_optimiser,
    inputs_of,
    is_finished,
    keep_checkpoint,
    last_complete_checkpoint,
    write_facts,
)
from forgetbench.recipes.trainable import train_in_float32
from forgetbench.recipes.training import (
    Job,
    check_examples,
    last_reward,
    memory_errors,
    quiet_training,
    refuse_broken_weights,
    watch,
)
from forgetbench.schema.recipe import Contamination, Recipe, RecipeFacts

_VERSIONS = ("forgetbench", "torch", "transformers", "peft", "trl")


def run_recipe(
    recipe: Recipe, *, progress: Progress | None = None, contamination: Contamination | None = None
) -> list[Path]:
    """Train a recipe, or go on with it, or find it finished.

    On a CPU the same recipe on the same data gives the same bytes, interrupted or not.

    Args:
        recipe: What to train, on what, and where to write.
        progress: Told of the steps, and of a recipe that was finished before.
        contamination: What was found in the data, for the facts.

    Returns:
        The checkpoint directories, transformers or PEFT: ``checkpoint-<step>`` by step, then the output
        directory itself, which holds the final one.

    Raises:
        CheckpointError: The base is not there.
        DataError: The data cannot be used.
        UsageError: The output directory holds something else, or the recipe does not fit the model.
        ForgetbenchError: The loss is no longer finite, or there is not enough memory.
    """
    progress = progress or Silent()
    check_method(recipe)
    folders = checkpoint_directories(recipe)
    base = locate_base(recipe.model)
    inputs = inputs_of(recipe, base)
    if is_finished(recipe, inputs):
        progress.say(f"{recipe.name} is finished already in {recipe.output}: nothing is trained again")
        return folders
    with quiet_training(), memory_errors(recipe):
        job = _prepare(recipe, base)
        train_in_float32(job.trainer.model)
        check_examples(job.trainer, recipe)
        _train(job, recipe, base, inputs=inputs, contamination=contamination, progress=progress)
    return folders


def _prepare(recipe: Recipe, base: Base) -> Job:
    from forgetbench.recipes.causal_lm import prepare_causal
    from forgetbench.recipes.enhancer import prepare_enhancer
    from forgetbench.recipes.preferences import prepare_dpo, prepare_grpo
    from forgetbench.recipes.unit_lm import prepare_unit_lm
    from forgetbench.recipes.whisper import prepare_whisper

    if recipe.family == "whisper":
        return prepare_whisper(recipe, base)
    if recipe.family == "enhancer":
        return prepare_enhancer(recipe, base)
    if recipe.family == "unit_lm":
        return prepare_unit_lm(recipe, base)
    if recipe.method == "dpo":
        return prepare_dpo(recipe, base)
    return prepare_grpo(recipe, base) if recipe.method == "grpo" else prepare_causal(recipe, base)


def _train(
    job: Job,
    recipe: Recipe,
    base: Base,
    *,
    inputs: Inputs,
    contamination: Contamination | None,
    progress: Progress,
) -> None:
    output = Path(recipe.output).expanduser()
    output.mkdir(parents=True, exist_ok=True)
    facts = _facts_maker(job, recipe, inputs, contamination)
    resume_from = last_complete_checkpoint(output)
    done = int(resume_from.name.rpartition("-")[2]) if resume_from else 0
    write_facts(output, facts(done, "running"))
    for name, content in job.attached.items():
        write_atomically(output / name, content)

    def saved(folder: Path, step: int) -> None:
        refuse_broken_weights(job.trainer.model, recipe, step)
        keep_checkpoint(folder, base, to_resume=True)
        write_facts(folder, facts(step, "finished"))
        for earlier in output.glob("checkpoint-*"):
            if earlier != folder:
                forget_optimiser(earlier)

    watch(job.trainer, recipe, progress=progress, saved=saved)
    progress.begin(f"recipe {recipe.name}", recipe.steps, done)
    job.trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    refuse_broken_weights(job.trainer.model, recipe, recipe.steps)
    finish_weights(job.trainer, recipe)
    job.trainer.state.save_to_json(str(output / "trainer_state.json"))
    for folder in checkpoint_directories(recipe):
        keep_checkpoint(folder, base, to_resume=False)
    write_facts(output, facts(recipe.steps, "finished"))
    progress.end()


def _facts_maker(
    job: Job, recipe: Recipe, inputs: Inputs, contamination: Contamination | None
) -> Callable[..., RecipeFacts]:
    """Return a function that states the facts after a number of steps."""
    parameters = sum(p.numel() for p in job.trainer.model.parameters() if p.requires_grad)
    available = job.audio_s_available
    losses: dict[int, float | None] = {}
    versions = {name: found for name in _VERSIONS if (found := package_version(name))}

    def facts(step: int, status: str) -> RecipeFacts:
        n_examples = step * recipe.batch_size
        seen = job.exposure.after(n_examples)
        if status == "finished" and step not in losses:
            losses[step] = job.measure_loss(job.trainer.model, job.probe)
        return RecipeFacts.model_validate(
            {
                "recipe": recipe,
                "reproduce": command_of(recipe),
                **asdict(inputs),
                "status": status,
                "step": step,
                "trained_parameters": parameters,
                "examples_seen": n_examples,
                "tokens_seen": int(seen) if job.exposure.unit == "tokens" else None,
                "audio_s_available": None if available is None else round(available, 3),
                "audio_s_seen": round(seen, 3) if job.exposure.unit == "audio_s" else None,
                "target_loss": losses.get(step),
                "reward": last_reward(job.trainer.state.log_history),
                "contamination": contamination,
                "versions": versions,
            }
        )

    return facts

"""The training loop that every method shares: transformers' Trainer, watched, resumable and quiet."""

from __future__ import annotations

import errno
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forgetbench.engine.progress import Progress
from forgetbench.errors import ForgetbenchError
from forgetbench.recipes.target_loss import loss_on
from forgetbench.schema.recipe import Recipe

_WINDOW = 5
_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
_NO_MEMORY = ("not enough memory", "out of memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How much of the data each training example holds, in the order of training."""

    unit: Literal["tokens", "audio_s"]
    per_example: Sequence[float]

    def after(self, n_examples: int) -> float:
        """Return the sum over the first examples."""
        return sum(self.per_example[:n_examples])


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trainer that is ready to run, over examples in the order of its data set.

    Attributes:
        probe: Inputs with labels, on which the target loss is measured; empty where there are no references.
        audio_s_available: Seconds of the recordings that the examples are made of, each counted once.
        measure_loss: Takes the model and the probe.
        attached: Files for the output directory, by name: what a model wrote to be learned.
    """

    trainer: Any
    exposure: Exposure
    probe: Sequence[Mapping[str, Any]]
    audio_s_available: float | None = None
    attached: Mapping[str, bytes] = field(default_factory=dict)
    measure_loss: Callable[[Any, Sequence[Mapping[str, Any]]], float | None] = loss_on


def common_arguments(recipe: Recipe) -> dict[str, Any]:
    """Return the training arguments that all methods share.

    Examples come in the data set's own order (it has been shuffled by seed), and checkpoints are asked for by
    ``watch``.
    """
    import torch

    return {
        "output_dir": str(Path(recipe.output).expanduser()),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": recipe.warmup_steps,
        "lr_scheduler_type": _SCHEDULES[recipe.schedule],
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": recipe.seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": False,
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "report_to": "none",
    }


def check_examples(trainer: Any, recipe: Recipe) -> None:
    """Refuse a trainer that holds other examples than the recipe plans: the facts would count others.

    Raises:
        ForgetbenchError: TRL has left some out.
    """
    held, planned = len(trainer.train_dataset), recipe.steps * recipe.batch_size
    if held != planned:
        raise ForgetbenchError(
            f"recipe {recipe.name}",
            f"TRL holds {held} of {planned} training examples: it found nothing to learn in the others",
            "Raise max_length, or shorten what is longer.",
        )


@contextmanager
def quiet_training() -> Iterator[None]:
    """Silence the bars and advice of transformers and datasets: progress is shown by us, in one line."""
    import datasets
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    dataset_bars = datasets.are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message=r"You are importing from .trl\.experimental")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if not dataset_bars:
            datasets.enable_progress_bars()


def last_reward(log_history: Sequence[dict[str, float]]) -> float | None:
    """Return the mean reward of the last five steps of a trainer's log; None where there is none."""
    rewards = [entry["reward"] for entry in log_history if "reward" in entry][-_WINDOW:]
    return sum(rewards) / len(rewards) if rewards else None


@contextmanager
def memory_errors(recipe: Recipe) -> Iterator[None]:
    """Turn a lack of memory into one line.

    Raises:
        ForgetbenchError: There is not enough memory.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ForgetbenchError) or not _is_lack_of_memory(error):
            raise
        lower = "batch_size or max_length" if recipe.family in ("causal_lm", "unit_lm") else "batch_size"
        raise ForgetbenchError(
            f"recipe {recipe.name}",
            f"does not fit into memory with batch_size {recipe.batch_size}; what was saved stays",
            f"With more memory the same command goes on; lower {lower}, or train a LoRA or a smaller model, "
            "with another --output.",
        ) from error


def _is_lack_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    said = str(error).lower()
    return any(words in said for words in _NO_MEMORY)


def watch(trainer: Any, recipe: Recipe, *, progress: Progress, saved: Callable[[Path, int], None]) -> None:
    """Make a trainer report each step, keep the recipe's checkpoints, and stop at a loss that is not finite.

    Args:
        trainer: A transformers Trainer.
        recipe: Names the steps to keep.
        progress: Advanced by one for each step.
        saved: Called with the directory and the step once a checkpoint is on disk.
    """
    from transformers import PrinterCallback, TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc, unused-ignore]  # transformers is untyped here
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save = state.global_step in recipe.saved
            progress.advance(1)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs and not math.isfinite(logs["loss"]):
                raise ForgetbenchError(
                    f"recipe {recipe.name}",
                    f"the loss is {logs['loss']} at step {state.global_step}; {_kept(Path(args.output_dir))}",
                    "Lower the learning rate, or look for broken examples in the data.",
                )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            saved(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Watch())


def refuse_broken_weights(model: Any, recipe: Recipe, step: int) -> None:
    """Refuse weights that are not finite, and remove their checkpoint: a step updates them after its loss.

    Raises:
        ForgetbenchError: A trained weight is infinite or no number.
    """
    import torch

    if all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.requires_grad):
        return
    output = Path(recipe.output).expanduser()
    shutil.rmtree(output / f"checkpoint-{step}", ignore_errors=True)
    raise ForgetbenchError(
        f"recipe {recipe.name}",
        f"the weights are no longer finite at step {step}; {_kept(output)}",
        "Lower the learning rate.",
    )


def _kept(output: Path) -> str:
    steps = [int(folder.name.rpartition("-")[2]) for folder in output.glob("checkpoint-*")]
    return (
        f"checkpoint-{max(steps)} is the last good one and stays"
        if steps
        else "no checkpoint was saved before"
    )

"""How a checkpoint was trained, read from its own files: a recipe's facts, PEFT's and the Trainer's."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from forgetbench.atomic import read_object
from forgetbench.models.component import Checkpoint, Component
from forgetbench.models.recipe_facts import read_facts
from forgetbench.schema.curve import Training
from forgetbench.schema.recipe import Recipe, RecipeFacts

_LOSS_WINDOW = 5
_UNTOLD = {"name", "output", "data", "save_steps"}
"""What may differ between recipes of one training run."""


def training_of(checkpoint: Checkpoint, base: Checkpoint | None) -> Training:
    """Return how the trained component of a checkpoint was trained.

    A component that is the base's own is passed over; of several that were trained, the first that says how
    is taken.
    """
    own = {component.fingerprint for component in base.components.values()} if base else set()
    trained = [c for c in checkpoint.components.values() if c.fingerprint not in own and c.path is not None]
    records = [_of_component(component) for component in trained]
    return next(
        (record for record in records if record.steps is not None), records[0] if records else Training()
    )


def steps_in_name(name: str) -> int | None:
    """Return the step of ``checkpoint-500``, as transformers' Trainer names its directories; else None."""
    named = re.fullmatch(r"checkpoint-(\d+)", name)
    return int(named[1]) if named else None


def _of_component(component: Component) -> Training:
    assert component.path is not None
    folder = component.path if component.path.is_dir() else component.path.parent
    facts, adapter, state = (
        read_facts(folder),
        read_object(folder / "adapter_config.json"),
        read_object(folder / "trainer_state.json"),
    )
    if facts is not None:
        return _by_recipe(facts, component.alpha)
    step = state.get("global_step")
    rank, kind = adapter.get("r"), adapter.get("peft_type")
    named = steps_in_name(folder.name)
    return Training(
        run=_run_of(folder) if state or named is not None else None,
        method=kind.lower() if isinstance(kind, str) else "full" if state else None,
        steps=step if isinstance(step, int) else named,
        tokens=_count(state.get("num_input_tokens_seen")) or None,
        trained_parameters=component.adapter_parameters
        if adapter
        else component.parameters
        if state
        else None,
        lora_rank=_count(rank) or None,
        target_loss=_last_loss(state.get("log_history")),
    )


def _by_recipe(facts: RecipeFacts, alpha: float | None) -> Training:
    """Return what facts say; a part α of the change is a method, and a run, of its own."""
    recipe = facts.recipe
    part = "" if alpha is None or alpha == 1 else f" α {alpha:g}"
    return Training(
        run=f"{recipe.name} {_digest(_recipe_content(recipe) + facts.data_sha256)}{part}",
        method=f"{recipe.label}{part}",
        hyperparameters=_digest(_recipe_content(recipe, "seed") + facts.data_sha256 + part),
        steps=facts.step,
        tokens=facts.tokens_seen,
        audio_s=facts.audio_s_available,
        trained_parameters=facts.trained_parameters,
        lora_rank=recipe.rank if recipe.weights == "lora" else None,
        seed=recipe.seed,
        target_loss=facts.target_loss,
    )


def _recipe_content(recipe: Recipe, *untold: str) -> str:
    return recipe.model_dump_json(exclude=_UNTOLD.union(untold))


def _run_of(folder: Path) -> str:
    """Name the run after the directory that its checkpoints lie in; the digest tells equal names apart."""
    run = folder.resolve().parent if steps_in_name(folder.name) is not None else folder.resolve()
    return f"{run.name} {_digest(str(run))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _last_loss(history: Any) -> float | None:
    """Return the last evaluation's loss, else the mean of the last five training losses."""
    entries = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    for name, window in (("eval_loss", 1), ("loss", _LOSS_WINDOW)):
        losses = [float(e[name]) for e in entries if isinstance(e.get(name), int | float)][-window:]
        if losses and all(abs(loss) < float("inf") for loss in losses):
            return sum(losses) / len(losses)
    return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None

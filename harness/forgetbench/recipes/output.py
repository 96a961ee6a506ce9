"""The directory that a recipe writes: what is in it already, and what is left in it at the end."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forgetbench.atomic import is_left_over, write_atomically
from forgetbench.errors import UsageError
from forgetbench.models.directory import has_codec
from forgetbench.models.fingerprint import combine, read_json
from forgetbench.models.recipe_facts import read_facts
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import file_sha256, recordings_sha256
from forgetbench.recipes.enhancer_network import load_network, save_network
from forgetbench.recipes.preferences import reward_source
from forgetbench.schema.recipe import FACTS, Recipe, RecipeFacts

_CHECKPOINT = re.compile(
    r"adapter_config\.json|adapter_model\.safetensors|config\.json|generation_config\.json"
    r"|enhancer\.onnx|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|trainer_state\.json|"
    + re.escape(FACTS)
)
"""What stays of what a trainer saves."""
_OF_THE_BASE = re.compile(r".*\.(json|jinja|model|txt)")
"""Tokenizer, template and settings of a base, which a fully trained checkpoint has, too."""
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")
_ATTACHED = frozenset({"rewritten.jsonl", "pseudo_labels.jsonl"})
_TO_RESUME = frozenset({"optimizer.pt", "scheduler.pt", "rng_state.pth"})


_PLACES = {"name": True, "output": True, "data": True, "ewc_data": True, "teacher": True} | {
    name: {"data"} for name in ("safety", "replay")
}
"""Fields of a recipe that say where something is, or what it is called."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The content that a recipe starts from; the recipe itself only says where it is.

    Attributes:
        data_sha256: Of the data file.
        audio_sha256: Over the recordings; None for a language model.
        base_fingerprint: Of the base.
        other_sha256: Over what is mixed in, the data of EWC, the teacher, and a reward function of one's own;
            None without any.
    """

    data_sha256: str
    audio_sha256: str | None
    base_fingerprint: str | None
    other_sha256: str | None = None


def inputs_of(recipe: Recipe, base: Base) -> Inputs:
    """Return the digests of what a recipe starts from.

    Raises:
        CheckpointError: The base's weights cannot be read.
        DataError: The data cannot be used.
        SampleError: A recording is missing.
    """
    data = Path(recipe.data).expanduser()
    return Inputs(
        data_sha256=file_sha256(data),
        audio_sha256=recordings_sha256(data) if recipe.family != "causal_lm" else None,
        base_fingerprint=base.fingerprint,
        other_sha256=_others(recipe),
    )


def _others(recipe: Recipe) -> str | None:
    named = {"safety": recipe.safety, "replay": recipe.replay}
    files = {name: part.data for name, part in named.items() if part} | (
        {"ewc": recipe.ewc_data} if recipe.ewc and recipe.ewc_data else {}
    )
    digests = {}
    for name, file in files.items():
        path = Path(file).expanduser()
        digests[name] = file_sha256(path)
        if recipe.family != "causal_lm":
            digests[f"{name} audio"] = recordings_sha256(path)
    if recipe.teacher is not None:
        from forgetbench.models.checkpoint import resolve

        digests["teacher"] = resolve(recipe.teacher).fingerprint
    if source := reward_source(recipe):
        digests["reward"] = file_sha256(source)
    return combine(digests) if digests else None


def recipe_key(recipe: Recipe, inputs: Inputs) -> str:
    """Return the hash of everything that the weights depend on: not the recipe's name, nor any place."""
    content = recipe.model_dump(mode="json", exclude=_PLACES) | asdict(inputs)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_facts(folder: Path, facts: RecipeFacts) -> None:
    """Write the facts, as the last file of a checkpoint: a directory without them is incomplete."""
    write_atomically(folder / FACTS, facts.to_json().encode())


def checkpoint_directories(recipe: Recipe) -> list[Path]:
    """Return every directory that the recipe makes: its checkpoints by step, then the final one."""
    output = Path(recipe.output).expanduser()
    return [*(output / f"checkpoint-{step}" for step in recipe.saved), output]


def is_finished(recipe: Recipe, inputs: Inputs) -> bool:
    """Say whether this recipe, on this base and data, has made everything already.

    Raises:
        UsageError: The output directory holds something else.
    """
    output = Path(recipe.output).expanduser()
    if output.exists() and not output.is_dir():
        raise UsageError(recipe.output, "is a file", "Choose another --output.")
    facts = read_facts(output)
    if facts is None:
        if output.is_dir() and not all(is_left_over(path, FACTS) for path in output.iterdir()):
            raise UsageError(recipe.output, "is not empty, and no recipe made it", "Choose another --output.")
        return False
    if recipe_key(facts.recipe, _inputs_in(facts)) != recipe_key(recipe, inputs):
        cause = f"holds another recipe's work ({_difference(facts, recipe, inputs)})"
        raise UsageError(recipe.output, cause, "Choose another --output, or remove the directory.")
    return facts.status == "finished" and all(
        any((folder / name).is_file() for name in _WEIGHTS) and read_facts(folder) is not None
        for folder in checkpoint_directories(recipe)
    )


def _inputs_in(facts: RecipeFacts) -> Inputs:
    return Inputs(
        data_sha256=facts.data_sha256,
        audio_sha256=facts.audio_sha256,
        base_fingerprint=facts.base_fingerprint,
        other_sha256=facts.other_sha256,
    )


def _difference(facts: RecipeFacts, recipe: Recipe, inputs: Inputs) -> str:
    """Name the first setting or input that differs."""
    before, now = facts.recipe.model_dump(), recipe.model_dump()
    for field in before:
        if field not in _PLACES and before[field] != now[field]:
            return f"{field} {before[field]}, not {now[field]}"
    if facts.data_sha256 != inputs.data_sha256:
        return "other training data"
    if facts.base_fingerprint is None:
        return "made before the base's fingerprint was noted"
    if facts.base_fingerprint != inputs.base_fingerprint:
        return f"other content of {recipe.model}"
    if facts.audio_sha256 != inputs.audio_sha256:
        return "other recordings"
    return "other mixed-in data, teacher or reward function"


def last_complete_checkpoint(output: Path) -> Path | None:
    """Remove what an interrupted run left half-written, and return the last checkpoint it can go on from.

    Earlier ones are complete without the optimiser's state; later ones are made again.
    """
    folders = {
        int(f.name.rpartition("-")[2]): f for f in output.glob("checkpoint-*") if f.name[11:].isdigit()
    }
    complete = {step: folder for step, folder in folders.items() if read_facts(folder) is not None}
    resumable = [
        step for step, folder in complete.items() if all((folder / name).is_file() for name in _TO_RESUME)
    ]
    last = max(resumable, default=0)
    for step, folder in folders.items():
        if step not in complete or step > last:
            shutil.rmtree(folder)
    return complete[last] if last else None


def forget_optimiser(folder: Path) -> None:
    """Remove the state that only the last checkpoint needs: twice the size of the trained weights."""
    for name in _TO_RESUME:
        (folder / name).unlink(missing_ok=True)


def finish_weights(trainer: Any, recipe: Recipe) -> None:
    """Write the final weights into the output directory; a full model that was just saved is linked."""
    output = Path(recipe.output).expanduser()
    last = output / f"checkpoint-{recipe.steps}"
    if recipe.weights != "full" or not last.is_dir():
        trainer.save_model(str(output))
        return
    for path in last.iterdir():
        if path.is_file() and path.name not in (*_TO_RESUME, FACTS):
            target = output / path.name
            target.unlink(missing_ok=True)
            try:
                os.link(path, target)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, target)


def keep_checkpoint(folder: Path, base: Base, *, to_resume: bool) -> None:
    """Leave what evaluation reads, under the base's name as the user wrote it, and nothing of the trainer's.

    The trainer also saves the tokenizer, its arguments as a pickle and a model card of placeholders. The
    optimiser's state stays while the recipe runs (``to_resume``) and goes when it has finished.
    """
    for path in folder.iterdir():
        kept = (
            _CHECKPOINT.fullmatch(path.name)
            or path.name in _ATTACHED
            or (to_resume and path.name in _TO_RESUME)
        )
        if path.is_file() and not kept:
            path.unlink()
    if (folder / "adapter_config.json").is_file():
        _name_base_of_adapter(folder, base)
    elif base.family == "enhancer":
        save_network(load_network(folder), folder)
    elif base.family == "unit_lm":
        from forgetbench.recipes.unit_lm import complete_with_codec

        if has_codec(base.path):
            _complete_model(folder, base)
        complete_with_codec(folder, base)
    else:
        _complete_model(folder, base)


def _name_base_of_adapter(folder: Path, base: Base) -> None:
    config_path = folder / "adapter_config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base.name, "revision": base.revision}
    for key, value in config.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            config[key] = sorted(value)  # PEFT writes sets, in an order that changes from process to process
    write_atomically(config_path, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
    (folder / "adapter_model.safetensors").chmod(0o644)


def _complete_model(folder: Path, base: Base) -> None:
    """Give a fully trained model the base's tokenizer, template and settings, byte for byte, and its name."""
    for path in base.path.iterdir():
        own = path.name in (FACTS, "trainer_state.json", "adapter_config.json") or "safetensors" in path.name
        if path.is_file() and _OF_THE_BASE.fullmatch(path.name) and not own:
            write_atomically(folder / path.name, path.read_bytes())
    config = {**read_json(base.path / "config.json"), "_name_or_path": base.name}
    write_atomically(folder / "config.json", (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())

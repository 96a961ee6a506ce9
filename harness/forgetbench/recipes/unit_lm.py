"""Training of a language model over the codes of an EnCodec on recordings, by transformers' Trainer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetbench.data.audio import read_audio, read_bytes, resample
from forgetbench.errors import UsageError
from forgetbench.models.directory import CODEC, has_codec
from forgetbench.models.interface import Audio
from forgetbench.models.unit_lm import WINDOW, Units, n_codebooks
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import nested_part, read_training_rows, recording_durations_s
from forgetbench.recipes.mixing import TARGET, Place, sources_of, training_places
from forgetbench.recipes.penalty import fisher_diagonal, kept_data, penalised
from forgetbench.recipes.target_loss import spread
from forgetbench.recipes.trainable import trainable
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.schema.recipe import Recipe

_FRESH: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": WINDOW,
}
"""A Llama that a CPU trains in minutes: for trying things out, not for speech that anyone would believe."""
_IGNORED = -100  # a label that the loss passes over
_CODEC_FILES = re.compile(r"(preprocessor_)?config\.json|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")

Tokens = list[int]


def prepare_unit_lm(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{audio}`` rows, each from its beginning, cut at ``max_length`` units.

    A base that is a codec alone gets a fresh model over the codebooks of its lowest bandwidth.

    Raises:
        CheckpointError: Model or codec cannot be loaded.
        DataError: The manifest cannot be used.
        SampleError: A recording is missing or broken.
        UsageError: An adapter was asked for where there is nothing to put it on.
    """
    from transformers import Trainer, TrainingArguments

    model, units = _model_and_units(recipe, base)
    speech = {name: _load(path, units, recipe, is_target=name == TARGET) for name, path in _files(recipe)}
    places = training_places(recipe, {name: len(rows) for name, rows in speech.items()})
    trained = trainable(model, recipe, base, task_type="CAUSAL_LM")
    trainer = penalised(Trainer, recipe, trained, _fisher(model, units, recipe))(
        model=trained,
        args=TrainingArguments(**common_arguments(recipe), label_names=["labels"]),
        train_dataset=_Examples(speech, places),
        data_collator=_collate,
    )
    lengths = [len(speech[place.source][place.row]) - 1 for place in places]
    durations_s = recording_durations_s(Path(recipe.data).expanduser())
    return Job(
        trainer=trainer,
        exposure=Exposure(unit="tokens", per_example=lengths),
        probe=[_collate([tokens]) for tokens in spread(speech[TARGET])],
        audio_s_available=sum(durations_s[i] for i in _chosen(recipe, durations_s)),
    )


def complete_with_codec(folder: Path, base: Base) -> None:
    """Put the base's codec beside a fully trained model: without it, its tokens mean nothing."""
    source = base.path / CODEC if has_codec(base.path) else base.path
    (folder / CODEC).mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and _CODEC_FILES.fullmatch(path.name):
            shutil.copyfile(path, folder / CODEC / path.name)


def _model_and_units(recipe: Recipe, base: Base) -> tuple[Any, Units]:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(recipe.seed)
    if has_codec(base.path):
        model = AutoModelForCausalLM.from_pretrained(base.path)
        return model, Units.load(base.path / CODEC, n_codebooks(base.path, model.config))
    if recipe.weights != "full":
        cause = f"weights={recipe.weights} adapts a model, and {recipe.model} is a codec alone"
        raise UsageError(f"recipe {recipe.name}", cause, "Train weights=full first, and adapt what it makes.")
    units = Units.load(base.path)
    start = units.start
    tokens = {"vocab_size": start + 1, "bos_token_id": start, "eos_token_id": start, "pad_token_id": start}
    return LlamaForCausalLM(LlamaConfig(**_FRESH, **tokens)), units


def _files(recipe: Recipe) -> Sequence[tuple[str, Path]]:
    return tuple(sources_of(recipe).items())


def _chosen(recipe: Recipe, durations_s: Sequence[float]) -> Sequence[int]:
    if recipe.audio_s is None:
        return range(len(durations_s))
    return nested_part(durations_s, recipe.audio_s, recipe.seed)


def _load(manifest: Path, units: Units, recipe: Recipe, *, is_target: bool) -> list[Tokens]:
    """Return the start token and the units of every recording that is trained on."""
    rows = read_training_rows(manifest, ("audio",))
    if is_target:
        rows = [rows[i] for i in _chosen(recipe, recording_durations_s(manifest))]
    found = []
    for row in rows:
        samples, rate = read_audio(read_bytes(manifest.parent / row["audio"], row["audio"]), row["audio"])
        clip = Audio(samples=resample(samples, rate, units.sampling_rate), sampling_rate=units.sampling_rate)
        found.append([units.start, *units.of(clip)[: recipe.max_length].tolist()])
    return found


def _fisher(model: Any, units: Units, recipe: Recipe) -> Any:
    if not recipe.ewc:
        return None
    kept = _load(kept_data(recipe), units, recipe, is_target=False)[: recipe.ewc_examples]
    modules = recipe.target_modules if recipe.weights == "lora" else None
    return fisher_diagonal(model, [_collate([tokens]) for tokens in kept], modules=modules)


class _Examples:
    """The training examples in order."""

    def __init__(self, speech: Mapping[str, Sequence[Tokens]], places: Sequence[Place]) -> None:
        self._speech, self._places = speech, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> Tokens:
        place = self._places[position]
        return self._speech[place.source][place.row]


def _collate(rows: Sequence[Tokens]) -> dict[str, Any]:
    """Pad to the longest; the start token is read and not predicted."""
    import torch

    def padded(value: int, row: Tokens, longest: int) -> Tokens:
        return row + [value] * (longest - len(row))

    longest = max(len(row) for row in rows)
    labels = [[_IGNORED, *row[1:]] for row in rows]
    return {
        "input_ids": torch.tensor([padded(row[0], row, longest) for row in rows]),
        "labels": torch.tensor([padded(_IGNORED, row, longest) for row in labels]),
        "attention_mask": torch.tensor([padded(0, [1] * len(row), longest) for row in rows]),
    }

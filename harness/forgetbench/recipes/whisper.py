"""Fine-tuning of Whisper on transcripts or on pseudo-labels, by transformers' Seq2SeqTrainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetbench.data.audio import read_audio, read_bytes, resample
from forgetbench.data.noise import make_noise, mix_at_snr
from forgetbench.errors import DataError, UsageError
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import nested_part, read_training_rows, recording_durations_s
from forgetbench.recipes.mixing import TARGET, Place, sources_of, training_places
from forgetbench.recipes.penalty import fisher_diagonal, kept_data, penalised
from forgetbench.recipes.pseudo_labels import PSEUDO_LABELS, pseudo_labels
from forgetbench.recipes.target_loss import spread
from forgetbench.recipes.trainable import load_base, trainable
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.recipes.written import as_jsonl
from forgetbench.schema.recipe import Recipe, RecipeNoise

_WINDOW_S = 30.0
_IGNORED = -100  # a label that the loss passes over
_NOISE_SOURCES = 12
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING")

_Row = tuple[str, Path, str]


def prepare_whisper(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{audio, text}`` rows, audio relative to the manifest and up to 30 s.

    Pseudo-labels and distillation need no ``text``: a model's own transcripts take its place.

    Raises:
        DataError: The manifest or a transcript cannot be used.
        SampleError: A recording is missing or broken.
        UsageError: The recipe asks for what the model does not have.
    """
    _check(recipe)
    from transformers import (
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )

    processor = WhisperProcessor.from_pretrained(base.path)
    model = load_base(WhisperForConditionalGeneration, recipe, base)
    if model.generation_config.is_multilingual:
        processor.tokenizer.set_prefix_tokens(language=recipe.language, task="transcribe")
    longest = model.config.max_target_positions
    rows = _rows(recipe, base)
    speech = {name: _load(found, processor, longest) for name, found in rows.items()}
    places = training_places(recipe, {name: len(utterances) for name, utterances in speech.items()})
    examples = _Examples(
        speech=speech, places=places, processor=processor, noise=recipe.noise, seed=recipe.seed
    )
    fisher = _fisher(model, recipe, processor, longest)
    trained = trainable(model, recipe, base, task_type=None)
    trainer = penalised(Seq2SeqTrainer, recipe, trained, fisher)(
        model=trained,
        args=Seq2SeqTrainingArguments(**common_arguments(recipe), label_names=["labels"]),
        train_dataset=examples,
        data_collator=_collate,
    )
    return Job(
        trainer=trainer,
        exposure=Exposure(
            unit="audio_s", per_example=[speech[place.source][place.row].duration_s for place in places]
        ),
        probe=[_as_batch(utterance, processor) for utterance in spread(speech[TARGET])],
        audio_s_available=sum(utterance.duration_s for utterance in speech[TARGET]),
        attached=_attached(rows[TARGET], recipe),
    )


def _attached(rows: Sequence[_Row], recipe: Recipe) -> dict[str, bytes]:
    if recipe.method == "sft":
        return {}
    return {PSEUDO_LABELS: as_jsonl([{"audio": name, "text": text} for name, _, text in rows])}


def _check(recipe: Recipe) -> None:
    kind = str((recipe.peft or {}).get("peft_type", "")).upper()
    if recipe.weights == "peft" and kind in _PROMPTS:
        cause = f"{kind} puts virtual tokens before a text, and Whisper's encoder reads sound"
        raise UsageError(f"recipe {recipe.name}", cause, "Use weights=lora, full, or peft.peft_type=IA3.")


def _rows(recipe: Recipe, base: Base) -> dict[str, list[_Row]]:
    """Return name, path and transcript of the recordings that are trained on, by source."""
    found: dict[str, list[_Row]] = {}
    for source, manifest in sources_of(recipe).items():
        heard = source == TARGET and recipe.method in ("pseudo-label", "distillation")
        rows = read_training_rows(manifest, ("audio",) if heard else ("audio", "text"))
        if source == TARGET and recipe.audio_s is not None:
            durations_s = recording_durations_s(manifest)
            rows = [rows[i] for i in nested_part(durations_s, recipe.audio_s, recipe.seed)]
        texts = pseudo_labels(rows, manifest, recipe, base) if heard else [row["text"] for row in rows]
        found[source] = [
            (row["audio"], manifest.parent / row["audio"], text)
            for row, text in zip(rows, texts, strict=True)
            if text
        ]
    return found


def _fisher(model: Any, recipe: Recipe, processor: Any, longest: int) -> Any:
    if not recipe.ewc:
        return None
    manifest = kept_data(recipe)
    rows = read_training_rows(manifest, ("audio", "text"))[: recipe.ewc_examples]
    kept = _load([(r["audio"], manifest.parent / r["audio"], r["text"]) for r in rows], processor, longest)
    modules = recipe.target_modules if recipe.weights == "lora" else None
    return fisher_diagonal(model, [_as_batch(utterance, processor) for utterance in kept], modules=modules)


@dataclass(frozen=True, kw_only=True)
class _Utterance:
    """A recording at the model's sampling rate, and its transcript as labels."""

    waveform: NDArray[np.float32]
    duration_s: float
    labels: list[int]


def _load(rows: Sequence[_Row], processor: Any, max_labels: int) -> list[_Utterance]:
    """Read every recording before training starts: a broken one is named at once, not an hour later."""
    rate = int(processor.feature_extractor.sampling_rate)
    utterances = []
    for name, path, text in rows:
        recorded, recorded_rate = read_audio(read_bytes(path, name), name)
        waveform = resample(recorded, recorded_rate, rate)
        duration_s = len(waveform) / rate
        if duration_s > _WINDOW_S:
            raise DataError(name, f"lasts {duration_s:.1f} s, and Whisper hears 30 s", "Cut it at a pause.")
        labels = _labels(text, processor.tokenizer)
        if len(labels) > max_labels:
            raise DataError(
                name,
                f"its transcript has {len(labels)} tokens, and Whisper writes {max_labels}",
                "Cut the recording and its transcript into shorter pieces.",
            )
        utterances.append(_Utterance(waveform=waveform, duration_s=duration_s, labels=labels))
    return utterances


def _labels(text: str, tokenizer: Any) -> list[int]:
    """Return what the decoder shall write after the start token: prefix, text with its leading space, end.

    The start token itself is not among them: the model puts it before the labels to make its inputs.
    """
    return list(tokenizer(f" {text.strip()}").input_ids[1:])


@dataclass(frozen=True, kw_only=True)
class _Examples:
    """The training examples in order, made when they are asked for; noise is seeded by the position."""

    speech: Mapping[str, Sequence[_Utterance]]
    places: Sequence[Place]
    processor: Any
    noise: RecipeNoise | None
    seed: int

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> dict[str, Any]:
        place = self.places[position]
        utterance = self.speech[place.source][place.row]
        waveform = utterance.waveform
        rate = int(self.processor.feature_extractor.sampling_rate)
        if self.noise is not None:
            waveform = self._noisy(waveform, place, position, rate, self.noise)
        features = self.processor.feature_extractor(waveform, sampling_rate=rate, return_tensors="pt")
        return {"input_features": features.input_features[0], "labels": utterance.labels}

    def _noisy(
        self, waveform: NDArray[np.float32], place: Place, position: int, rate: int, noise: RecipeNoise
    ) -> NDArray[np.float32]:
        rng = np.random.default_rng([self.seed, position])
        speech = self.speech[place.source]
        n_others = len(speech) - 1
        chosen = rng.choice(n_others, size=min(n_others, _NOISE_SOURCES), replace=False)
        others = [speech[i + (i >= place.row)].waveform for i in chosen.tolist()]
        snr_db = float(rng.choice(noise.snr_db))
        return mix_at_snr(
            waveform, make_noise(noise.kind, len(waveform), rate, rng=rng, others=others), snr_db, rate
        )


def _collate(examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    import torch

    labels = [torch.tensor(example["labels"]) for example in examples]
    return {
        "input_features": torch.stack([example["input_features"] for example in examples]),
        "labels": torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=_IGNORED),
    }


def _as_batch(utterance: _Utterance, processor: Any) -> dict[str, Any]:
    rate = int(processor.feature_extractor.sampling_rate)
    features = processor.feature_extractor(utterance.waveform, sampling_rate=rate, return_tensors="pt")
    return _collate([{"input_features": features.input_features[0], "labels": utterance.labels}])

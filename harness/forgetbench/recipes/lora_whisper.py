"""LoRA on Whisper, by transformers' Seq2SeqTrainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetbench.data.audio import read_audio, read_bytes, resample
from forgetbench.data.noise import make_noise, mix_at_snr
from forgetbench.errors import DataError
from forgetbench.recipes.adapter import add_adapter
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import (
    nested_part,
    read_training_rows,
    recording_durations_s,
    training_order,
)
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.schema.recipe import Recipe, RecipeNoise

_WINDOW_S = 30.0
_IGNORED = -100  # a label that the loss passes over
_NOISE_SOURCES = 12


def prepare_whisper(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{audio, text}`` rows, audio relative to the manifest and up to 30 s.

    Raises:
        DataError: The manifest or a transcript cannot be used.
        SampleError: A recording is missing or broken.
        UsageError: The recipe asks for what the model does not have.
    """
    import torch
    from transformers import (
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )

    processor = WhisperProcessor.from_pretrained(base.path)
    model = WhisperForConditionalGeneration.from_pretrained(base.path, dtype=torch.float32)
    if model.generation_config.is_multilingual:
        processor.tokenizer.set_prefix_tokens(language=recipe.language, task="transcribe")
    speech = _load(_rows(recipe), processor, model.config.max_target_positions)
    order = training_order(len(speech), recipe.steps * recipe.batch_size, recipe.seed)
    examples = _Examples(
        speech=speech, order=order, processor=processor, noise=recipe.noise, seed=recipe.seed
    )
    trainer = Seq2SeqTrainer(
        model=add_adapter(model, recipe, base, task_type=None),
        args=Seq2SeqTrainingArguments(**common_arguments(recipe), label_names=["labels"]),
        train_dataset=examples,
        data_collator=_collate,
    )
    durations = [speech[i].duration_s for i in order]
    return Job(
        trainer=trainer,
        exposure=Exposure(unit="audio_s", per_example=durations),
        audio_s_available=sum(utterance.duration_s for utterance in speech),
    )


def _rows(recipe: Recipe) -> list[tuple[str, Path, str]]:
    """Return name, path and transcript of the recordings that the recipe trains on."""
    manifest = Path(recipe.data).expanduser()
    rows = read_training_rows(manifest, ("audio", "text"))
    if recipe.audio_s is not None:
        rows = [rows[i] for i in nested_part(recording_durations_s(manifest), recipe.audio_s, recipe.seed)]
    return [(row["audio"], manifest.parent / row["audio"], row["text"]) for row in rows]


@dataclass(frozen=True, kw_only=True)
class _Utterance:
    """A recording at the model's sampling rate, and its transcript as labels."""

    waveform: NDArray[np.float32]
    duration_s: float
    labels: list[int]


def _load(rows: Sequence[tuple[str, Path, str]], processor: Any, max_labels: int) -> list[_Utterance]:
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
            raise DataError(name, f"its transcript has {len(labels)} tokens, and Whisper writes {max_labels}")
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

    speech: Sequence[_Utterance]
    order: Sequence[int]
    processor: Any
    noise: RecipeNoise | None
    seed: int

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> dict[str, Any]:
        index = self.order[position]
        waveform = self.speech[index].waveform
        rate = int(self.processor.feature_extractor.sampling_rate)
        if self.noise is not None:
            waveform = self._noisy(waveform, index, position, rate, self.noise)
        features = self.processor.feature_extractor(waveform, sampling_rate=rate, return_tensors="pt")
        return {"input_features": features.input_features[0], "labels": self.speech[index].labels}

    def _noisy(
        self, waveform: NDArray[np.float32], index: int, position: int, rate: int, noise: RecipeNoise
    ) -> NDArray[np.float32]:
        rng = np.random.default_rng([self.seed, position])
        n_others = len(self.speech) - 1
        chosen = rng.choice(n_others, size=min(n_others, _NOISE_SOURCES), replace=False)
        others = [self.speech[i + (i >= index)].waveform for i in chosen.tolist()]
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

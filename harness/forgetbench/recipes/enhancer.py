"""Training of the small enhancer on recordings with noise added, by transformers' Trainer on −SI-SDR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetbench.data.audio import read_audio, read_bytes, resample
from forgetbench.data.noise import make_noise, mix_at_snr
from forgetbench.errors import UsageError
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import read_training_rows
from forgetbench.recipes.enhancer_network import RATE, load_network
from forgetbench.recipes.mixing import TARGET, Place, sources_of, training_places
from forgetbench.recipes.penalty import penalised
from forgetbench.recipes.target_loss import spread
from forgetbench.recipes.training import Exposure, Job, common_arguments
from forgetbench.schema.recipe import Recipe, RecipeNoise

_SEGMENT_S = 2.0
_NOISE_SOURCES = 12
_PROBE = 3
"""Keeps the noise of the probe apart from that of training."""

Waveform = NDArray[np.float32]


def prepare_enhancer(recipe: Recipe, base: Base) -> Job:
    """Return the trainer for ``{audio}`` rows: clean recordings, of which two seconds at a time are seen.

    Raises:
        DataError: The manifest cannot be used.
        SampleError: A recording is missing or broken.
        UsageError: There is no noise to learn to take away.
    """
    if recipe.noise is None:
        raise UsageError(f"recipe {recipe.name}", "an enhancer learns from noise", "Give --noise babble.")
    from transformers import Trainer, TrainingArguments

    speech = {name: _load(path) for name, path in sources_of(recipe).items()}
    places = training_places(recipe, {name: len(clips) for name, clips in speech.items()})
    examples = _Examples(speech=speech, places=places, noise=recipe.noise, seed=recipe.seed)
    network = _with_loss(load_network(base.path))
    trainer = penalised(Trainer, recipe, network, None)(
        model=network,
        args=TrainingArguments(**common_arguments(recipe), label_names=["clean"]),
        train_dataset=examples,
        data_collator=_collate,
    )
    chosen = spread([Place(TARGET, row) for row in range(len(speech[TARGET]))])
    probe = _Examples(speech=speech, places=chosen, noise=recipe.noise, seed=_PROBE)
    return Job(
        trainer=trainer,
        exposure=Exposure(unit="audio_s", per_example=[_SEGMENT_S] * len(places)),
        probe=[_collate([probe[i]]) for i in range(len(chosen))],
        audio_s_available=sum(len(clip) / RATE for clip in speech[TARGET]),
        measure_loss=_mean_loss,
    )


def _load(manifest: Any) -> list[Waveform]:
    clips = []
    for row in read_training_rows(manifest, ("audio",)):
        samples, rate = read_audio(read_bytes(manifest.parent / row["audio"], row["audio"]), row["audio"])
        clips.append(resample(samples, rate, RATE))
    return clips


@dataclass(frozen=True, kw_only=True)
class _Examples:
    """Segments in order, noisy and clean; position and seed decide where they are cut and what is added."""

    speech: Mapping[str, Sequence[Waveform]]
    places: Sequence[Place]
    noise: RecipeNoise
    seed: int

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> dict[str, Waveform]:
        place = self.places[position]
        clips = self.speech[place.source]
        rng = np.random.default_rng([self.seed, position])
        clean = _segment(clips[place.row], rng)
        n_others = len(clips) - 1
        chosen = rng.choice(n_others, size=min(n_others, _NOISE_SOURCES), replace=False)
        others = [clips[i + (i >= place.row)] for i in chosen.tolist()]
        noise = make_noise(self.noise.kind, len(clean), RATE, rng=rng, others=others)
        noisy = mix_at_snr(clean, noise, float(rng.choice(self.noise.snr_db)), RATE)
        return {"noisy": np.asarray(noisy, np.float32), "clean": clean}


def _segment(clip: Waveform, rng: np.random.Generator) -> Waveform:
    n = round(_SEGMENT_S * RATE)
    start = int(rng.integers(max(len(clip) - n, 0) + 1))
    found = clip[start : start + n]
    return np.pad(found, (0, n - len(found))).astype(np.float32)


def _collate(examples: Sequence[Mapping[str, Waveform]]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(np.stack([e[name] for e in examples])) for name in ("noisy", "clean")}


def _with_loss(network: Any) -> Any:
    """Make a network return its loss where the clean speech is given, as transformers' Trainer wants."""
    kind = type(network)

    class WithLoss(kind):  # type: ignore[misc, valid-type, unused-ignore]  # a class of run time
        def forward(self, noisy: Any, clean: Any = None) -> Any:
            enhanced = super().forward(noisy)
            return enhanced if clean is None else {"loss": -si_sdr(enhanced, clean).mean()}

    network.__class__ = WithLoss
    return network


def si_sdr(enhanced: Any, clean: Any) -> Any:
    """Return the scale-invariant signal-to-distortion ratio of each clip in dB (Le Roux et al. 2019).

    Args:
        enhanced: Shape (batch, samples).
        clean: The same shape.
    """
    import torch

    tiny = torch.finfo(clean.dtype).eps
    enhanced = enhanced - enhanced.mean(-1, keepdim=True)
    clean = clean - clean.mean(-1, keepdim=True)
    scale = (enhanced * clean).sum(-1, keepdim=True) / (clean.square().sum(-1, keepdim=True) + tiny)
    wanted = scale * clean
    rest = enhanced - wanted
    return 10 * torch.log10((wanted.square().sum(-1) + tiny) / (rest.square().sum(-1) + tiny))


def _mean_loss(model: Any, batches: Sequence[Mapping[str, Any]]) -> float | None:
    import torch

    model.eval()
    with torch.no_grad():
        losses = [float(model(**{k: v.to(_device(model)) for k, v in b.items()})["loss"]) for b in batches]
    model.train()
    return sum(losses) / len(losses) if losses else None


def _device(model: Any) -> Any:
    return next(model.parameters()).device

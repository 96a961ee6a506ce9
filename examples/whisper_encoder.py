"""The encoder of a Whisper by a Python factory: what its layers hold, and how far a training moved them.

    cd examples
    WHISPER=./whisper-lora forgetbench run --model whisper_encoder:trained --base whisper_encoder:tiny_en \
        --tasks probes-mini

``trained`` is the checkpoint that the variable WHISPER names: a directory, a LoRA, or a hub id. ``shuffled``,
``untrained`` and ``log_mel`` are yardsticks: a probe that reads as much from them does not need what was
learnt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings

TINY_EN = "openai/whisper-tiny.en"


class WhisperEncoder:
    """Hears a clip as Whisper does, filled up to 30 s, and averages over the frames of the clip alone.

    Args:
        checkpoint: What ``--model`` takes: a directory, an adapter, or a hub id of a Whisper.
        change: Changes the encoder after it was loaded.

    Attributes:
        sampling_rate: In Hz.
        fingerprint: Of the checkpoint and of its change: equal ones have the same features.
    """

    def __init__(self, checkpoint: str, change: Callable[[Any], None] | None = None) -> None:
        component = resolve(checkpoint).components.get("asr")
        if component is None or not component.architecture.startswith("Whisper"):
            raise CheckpointError(checkpoint, "is no Whisper", "Name a Whisper, or a LoRA of one.")
        recogniser: Any = load(component, LoadSettings())
        self._encoder = recogniser.model.get_encoder()
        self._extractor = recogniser.processor.feature_extractor
        self.sampling_rate = int(self._extractor.sampling_rate)
        self.fingerprint = f"encoder of {component.fingerprint}"
        if change is not None:
            change(self._encoder)
            self.fingerprint += f", {change.__name__}"

    @torch.inference_mode()
    def embed(self, audio: Sequence[Audio]) -> list[NDArray[np.float32]]:
        """Return the mean over time of each layer's input and the last one's output, (layers + 1, width)."""
        return [self._embed(clip.samples) for clip in audio]

    def _embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = self._extractor(samples, sampling_rate=self.sampling_rate, return_tensors="pt").input_features
        states = self._encoder(heard, output_hidden_states=True).hidden_states
        step = 2 * self._extractor.hop_length  # the second convolution halves the rate of the frames
        n_frames = min(max(1, len(samples) // step), states[0].shape[1])
        means = torch.stack([state[0, :n_frames].mean(dim=0) for state in states])
        return means.numpy()


class LogMel:
    """The mean log-mel spectrum that Whisper hears, shape (1, 80): no model at all."""

    sampling_rate = 16_000
    fingerprint = "mean log-mel spectrum, 80 bands"

    def __init__(self) -> None:
        from transformers import WhisperFeatureExtractor

        self._extractor = WhisperFeatureExtractor()

    def embed(self, audio: Sequence[Audio]) -> list[NDArray[np.float32]]:
        """Return one layer for each clip."""
        return [self._embed(clip.samples) for clip in audio]

    def _embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = self._extractor(samples, sampling_rate=self.sampling_rate, return_tensors="np").input_features
        n_frames = max(1, len(samples) // self._extractor.hop_length)
        mean: NDArray[np.float32] = heard[0, :, :n_frames].mean(axis=1, keepdims=True).T
        return mean


def tiny_en() -> WhisperEncoder:
    """Return the encoder of Whisper tiny.en."""
    return WhisperEncoder(TINY_EN)


def base() -> WhisperEncoder:
    """Return that of Whisper base, which is wider and deeper: no layers to compare with those of tiny.en."""
    return WhisperEncoder("openai/whisper-base")


def trained() -> WhisperEncoder:
    """Return that of the checkpoint that the variable WHISPER names."""
    if "WHISPER" not in os.environ:
        raise CheckpointError("whisper_encoder:trained", "WHISPER is not set", "Run with WHISPER=DIRECTORY.")
    return WhisperEncoder(os.environ["WHISPER"])


def shuffled() -> WhisperEncoder:
    """Return that of tiny.en with its layers in the reverse order."""
    return WhisperEncoder(TINY_EN, reverse_layers)


def untrained() -> WhisperEncoder:
    """Return one like that of tiny.en whose weights nobody trained."""
    return WhisperEncoder(TINY_EN, draw_weights)


def log_mel() -> LogMel:
    """Return the spectrum."""
    return LogMel()


def reverse_layers(encoder: Any) -> None:
    """Let the last layer hear first."""
    encoder.layers = torch.nn.ModuleList(reversed(encoder.layers))


def draw_weights(encoder: Any) -> None:
    """Draw all weights again, as before a training."""
    torch.manual_seed(0)
    fresh = type(encoder)(encoder.config)
    encoder.load_state_dict(fresh.state_dict())

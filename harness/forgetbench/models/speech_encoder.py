"""Self-supervised speech encoders without a head: Wav2Vec2, Wav2Vec2-Conformer, HuBERT, WavLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forgetbench.models.clips import samples_of
from forgetbench.models.component import Component
from forgetbench.models.interface import Audio
from forgetbench.models.speech_files import load_extractor
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.schema.run import LoadSettings

_SHORTEST_S = 0.1
"""Shorter audio is padded: it would leave the convolutions without a frame."""


class SpeechEncoder:
    """``EmbedsSpeech`` over a transformers encoder.

    Args:
        model: In eval mode, on its device; one for pre-training is used without its quantiser.
        extractor: Its feature extractor, of waveforms.

    Attributes:
        sampling_rate: In Hz.
    """

    def __init__(self, model: Any, extractor: Any) -> None:
        self.model, self.extractor = model, extractor
        self.sampling_rate = int(extractor.sampling_rate)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> SpeechEncoder:
        """Load a component that can embed; ``merge`` as for ``load_weights``.

        Raises:
            CheckpointError: Weights or feature extractor cannot be loaded.
        """
        import transformers

        extractor = load_extractor(component)
        auto_class = getattr(transformers, component.architecture)
        return cls(load_weights(auto_class, component, settings, merge=merge), extractor)

    @torch.inference_mode()
    def embed(self, audio: Sequence[Audio]) -> list[NDArray[np.float32]]:
        """Return the mean over time of the input and output of every layer, shape (layers + 1, width).

        Clips are heard one by one: nothing is padded, and no clip depends on its batch.
        """
        return [self._embed(item) for item in audio]

    def _embed(self, audio: Audio) -> NDArray[np.float32]:
        clip = samples_of(audio, self.sampling_rate, shortest_s=_SHORTEST_S)
        inputs = self.extractor([clip], sampling_rate=self.sampling_rate, return_tensors="pt")
        net = without_adapter(self.model)
        net = getattr(net, net.base_model_prefix, net)
        heard = inputs.input_values.to(device=net.device, dtype=net.dtype)
        states = net(heard, output_hidden_states=True).hidden_states
        means = torch.stack([state[0].float().mean(dim=0) for state in states])
        return means.cpu().numpy()

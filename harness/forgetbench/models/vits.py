"""VITS through transformers (``VitsModel``, such as MMS-TTS): text to speech in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from forgetbench.models.component import Component
from forgetbench.models.interface import Audio
from forgetbench.models.speech_files import load_speech_tokenizer
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.schema.run import LoadSettings


class VitsVoice:
    """A ``Synthesiser`` over ``VitsModel``, without its noise: both arms speak the likeliest way.

    Args:
        model: In eval mode, on its device.
        tokenizer: Its tokenizer.

    Attributes:
        sampling_rate: In Hz.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        net = without_adapter(model)
        net.noise_scale = net.noise_scale_duration = 0.0
        self.sampling_rate = int(net.config.sampling_rate)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> VitsVoice:
        """Load a component of role ``tts``; ``merge`` as for ``load_weights``.

        Raises:
            CheckpointError: Weights or tokenizer cannot be loaded.
        """
        from transformers import VitsModel

        tokenizer = load_speech_tokenizer(component)
        return cls(load_weights(VitsModel, component, settings, merge=merge), tokenizer)

    @torch.inference_mode()
    def synthesize(self, texts: Sequence[str], *, language: str) -> list[Audio]:
        """Speak one batch, text by text; a text without a letter that the model knows is spoken as nothing.

        Args:
            texts: To be spoken.
            language: Not asked for: the model knows the one that it was trained on.
        """
        return [self._speak(text) for text in texts]

    def _speak(self, text: str) -> Audio:
        inputs = self.tokenizer(text, return_tensors="pt").to(self.model.device)
        if not inputs["input_ids"].numel():
            return Audio(samples=np.zeros(0, dtype=np.float32), sampling_rate=self.sampling_rate)
        waveform = self.model(**inputs).waveform[0].float().cpu().numpy()
        return Audio(samples=waveform, sampling_rate=self.sampling_rate)

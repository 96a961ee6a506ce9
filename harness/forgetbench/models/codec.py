"""Neural audio codecs through transformers, as resynthesis: encoded, quantised and decoded again.

The recording goes through the checkpoint's own feature extractor and the model's own ``forward``, at its
default bandwidth: transformers takes the lowest of EnCodec's and all codebooks of DAC and Mimi.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Component
from forgetbench.models.interface import Audio
from forgetbench.models.waveform import Waveform, enhance_each
from forgetbench.models.weights import load_weights
from forgetbench.schema.run import LoadSettings


class Codec:
    """An ``Enhancer`` over ``EncodecModel``, ``DacModel`` or ``MimiModel``.

    Args:
        model: In eval mode, on its device.
        extractor: Its feature extractor.

    Attributes:
        sampling_rate: In Hz.
    """

    def __init__(self, model: Any, extractor: Any) -> None:
        self.model, self.extractor = model, extractor
        self.sampling_rate = int(extractor.sampling_rate)
        self._n_channels = int(getattr(extractor, "feature_size", 1))
        self._takes = frozenset(inspect.signature(model.forward).parameters)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings) -> Codec:
        """Load a component of one of the codec architectures.

        Raises:
            CheckpointError: Weights or feature extractor cannot be loaded.
        """
        import transformers

        model = load_weights(getattr(transformers, component.architecture), component, settings)
        path = (component.base or component).path
        try:
            extractor = transformers.AutoFeatureExtractor.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                str(path),
                "has no feature extractor that can be loaded",
                "Save it beside the model with feature_extractor.save_pretrained(DIRECTORY).",
            ) from error
        return cls(model, extractor)

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Resynthesise one batch, in order; each clip goes through the codec alone and keeps its length."""
        return enhance_each(audio, self._process, sampling_rate=self.sampling_rate)

    @torch.inference_mode()
    def _process(self, samples: Waveform) -> Waveform:
        raw = samples if self._n_channels == 1 else np.stack([samples] * self._n_channels)
        extracted = self.extractor(raw_audio=raw, sampling_rate=self.sampling_rate, return_tensors="pt")
        inputs = {name: extracted[name].to(self.model.device) for name in self._takes & set(extracted)}
        inputs["input_values"] = inputs["input_values"].to(self.model.dtype)
        # (1, channels, n) of EnCodec and Mimi, (1, n) of DAC; longer than the clip where it was padded.
        made = self.model(**inputs).audio_values.float().reshape(self._n_channels, -1)
        return np.asarray(made.mean(dim=0)[: len(samples)].cpu())

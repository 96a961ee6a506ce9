"""SpeechT5 through transformers (``SpeechT5ForTextToSpeech``): text to spectrogram, and a vocoder to sound.

A directory holds the model in the transformers layout, and beside it ``vocoder/``, a ``SpeechT5HifiGan``, and
``speaker_embedding.npy``, who it speaks as (``models/speaker_embedding.py``).

The decoder drops half of what it reads of the frames before, in eval mode, too (as Tacotron 2: Shen et al.
2018, arXiv 1712.05884, §2.2); transformers has no switch for it. What is dropped is drawn with a seed that
belongs to the text: on one device it is the same for both arms, in each run and in any batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forgetbench.errors import CheckpointError, SampleError
from forgetbench.models.component import Component
from forgetbench.models.directory import VOCODER, VOCODER_ARCHITECTURE
from forgetbench.models.interface import Audio
from forgetbench.models.speaker_embedding import speaker_of
from forgetbench.models.speech_files import load_speech_tokenizer
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.schema.run import LoadSettings

FRAMES_PER_TOKEN = 20.0
"""So many frames of 16 ms a token (a letter) may take: where a voice does not stop, it is stopped.

It is transformers' own ``maxlenratio``. What was said until then is the answer.
"""


class SpeechT5Voice:
    """A ``Synthesiser`` over ``SpeechT5ForTextToSpeech`` and its vocoder.

    Args:
        model: In eval mode, on its device.
        tokenizer: Its tokenizer.
        vocoder: ``SpeechT5HifiGan``, in eval mode, on the same device.
        speaker: Float32, shape (``speaker_embedding_dim``,).

    Attributes:
        sampling_rate: In Hz, of the vocoder.
    """

    def __init__(self, model: Any, tokenizer: Any, vocoder: Any, speaker: NDArray[np.float32]) -> None:
        self.model, self.tokenizer, self.vocoder = model, tokenizer, vocoder
        self._net = without_adapter(model)
        self._speaker = torch.from_numpy(speaker)[None].to(self._net.device, self._net.dtype)
        self.sampling_rate = int(vocoder.config.sampling_rate)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> SpeechT5Voice:
        """Load a component of role ``tts``; ``merge`` as for ``load_weights``.

        Raises:
            CheckpointError: Weights, tokenizer, vocoder or speaker embedding cannot be loaded.
        """
        from transformers import SpeechT5ForTextToSpeech

        tokenizer, speaker = load_speech_tokenizer(component), speaker_of(component)
        model = load_weights(SpeechT5ForTextToSpeech, component, settings, merge=merge)
        n_mels = int(without_adapter(model).config.num_mel_bins)
        return cls(model, tokenizer, _vocoder(component.base or component, settings, n_mels), speaker)

    @torch.inference_mode()
    def synthesize(self, texts: Sequence[str], *, language: str) -> list[Audio]:
        """Speak one batch, text by text; letters that the model does not know are its unknown token.

        Args:
            texts: To be spoken.
            language: Not asked for: the model knows the one that it was trained on.

        Raises:
            SampleError: ``too_long``: the model has no positions for so many letters.
        """
        return [self._speak(text) for text in texts]

    def _speak(self, text: str) -> Audio:
        tokens = self.tokenizer(text, return_tensors="pt").input_ids.to(self._net.device)
        config, n_tokens = self._net.config, tokens.shape[1]
        if n_tokens > config.max_text_positions:
            cause = f"has {n_tokens} letters, and the model has room for {config.max_text_positions}"
            raise SampleError("too_long", text[:60], cause)
        most_frames = config.max_speech_positions * config.reduction_factor
        with _drawn_from(text, self._net.device):
            waveform = self._net.generate_speech(
                tokens,
                self._speaker,
                maxlenratio=min(FRAMES_PER_TOKEN, most_frames / n_tokens),
                vocoder=self.vocoder,
            )
        return Audio(samples=waveform.float().cpu().numpy(), sampling_rate=self.sampling_rate)


@contextmanager
def _drawn_from(text: str, device: torch.device) -> Iterator[None]:
    """Seed torch's generators by a text, and leave them afterwards as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of(text))
        yield


def seed_of(text: str) -> int:
    """Return the seed that belongs to a text: the first eight bytes of its sha256, below 2⁶³."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big") >> 1


def _vocoder(plain: Component, settings: LoadSettings, n_mels: int) -> Any:
    """Load the vocoder in a model's directory.

    Raises:
        CheckpointError: It cannot be loaded, or was made for other spectrograms.
    """
    from transformers import SpeechT5HifiGan

    assert plain.path is not None
    path = plain.path / VOCODER
    part = replace(plain, path=path, architecture=VOCODER_ARCHITECTURE, alpha=None, interpolated_from=None)
    vocoder = load_weights(SpeechT5HifiGan, part, settings)
    if vocoder.config.model_in_dim != n_mels:
        cause = f"reads spectrograms of {vocoder.config.model_in_dim} mel bands, and the model makes {n_mels}"
        raise CheckpointError(str(path), cause, "Keep model and vocoder of one training together.")
    return vocoder

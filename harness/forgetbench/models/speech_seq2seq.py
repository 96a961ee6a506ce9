"""Speech encoder-decoders through transformers: Speech2Text, Moonshine, SpeechT5; decoded greedily.

Both arms are decoded the same way, whatever generation config a checkpoint carries: of it only the ids of the
special tokens count. A transcript has at most 448 tokens, and no more than the decoder has positions.

Clips of equal length are batched, all others are heard alone: these encoders' convolutions and norms look
past an attention mask. Recordings of more than 30 s (SpeechT5: 20 s) are cut at the quietest point near the
limit into pieces that do not overlap, and the transcripts are joined by a space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from forgetbench.errors import SampleError
from forgetbench.models.clips import Waveform, samples_of, transcribe_pieces
from forgetbench.models.component import Component
from forgetbench.models.distributions import Positions, from_logits
from forgetbench.models.finite import FiniteLogits
from forgetbench.models.interface import Audio, Output
from forgetbench.models.speech_files import load_extractor, load_speech_tokenizer
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.schema.run import LoadSettings

_MAX_NEW_TOKENS = 448
_SHORTEST_S = 0.1
"""Shorter audio is padded: the widest convolutions (Moonshine's) need 56 ms for one frame."""
_LONGEST_S = 30.0
_LONGEST_S_OF = {"speecht5": 20.0}
"""SpeechT5 writes characters and has room for 450."""
_POSITIONS = ("max_target_positions", "max_text_positions", "max_position_embeddings")
"""Where the configurations of Speech2Text, SpeechT5 and Moonshine say how long a transcript can be."""


class SpeechSeq2Seq:
    """A ``SpeechRecogniser`` over ``AutoModelForSpeechSeq2Seq``.

    Args:
        model: In eval mode, on its device.
        extractor: Its feature extractor.
        tokenizer: Its tokenizer.

    Attributes:
        sampling_rate: In Hz.
        longest_s: Longer recordings are cut.
        limit: Most tokens of one transcript.
    """

    def __init__(self, model: Any, extractor: Any, tokenizer: Any) -> None:
        self.model, self.extractor, self.tokenizer = model, extractor, tokenizer
        self.sampling_rate = int(extractor.sampling_rate)
        self.longest_s = _LONGEST_S_OF.get(model.config.model_type, _LONGEST_S)
        positions = (getattr(model.config, name, None) for name in _POSITIONS)
        self.limit = min(_MAX_NEW_TOKENS, next(int(n) for n in positions if n is not None) - 1)
        self._net = without_adapter(model)
        self._ends = _neutralise_generation(self._net)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> SpeechSeq2Seq:
        """Load a component of role ``asr``; ``merge`` as for ``load_weights``.

        Raises:
            CheckpointError: Weights, tokenizer or feature extractor cannot be loaded.
        """
        from transformers import AutoModelForSpeechSeq2Seq

        extractor, tokenizer = load_extractor(component), load_speech_tokenizer(component)
        model = load_weights(AutoModelForSpeechSeq2Seq, component, settings, merge=merge)
        return cls(model, extractor, tokenizer)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order.

        Args:
            audio: At ``sampling_rate``; empty audio is heard as silence.
            language: Not asked for: the model knows the one that it was trained on.
        """
        clips = [samples_of(item, self.sampling_rate, shortest_s=_SHORTEST_S) for item in audio]
        return transcribe_pieces(
            clips, self._decode, sampling_rate=self.sampling_rate, longest_s=self.longest_s
        )

    def transcript_tokens(self, text: str, *, language: str) -> tuple[int, ...]:
        """Return the ids of a transcript, without special tokens.

        Raises:
            SampleError: ``too_long``: the decoder has no room for it.
        """
        tokens = self.tokenizer.encode(text, add_special_tokens=False)
        if len(tokens) > self.limit:
            raise SampleError("too_long", "the transcript", f"has {len(tokens)} tokens")
        return tuple(tokens)

    @torch.inference_mode()
    def predict_speech(self, audio: Audio, tokens: tuple[int, ...], *, language: str) -> Positions:
        """Hear one clip, with the transcript forced; its end is predicted, too, where the model has one.

        Raises:
            SampleError: ``too_long``: the clip is longer than ``longest_s``.
        """
        clip = samples_of(audio, self.sampling_rate, shortest_s=_SHORTEST_S)
        if len(clip) > self.longest_s * self.sampling_rate:
            raise SampleError("too_long", "a recording", f"is longer than {self.longest_s:g} s")
        config = self._net.generation_config
        forced = [int(config.decoder_start_token_id), *tokens]
        ids = torch.tensor([forced], device=self.model.device)
        logits = self._net(**self._heard([clip]), decoder_input_ids=ids, use_cache=False).logits[0]
        targets = (*tokens, *sorted(self._ends)[:1])
        return from_logits(logits[: len(targets)], targets)

    def _heard(self, clips: Sequence[Waveform]) -> dict[str, torch.Tensor]:
        """Return the model's inputs for clips of one length."""
        with np.errstate(divide="ignore", invalid="ignore"):
            features = self.extractor(list(clips), sampling_rate=self.sampling_rate, return_tensors="pt")
        name = self.extractor.model_input_names[0]
        # Speech2Text divides each band by its deviation, and that of digital silence is zero.
        finite = features[name].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        heard = finite.to(device=self.model.device, dtype=self.model.dtype)
        mask = torch.ones(heard.shape[:2], dtype=torch.long, device=heard.device)
        return {name: heard, "attention_mask": mask}

    def _decode(self, clips: Sequence[Waveform]) -> list[Output]:
        """Decode clips of one length."""
        from transformers import LogitsProcessorList

        checked = LogitsProcessorList([FiniteLogits()])
        rows = self._net.generate(**self._heard(clips), max_new_tokens=self.limit, logits_processor=checked)
        return [self._output(row) for row in rows[:, 1:].tolist()]

    def _output(self, tokens: list[int]) -> Output:
        end = next((i for i, token in enumerate(tokens) if token in self._ends), None)
        text = self.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        return Output(text=text.strip(), n_tokens=len(tokens[:end]), truncated=end is None)


def _neutralise_generation(model: Any) -> frozenset[int]:
    """Make generation greedy, with the special tokens that the checkpoint names; return those that end it."""
    from transformers import GenerationConfig

    def named(key: str) -> Any:
        own = getattr(model.generation_config, key, None)
        return own if own is not None else getattr(model.config, key, None)

    end = named("eos_token_id")
    ends = [int(token) for token in (end if isinstance(end, list) else [end]) if token is not None]
    pad = named("pad_token_id")
    model.generation_config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        use_cache=True,
        decoder_start_token_id=named("decoder_start_token_id"),
        bos_token_id=named("bos_token_id"),
        eos_token_id=ends or None,
        pad_token_id=pad if pad is not None else next(iter(ends), None),
    )
    return frozenset(ends)

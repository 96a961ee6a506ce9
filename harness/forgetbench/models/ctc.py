"""CTC models through transformers: Wav2Vec2, Wav2Vec2-Conformer, HuBERT, WavLM; decoded greedily.

What a clip becomes never depends on the batch it is in. Where the convolutions are normalised frame by
frame (``feat_extract_norm: layer``) and nothing after them looks past the attention mask, clips of any length
are batched under a mask. Elsewhere zeros behind a clip would leak into it: through a norm over time
(``group``, as wav2vec2-base), through the Conformer's convolutions, through an adapter of strided
convolutions or a batch norm before the positions. Those models hear clips of equal length together and all
others alone, unmasked.

Long recordings are heard in windows of 30 s that overlap by 10 s; of each overlap the outer 5 s of both
windows are dropped, so that no frame is kept that has less than 5 s of context. Frames are stitched before
they are decoded. It is how transformers' pipeline chunks, with each window normalised by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod
from typing import Any

import torch
from torch import Tensor

from forgetbench.models.clips import Waveform, by_length, samples_of
from forgetbench.models.component import Component
from forgetbench.models.distributions import Positions, from_logits
from forgetbench.models.finite import check_finite
from forgetbench.models.interface import Audio, Output, SpeechRecogniser
from forgetbench.models.speech_files import load_extractor, load_speech_tokenizer
from forgetbench.models.weights import load_weights
from forgetbench.schema.run import LoadSettings

_SHORTEST_S = 0.1
"""Shorter audio is padded: the convolutions need 25 ms for one frame."""
_WINDOW_S = 30.0
_CONTEXT_S = 5.0
"""On each side of what is kept of a window."""
_MASKED = frozenset({"wav2vec2", "hubert", "wavlm"})
"""Model types whose layers after the convolutions all heed the attention mask."""


def load_ctc(component: Component, settings: LoadSettings, *, merge: bool = True) -> SpeechRecogniser:
    """Load a component of role ``asr`` with a CTC head, MMS with its languages included.

    Args:
        component: Of role ``asr``.
        settings: Type and device.
        merge: As for ``load_weights``.

    Raises:
        CheckpointError: Weights, tokenizer or feature extractor cannot be loaded.
    """
    from transformers import AutoModelForCTC

    from forgetbench.models.mms import MmsRecogniser, has_languages

    if has_languages(component):
        return MmsRecogniser(component, settings)
    extractor, tokenizer = load_extractor(component), load_speech_tokenizer(component)
    return CtcRecogniser(
        load_weights(AutoModelForCTC, component, settings, merge=merge), extractor, tokenizer
    )


class CtcRecogniser:
    """A ``SpeechRecogniser`` over ``AutoModelForCTC``.

    Args:
        model: In eval mode, on its device.
        extractor: Its feature extractor, of waveforms.
        tokenizer: Its tokenizer; the blank is its padding token.

    Attributes:
        sampling_rate: In Hz.
        pads: Clips of different lengths are batched, under a mask.
    """

    def __init__(self, model: Any, extractor: Any, tokenizer: Any) -> None:
        self.model, self.extractor, self.tokenizer = model, extractor, tokenizer
        self.sampling_rate = int(extractor.sampling_rate)
        self.pads = _can_be_masked(model.config)
        blank = tokenizer.pad_token_id
        self._blank = int(model.config.pad_token_id if blank is None else blank)
        self._stride = _samples_per_frame(model.config)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order.

        Args:
            audio: At ``sampling_rate``; empty audio is heard as silence.
            language: Not asked for: the model knows the one that it was trained on.
        """
        clips = [samples_of(item, self.sampling_rate, shortest_s=_SHORTEST_S) for item in audio]
        longest = self._window(_WINDOW_S)
        short = [i for i, clip in enumerate(clips) if len(clip) <= longest]
        groups = [range(len(short))] if self.pads and short else by_length([clips[i] for i in short])
        outputs: dict[int, Output] = {}
        for group in groups:
            rows = [short[i] for i in group]
            frames = self._frames([clips[i] for i in rows])
            outputs.update((i, self._output(each)) for i, each in zip(rows, frames, strict=True))
        for i in sorted(set(range(len(clips))) - set(short)):
            outputs[i] = self._output(torch.cat(list(self._stitched(clips[i]))))
        return [outputs[i] for i in range(len(clips))]

    def transcript_tokens(self, text: str, *, language: str) -> tuple[int, ...]:
        """Return no tokens: frames are compared, whatever was said."""
        return ()

    @torch.inference_mode()
    def predict_speech(self, audio: Audio, tokens: tuple[int, ...], *, language: str) -> Positions:
        """Return the posterior of each frame, blank included; long recordings in stitched windows."""
        clip = samples_of(audio, self.sampling_rate, shortest_s=_SHORTEST_S)
        if len(clip) > self._window(_WINDOW_S):
            return from_logits(torch.cat(list(self._stitched_logits(clip))), None)
        return from_logits(self._logits([clip])[0], None)

    def _window(self, seconds: float) -> int:
        """Return a duration in samples, a whole number of frames."""
        return round(seconds * self.sampling_rate) // self._stride * self._stride

    def _frames(self, clips: Sequence[Waveform]) -> list[Tensor]:
        """Return the likeliest token of each frame of each clip, int64 of shape (frames,)."""
        return [_likeliest(logits) for logits in self._logits(clips)]

    def _logits(self, clips: Sequence[Waveform]) -> list[Tensor]:
        """Return the logits of each frame of each clip, shape (frames, vocabulary)."""
        inputs = self.extractor(
            list(clips),
            sampling_rate=self.sampling_rate,
            padding=self.pads,
            return_attention_mask=self.pads,
            return_tensors="pt",
        ).to(self.model.device)
        heard = inputs.input_values.to(self.model.dtype)
        mask = {"attention_mask": inputs.attention_mask} if self.pads else {}
        logits = self.model(heard, **mask).logits.cpu()
        lengths = torch.tensor([len(clip) for clip in clips])
        n_frames = self.model._get_feat_extract_output_lengths(lengths).tolist()
        return [row[:n] for row, n in zip(logits, n_frames, strict=True)]

    def _stitched(self, clip: Waveform) -> Iterator[Tensor]:
        """Yield the likeliest tokens of a long recording's frames, window by window."""
        return map(_likeliest, self._stitched_logits(clip))

    def _stitched_logits(self, clip: Waveform) -> Iterator[Tensor]:
        """Yield the frames' logits of a long recording, window by window, without those for context only."""
        window, context = self._window(_WINDOW_S), self._window(_CONTEXT_S)
        for start in range(0, len(clip), window - 2 * context):
            is_last = start + window >= len(clip)
            frames = self._logits([clip[start : start + window]])[0]
            first = context // self._stride if start else 0
            yield frames[first : None if is_last else (window - context) // self._stride]
            if is_last:
                return

    def _output(self, frames: Tensor) -> Output:
        """Decode: repeated tokens count once, blanks not at all."""
        tokens = [token for token, _ in groupby(frames.tolist()) if token != self._blank]
        text = self.tokenizer.decode(
            tokens, group_tokens=False, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Output(text=" ".join(text.split()), n_tokens=len(tokens), truncated=False)


def _likeliest(logits: Tensor) -> Tensor:
    check_finite(logits)
    return logits.argmax(dim=-1)


def _can_be_masked(config: Any) -> bool:
    return (
        config.model_type in _MASKED
        and config.feat_extract_norm == "layer"
        and not getattr(config, "add_adapter", False)
        and not getattr(config, "conv_pos_batch_norm", False)
    )


def _samples_per_frame(config: Any) -> int:
    stride = prod(config.conv_stride)
    if getattr(config, "add_adapter", False):
        stride *= config.adapter_stride**config.num_adapter_layers
    return int(stride)

"""Audio language models, Qwen2-Audio class: one checkpoint that hears, reads and writes.

The text side is ``models/causal_lm.py`` over the same weights: tokens, log-likelihoods and decoding are those
of a causal language model, audio just does not occur. For transcription the model is asked, greedily:

- under the directory's chat template, where it has one, as one user turn: ``Audio 1:``, the audio, and
  ``Transcribe the speech in English. Write only the words that are said.``, with the task's language;
- else, as the pretrained models were trained: the audio and
  ``Detect the language and recognize the speech: <|en|>``.

A transcript has at most 224 tokens for each 30 s; longer recordings are cut at the quietest point near the
limit into pieces that do not overlap, and the transcripts are joined by a space. Clips of equal length are
batched, all others are heard alone: nothing is padded, and no clip depends on its batch.

A spoken request (``answer_audio``) is such a turn with the task's own words in place of these, if it has any;
what goes beyond the model's window is not heard, and the answer counts as truncated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.clips import Waveform, samples_of, transcribe_pieces
from forgetbench.models.component import Component
from forgetbench.models.fingerprint import chat_template
from forgetbench.models.finite import FiniteLogits
from forgetbench.models.interface import Audio, GenerateRequest, Output, SpokenRequest
from forgetbench.models.resident_base import ResidentBase, weights_of
from forgetbench.models.speech_files import load_extractor, load_speech_tokenizer
from forgetbench.models.whisper_tokens import MAX_NEW_TOKENS
from forgetbench.schema.run import LoadSettings

_AUDIO = "<|audio_bos|><|AUDIO|><|audio_eos|>"
_INSTRUCTION = "Transcribe the speech in {language}. Write only the words that are said."
_SHORTEST_S = 0.1
"""Shorter audio is padded: it would be a single audio token, which transformers takes for none."""


class AudioLM(CausalLM):
    """``TextModel``, ``SpeechRecogniser`` and ``AnswersAudio`` by ``Qwen2AudioForConditionalGeneration``.

    Args:
        model: In eval mode, on its device.
        tokenizer: Its tokenizer.
        extractor: Its feature extractor.

    Attributes:
        sampling_rate: In Hz.
        longest_s: Longer recordings are cut.
    """

    def __init__(self, model: Any, tokenizer: Any, extractor: Any) -> None:
        from transformers import Qwen2AudioProcessor

        super().__init__(model, tokenizer)
        self._processor = Qwen2AudioProcessor(extractor, tokenizer)
        self.sampling_rate = int(extractor.sampling_rate)
        self.longest_s = extractor.n_samples / self.sampling_rate

    @classmethod
    def load(
        cls,
        component: Component,
        settings: LoadSettings,
        *,
        merge: bool = True,
        resident: ResidentBase | None = None,
    ) -> AudioLM:
        """Load a component of role ``lm`` that can transcribe; on a base that stays loaded, if there is one.

        ``merge`` as for ``load_weights``, without ``resident``.

        Raises:
            CheckpointError: Weights, tokenizer or feature extractor cannot be loaded.
        """
        from transformers import Qwen2AudioForConditionalGeneration

        extractor, tokenizer = load_extractor(component), load_speech_tokenizer(component)
        tokenizer.chat_template = _template(component)
        auto_class = Qwen2AudioForConditionalGeneration
        model = weights_of(auto_class, component, settings, merge=merge, resident=resident)
        return cls(model, tokenizer, extractor)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order.

        Args:
            audio: At ``sampling_rate``; empty audio is heard as silence.
            language: ISO 639-1 code, such as ``en``; the prompt names it.

        Raises:
            CheckpointError: The chat template fails.
        """
        prompt = self._transcription_prompt(language)
        clips = [samples_of(item, self.sampling_rate, shortest_s=_SHORTEST_S) for item in audio]
        return transcribe_pieces(
            clips,
            partial(self._hear, prompt=prompt),
            sampling_rate=self.sampling_rate,
            longest_s=self.longest_s,
        )

    @torch.inference_mode()
    def answer_audio(self, requests: Sequence[SpokenRequest]) -> list[Output]:
        """Answer spoken requests, in order, each heard alone.

        Raises:
            CheckpointError: The chat template fails.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: SpokenRequest) -> Output:
        turn = f"Audio 1: {_AUDIO}\n{request.instruction}".rstrip()
        wrapped = self.render_chat(turn, template=request.template) if request.use_chat_template else None
        clip = samples_of(request.audio, self.sampling_rate, shortest_s=_SHORTEST_S)
        most = int(self.longest_s * self.sampling_rate)
        asked = GenerateRequest(
            prompt=wrapped or f"{_AUDIO}{request.instruction}",
            max_new_tokens=request.max_new_tokens,
            stop=request.stop,
            rendered=True,
        )
        (answer,) = self._said([clip[:most]], asked)
        return replace(answer, truncated=answer.truncated or len(clip) > most)

    def _transcription_prompt(self, language: str) -> str:
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        instruction = _INSTRUCTION.format(language=LANGUAGES.get(language, language).title())
        rendered = self.render_chat(f"Audio 1: {_AUDIO}\n{instruction}")
        return rendered or f"{_AUDIO}Detect the language and recognize the speech: <|{language}|>"

    def _hear(self, clips: Sequence[Waveform], prompt: str) -> list[Output]:
        """Answer the prompt about clips of one length."""
        request = GenerateRequest(prompt=prompt, max_new_tokens=MAX_NEW_TOKENS, rendered=True)
        return [replace(answer, text=answer.text.strip()) for answer in self._said(clips, request)]

    def _said(self, clips: Sequence[Waveform], request: GenerateRequest) -> list[Output]:
        from transformers import LogitsProcessorList

        inputs = self._processor(
            text=[request.prompt] * len(clips),
            audio=list(clips),
            sampling_rate=self.sampling_rate,
            return_tensors="pt",
        ).to(self.model.device)
        inputs["input_features"] = inputs["input_features"].to(self.model.dtype)
        output = self.model.generate(
            **inputs,
            max_new_tokens=request.max_new_tokens,
            logits_processor=LogitsProcessorList([FiniteLogits()]),
        )
        return [
            self._output(request, row, cut=False)
            for row in output[:, inputs["input_ids"].shape[1] :].tolist()
        ]


def _template(component: Component) -> str | None:
    """Return the chat template: an adapter's own, else its base's, in whichever file it is."""
    assert component.path is not None
    own = chat_template(component.path)
    return own if own is not None or component.base is None else _template(component.base)

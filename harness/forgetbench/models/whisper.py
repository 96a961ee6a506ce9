"""Whisper through transformers, decoded greedily by a loop of our own.

Both arms are decoded the same way, whatever generation config a checkpoint carries: the tokens that Whisper
suppresses by definition are suppressed, nothing else; at most 224 new tokens per 30 s, as in openai/whisper.
Rows that have ended leave the batch, so that one looping transcript does not hold up the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from forgetbench.errors import CheckpointError, SampleError, UsageError
from forgetbench.models.clips import Waveform, samples_of
from forgetbench.models.component import Component
from forgetbench.models.directory import tokenizer_path
from forgetbench.models.distributions import Positions
from forgetbench.models.finite import FiniteLogits, check_finite
from forgetbench.models.interface import Audio, Output, Phrase
from forgetbench.models.speech_files import extractor_path
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.models.whisper_tokens import (
    MAX_NEW_TOKENS,
    MULTILINGUAL_VOCABULARY,
    check_language,
    special_tokens,
)
from forgetbench.schema.run import LoadSettings

_N_SPECIAL = 3
"""Room that the prompt takes beside the start token: language, task, no timestamps."""
_DROP_SHARE = 0.25
"""Ended rows are dropped once they are this much of the batch: dropping copies the cache of the others."""
_SHORTEST_S = 0.025
"""Shorter audio is padded to one analysis window."""


class WhisperRecogniser:
    """A ``SpeechRecogniser`` over ``WhisperForConditionalGeneration``.

    Args:
        model: In eval mode, on its device.
        processor: Its ``WhisperProcessor``.

    Attributes:
        sampling_rate: In Hz.
        is_multilingual: It is told the language; an English-only model has no token for it.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self.sampling_rate = int(processor.feature_extractor.sampling_rate)
        said = getattr(model.generation_config, "is_multilingual", None)
        self.is_multilingual = (
            model.config.vocab_size >= MULTILINGUAL_VOCABULARY if said is None else bool(said)
        )
        self._vocabulary: dict[str, int] = processor.tokenizer.get_vocab()
        self._special = special_tokens(
            self._vocabulary, model.config.vocab_size, is_multilingual=self.is_multilingual
        )

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> WhisperRecogniser:
        """Load a component of role ``asr``; ``merge`` as for ``load_weights``.

        Raises:
            CheckpointError: Weights or processor cannot be loaded.
        """
        from transformers import WhisperForConditionalGeneration

        processor = _load_processor(component)
        return cls(load_weights(WhisperForConditionalGeneration, component, settings, merge=merge), processor)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order.

        Args:
            audio: At ``sampling_rate``; empty audio is heard as silence.
            language: ISO 639-1 code, such as ``en``; English-only models know no other.

        Raises:
            UsageError: The model has no token for the language.
        """
        return self._write(audio, language, task="transcribe")

    @torch.inference_mode()
    def translate(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Translate one batch into English, in order.

        Args:
            audio: At ``sampling_rate``.
            language: ISO 639-1 code of what is spoken.

        Raises:
            UsageError: The model has no token for the language.
        """
        return self._write(audio, language, task="translate")

    @torch.inference_mode()
    def identify_language(self, audio: Sequence[Audio]) -> list[str]:
        """Return the likeliest language of the first 30 s of each clip, among all that have a token.

        As openai/whisper's ``detect_language``: one step of the decoder behind the start token.

        Raises:
            UsageError: The model is English-only.
        """
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        codes = [code for code in LANGUAGES if f"<|{code}|>" in self._vocabulary]
        if not self.is_multilingual or not codes:
            raise UsageError(
                "the language",
                "cannot be told by an English-only Whisper model",
                "Name a multilingual one, such as openai/whisper-tiny.",
            )
        clips = [samples_of(item, self.sampling_rate, shortest_s=_SHORTEST_S) for item in audio]
        heard = self._encode(self._features(clips))
        net = without_adapter(self.model)
        start = torch.full((len(clips), 1), self._special.start, device=heard.device)
        states = net.model.decoder(input_ids=start, encoder_hidden_states=heard, use_cache=False)
        logits = net.proj_out(states.last_hidden_state[:, -1])
        of_codes = logits[:, [self._vocabulary[f"<|{code}|>"] for code in codes]]
        return [codes[i] for i in of_codes.argmax(dim=-1).tolist()]

    @torch.inference_mode()
    def time_speech(self, audio: Sequence[Audio], *, language: str) -> list[list[Phrase]]:
        """Transcribe each clip with the times that the model writes, in order, greedily.

        By transformers' generation, with the rules for timestamps of Radford et al. 2022: the first lies in
        the first second, they come in pairs and grow. A phrase that is not closed ends with the clip.

        Args:
            audio: At ``sampling_rate``; empty audio is heard as silence.
            language: As for :meth:`transcribe`.

        Raises:
            UsageError: The model has no token for the language.
        """
        check_language(language, self._vocabulary, is_multilingual=self.is_multilingual)
        clips = [samples_of(item, self.sampling_rate, shortest_s=_SHORTEST_S) for item in audio]
        timed = []
        for clip in clips:
            duration_s = len(clip) / self.sampling_rate
            phrases = [
                Phrase(
                    text=self._output(segment["tokens"].tolist(), truncated=False).text,
                    start_s=min(float(segment["start"]), duration_s),
                    end_s=min(float(segment["end"]), duration_s),
                )
                for segment in self._segments(clip, language, "transcribe")
            ]
            timed.append([phrase for phrase in phrases if phrase.text])
        return timed

    def _write(self, audio: Sequence[Audio], language: str, *, task: str) -> list[Output]:
        clips = [samples_of(item, self.sampling_rate, shortest_s=_SHORTEST_S) for item in audio]
        longest = int(self.processor.feature_extractor.n_samples)
        short = [i for i, clip in enumerate(clips) if len(clip) <= longest]
        outputs: dict[int, Output] = {}
        prompt = self._prompt(language, task)
        if short:
            transcripts = self._decode(self._features([clips[i] for i in short]), prompt)
            outputs.update(zip(short, transcripts, strict=True))
        for i in sorted(set(range(len(clips))) - set(short)):
            outputs[i] = self._write_long(clips[i], language, task)
        return [outputs[i] for i in range(len(clips))]

    def transcript_tokens(self, text: str, *, language: str) -> tuple[int, ...]:
        """Return the ids of a transcript, written as Whisper writes: after a space, without its prompt.

        Raises:
            SampleError: ``too_long``: it has more tokens than fit into one window.
        """
        tokens = self.processor.tokenizer.encode(f" {text.strip()}", add_special_tokens=False)
        n_prompt = len(self._prompt(language))
        if n_prompt + len(tokens) > int(self.model.config.max_target_positions):
            raise SampleError("too_long", "the transcript", f"has {len(tokens)} tokens")
        return tuple(tokens)

    @torch.inference_mode()
    def predict_speech(self, audio: Audio, tokens: tuple[int, ...], *, language: str) -> Positions:
        """Hear one clip of at most 30 s; the prompt and the transcript are forced, the end is predicted, too.

        No token is suppressed here.

        Raises:
            SampleError: ``too_long``: the clip is longer.
        """
        clip = samples_of(audio, self.sampling_rate, shortest_s=_SHORTEST_S)
        if len(clip) > int(self.processor.feature_extractor.n_samples):
            raise SampleError("too_long", "a recording", "is longer than one window of Whisper")
        net, prompt = without_adapter(self.model), self._prompt(language)
        states = net.model.decoder(
            input_ids=torch.tensor([[*prompt, *tokens]], device=self.model.device),
            encoder_hidden_states=self._encode(self._features([clip])),
            use_cache=False,
        ).last_hidden_state[0, len(prompt) - 1 :]
        n_tokens = int(net.proj_out.weight.shape[0])
        targets = (*tokens, self._special.end)
        return Positions(states=states, project=net.proj_out, n_tokens=n_tokens, targets=targets)

    def _features(self, clips: Sequence[Waveform], **options: Any) -> Tensor:
        """Return log-mel features, shape (clips, mel bands, frames)."""
        extracted = self.processor.feature_extractor(
            list(clips), sampling_rate=self.sampling_rate, return_tensors="pt", **options
        )
        features: Tensor = extracted.input_features.to(device=self.model.device, dtype=self.model.dtype)
        return features

    def _prompt(self, language: str, task: str = "transcribe") -> list[int]:
        check_language(language, self._vocabulary, is_multilingual=self.is_multilingual)
        start, no_timestamps = self._special.start, self._special.no_timestamps
        if not self.is_multilingual:
            return [start, no_timestamps]
        return [start, self._vocabulary[f"<|{language}|>"], self._vocabulary[f"<|{task}|>"], no_timestamps]

    def _decode(self, features: Tensor, prompt: list[int]) -> list[Output]:
        """Decode clips of at most 30 s greedily."""
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache

        net, special = without_adapter(self.model), self._special
        heard = self._encode(features)
        banned = torch.tensor(special.suppressed, device=features.device)
        banned_first = torch.tensor(special.suppressed_first, device=features.device)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        ids = torch.tensor([prompt] * len(features), device=features.device)
        texts: list[list[int]] = [[] for _ in features]
        rows, ended = list(range(len(features))), [False] * len(features)
        for step in range(self._limit(len(prompt))):
            states = net.model.decoder(
                input_ids=ids, encoder_hidden_states=heard, past_key_values=cache, use_cache=True
            ).last_hidden_state
            logits = net.proj_out(states[:, -1])
            check_finite(logits)
            logits[:, banned if step else banned_first] = -torch.inf
            tokens = logits.argmax(dim=-1).tolist()
            for row, token in zip(rows, tokens, strict=True):
                ended[row] = ended[row] or token == special.end
                if not ended[row]:
                    texts[row].append(token)
            going = [i for i, row in enumerate(rows) if not ended[row]]
            if not going:
                break
            if len(going) <= (1 - _DROP_SHARE) * len(rows):
                kept = torch.tensor(going, device=features.device)
                cache.batch_select_indices(kept)
                heard, rows, tokens = heard[kept], [rows[i] for i in going], [tokens[i] for i in going]
            ids = torch.tensor(tokens, device=features.device)[:, None]
        return [self._output(text, truncated=not end) for text, end in zip(texts, ended, strict=True)]

    def _encode(self, features: Tensor) -> Tensor:
        """Return what the decoder attends to, shape (clips, positions, width).

        On a CPU clip by clip: the encoder is bound by arithmetic, and one clip's activations stay in cache.
        """
        encoder = without_adapter(self.model).model.encoder
        n_together = 1 if features.device.type == "cpu" else len(features)
        parts = [encoder(part).last_hidden_state for part in torch.split(features, n_together)]
        return torch.cat(parts)

    def _write_long(self, clip: Waveform, language: str, task: str) -> Output:
        """Write more than 30 s by Whisper's sequential algorithm (Radford et al. 2022), greedily."""
        segments = self._segments(clip, language, task)
        limit = self._limit(1 + _N_SPECIAL)
        tokens = [t for segment in segments for t in segment["tokens"].tolist()]
        return self._output(tokens, truncated=any(len(segment["tokens"]) >= limit for segment in segments))

    def _segments(self, clip: Waveform, language: str, task: str) -> list[dict[str, Any]]:
        """Return what transformers writes with timestamps: tokens, start and end of each segment."""
        from transformers import LogitsProcessorList

        is_long = len(clip) > int(self.processor.feature_extractor.n_samples)
        features = self._features([clip], **({"truncation": False, "padding": "longest"} if is_long else {}))
        limit = self._limit(1 + _N_SPECIAL)
        with _without_advice():
            result = self.model.generate(
                features,
                generation_config=self._long_form_config(limit),
                logits_processor=LogitsProcessorList([FiniteLogits()]),
                return_timestamps=True,
                return_segments=True,
                condition_on_prev_tokens=False,
                **({"language": language, "task": task} if self.is_multilingual else {}),
            )
        segments: list[dict[str, Any]] = result["segments"][0]
        return segments

    def _output(self, tokens: list[int], *, truncated: bool) -> Output:
        first_timestamp = self._special.no_timestamps + 1
        words = [t for t in tokens if t < first_timestamp and t != self._special.end]
        text = self.processor.tokenizer.decode(words, skip_special_tokens=True)
        return Output(text=text.strip(), n_tokens=len(words), truncated=truncated)

    def _limit(self, n_prompt: int) -> int:
        return min(MAX_NEW_TOKENS, int(self.model.config.max_target_positions) - n_prompt)

    def _long_form_config(self, max_new_tokens: int) -> Any:
        """Return the generation config of OpenAI's checkpoints, from this model's own tokens."""
        from transformers import GenerationConfig

        special, vocabulary = self._special, self._vocabulary
        languages = {
            name: i for name, i in vocabulary.items() if name.startswith("<|") and len(name) in (6, 7)
        }
        multilingual = {
            "lang_to_id": languages,
            "task_to_id": {task: vocabulary[f"<|{task}|>"] for task in ("transcribe", "translate")},
        }
        return GenerationConfig(
            bos_token_id=special.end,
            eos_token_id=special.end,
            pad_token_id=special.end,
            decoder_start_token_id=special.start,
            no_timestamps_token_id=special.no_timestamps,
            max_initial_timestamp_index=50,
            suppress_tokens=[t for t in special.suppressed if t < special.no_timestamps],
            begin_suppress_tokens=[t for t in special.suppressed_first if t <= special.end],
            is_multilingual=self.is_multilingual,
            max_new_tokens=max_new_tokens,
            **(multilingual if self.is_multilingual else {}),
        )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep transformers from saying, for every segment, that our length limit wins over its default."""
    logger = logging.getLogger("transformers.generation.utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _load_processor(component: Component) -> Any:
    """Load tokenizer and feature extractor: an adapter's own where it has them, else its base's."""
    from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizer

    try:
        tokenizer = WhisperTokenizer.from_pretrained(tokenizer_path(component), local_files_only=True)
        extractor = WhisperFeatureExtractor.from_pretrained(extractor_path(component), local_files_only=True)
    except Exception as error:
        raise CheckpointError(
            str(component.path),
            "has no Whisper processor that can be loaded",
            "Save it there with processor.save_pretrained(DIRECTORY).",
        ) from error
    return WhisperProcessor(extractor, tokenizer)

"""CTranslate2 Whisper directories through faster-whisper: a quantised deployment, heard as it is deployed.

The weights stay what they are (int8 is int8); features, encoder and decoder are faster-whisper's. Decoding
follows the rules of ``models/whisper.py``: greedily, without timestamps, sampling, beams, voice activity
detection or text from before, the same tokens suppressed, the language given, at most 224 tokens per 30 s.
Only what is suppressed at the first step (a blank, the end) is what the directory's own config.json lists, as
every converter writes it. Recordings of more than 30 s go through Whisper's sequential algorithm, by
timestamps.

A clip is filled up to 30 s with silence, as openai/whisper and ``models/whisper.py`` do it. By itself
faster-whisper fills up with zeros after the mel filters, which are no silence there and can end a transcript
early: in one arm only, that would look like a loss of the weights.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError, UsageError, first_line
from forgetbench.models.clips import Waveform, samples_of
from forgetbench.models.component import Component
from forgetbench.models.ctranslate2 import SPECIFICATION, model_bin_shapes
from forgetbench.models.directory import Origin
from forgetbench.models.fingerprint import combine, fingerprint_file
from forgetbench.models.interface import Audio, Output
from forgetbench.models.whisper_tokens import MAX_NEW_TOKENS, check_language, special_tokens
from forgetbench.schema.run import LoadSettings

_FILES = ("model.bin", "config.json", "tokenizer.json")
_MORE_FILES = ("vocabulary.json", "vocabulary.txt", "preprocessor_config.json")
_LONGEST_S = 30.0
"""Longer recordings are heard window by window, shorter ones are filled up."""


def read_faster_whisper(path: Path, origin: Origin) -> Component:
    """Return the component in a CTranslate2 Whisper directory.

    Raises:
        CheckpointError: It is damaged, incomplete or of another model, or faster-whisper is not installed.
    """
    if missing := [name for name in _FILES if not (path / name).is_file()]:
        raise CheckpointError(
            str(path),
            f"is not a CTranslate2 Whisper directory: {missing[0]} is missing",
            "Convert a Whisper model with ct2-transformers-converter.",
        )
    shapes = model_bin_shapes(path / "model.bin")
    if importlib.util.find_spec("faster_whisper") is None:
        raise CheckpointError(
            str(path),
            "is a CTranslate2 model, which faster-whisper runs, and that is not installed",
            "Run: pip install 'forgetbench[faster-whisper]'",
        )
    files = [path / name for name in (*_FILES, *_MORE_FILES) if (path / name).is_file()]
    return Component(
        role="asr",
        source=origin.source,
        format="ctranslate2",
        path=path,
        architecture=SPECIFICATION,
        fingerprint=combine({file.name: fingerprint_file(file) for file in files}),
        capabilities=("transcribe",),
        revision=origin.revision,
        unpinned=origin.unpinned,
        parameters=sum(shape.n_elements for shape in shapes.values() if shape.is_weight),
        bytes=(path / "model.bin").stat().st_size,
    )


class FasterWhisperRecogniser:
    """A ``SpeechRecogniser`` over ``faster_whisper.WhisperModel``.

    Args:
        model: Loaded.
        n_tokens: Rows of its embedding.

    Attributes:
        sampling_rate: In Hz.
        is_multilingual: It is told the language; an English-only model has no token for it.
    """

    def __init__(self, model: Any, n_tokens: int) -> None:
        self.model = model
        self.sampling_rate = int(model.feature_extractor.sampling_rate)
        self.is_multilingual = bool(model.model.is_multilingual)
        self._vocabulary: dict[str, int] = model.hf_tokenizer.get_vocab()
        self._special = special_tokens(self._vocabulary, n_tokens, is_multilingual=self.is_multilingual)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings) -> FasterWhisperRecogniser:
        """Load a component; it computes in the type that it was stored in, where the device can.

        Raises:
            CheckpointError: The directory cannot be loaded.
            UsageError: The device is not there.
        """
        import ctranslate2
        import torch
        from faster_whisper import WhisperModel

        path = component.path
        assert path is not None
        device, _, index = settings.device.partition(":")
        if device not in {"cpu", "cuda"} or (device == "cuda" and not ctranslate2.get_cuda_device_count()):
            raise UsageError(f"--device {settings.device}", "cannot be used by CTranslate2", "Try cpu.")
        ctranslate2.set_log_level(logging.ERROR)
        try:
            model = WhisperModel(
                str(path),
                device=device,
                device_index=int(index or 0),
                cpu_threads=torch.get_num_threads(),  # as many as the transformers arm
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                str(path),
                f"cannot be loaded ({first_line(error)})",
                "Convert the model again, or choose another --device.",
            ) from error
        return cls(model, model_bin_shapes(path / "model.bin")["decoder/embeddings/weight"].shape[0])

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order; each clip by itself.

        Args:
            audio: At ``sampling_rate``; empty audio is heard as silence.
            language: ISO 639-1 code, such as ``en``; English-only models know no other.

        Raises:
            UsageError: The model has no token for the language.
        """
        check_language(language, self._vocabulary, is_multilingual=self.is_multilingual)
        clips = [samples_of(item, self.sampling_rate, shortest_s=_LONGEST_S) for item in audio]
        return [self._transcribe(clip, language) for clip in clips]

    def _transcribe(self, clip: Waveform, language: str) -> Output:
        is_long = len(clip) > _LONGEST_S * self.sampling_rate
        special = self._special
        suppressed = [t for t in special.suppressed if not is_long or t < special.no_timestamps]
        segments, _ = self.model.transcribe(
            clip,
            language=language,
            task="transcribe",
            beam_size=1,
            temperature=0.0,
            suppress_tokens=suppressed,
            suppress_blank=True,
            without_timestamps=not is_long,
            max_initial_timestamp=1.0,
            max_new_tokens=MAX_NEW_TOKENS,
            condition_on_previous_text=False,
            vad_filter=False,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
        )
        return self._output(segments)

    def _output(self, segments: Iterable[Any]) -> Output:
        tokens: list[int] = []
        n_in_window: dict[int, int] = {}
        for segment in segments:
            tokens += [token for token in segment.tokens if token < self._special.end]
            n_in_window[segment.seek] = n_in_window.get(segment.seek, 0) + len(segment.tokens)
        return Output(
            text=self.model.hf_tokenizer.decode(tokens).strip(),
            n_tokens=len(tokens),
            truncated=any(n >= MAX_NEW_TOKENS for n in n_in_window.values()),
        )

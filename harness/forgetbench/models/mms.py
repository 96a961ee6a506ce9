"""MMS: one Wav2Vec2 CTC model, and for each language a small adapter and a vocabulary of its own.

``adapter.<language>.safetensors`` holds the attention adapters and the output layer of a language,
``vocab.json`` the vocabularies by language. A task's language (ISO 639-1) is looked up under its ISO 639-3
codes. The language adapter is put on the plain model before a LoRA, so that what was trained after it wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.component import Component
from forgetbench.models.ctc import CtcRecogniser
from forgetbench.models.directory import tokenizer_path
from forgetbench.models.fingerprint import language_adapters, read_json
from forgetbench.models.interface import Audio, Output
from forgetbench.models.iso639 import three_letter_codes
from forgetbench.models.speech_files import load_extractor, load_speech_tokenizer
from forgetbench.models.weights import load_weights, resize_ctc_head
from forgetbench.schema.run import LoadSettings

_N_SHOWN = 8


def has_languages(component: Component) -> bool:
    """Say whether a CTC model has language adapters, or vocabularies by language."""
    return bool(language_adapters(_plain_path(component))) or bool(_vocabularies(component))


class MmsRecogniser:
    """A ``SpeechRecogniser`` that loads its weights when the language is known, and again for another one.

    Args:
        component: Of role ``asr``.
        settings: Type and device.

    Attributes:
        sampling_rate: In Hz.
    """

    def __init__(self, component: Component, settings: LoadSettings) -> None:
        self._component, self._settings = component, settings
        self._extractor = load_extractor(component)
        self.sampling_rate = int(self._extractor.sampling_rate)
        self._adapters = language_adapters(_plain_path(component))
        self._vocabularies = _vocabularies(component)
        self._loaded: tuple[str, CtcRecogniser] | None = None

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe one batch, in order.

        Args:
            audio: At ``sampling_rate``.
            language: ISO 639-1, such as ``en``, or a code of the checkpoint's own, such as
                ``azj-script_latin``.

        Raises:
            UsageError: The checkpoint has no adapter, or no vocabulary, for the language.
            CheckpointError: The weights cannot be loaded.
        """
        code = self._code(language)
        if self._loaded is None or self._loaded[0] != code:
            self._loaded = None  # two models at a time may not fit
            self._loaded = code, self._load(code)
        return self._loaded[1].transcribe(audio, language=language)

    def _code(self, language: str) -> str:
        """Return the checkpoint's own code for a language."""
        known = sorted(set(self._adapters or self._vocabularies) & set(self._vocabularies or self._adapters))
        for code in (language, *three_letter_codes(language)):
            scripts = [name for name in known if name == code or name.startswith(f"{code}-script_")]
            if len(scripts) == 1:
                return scripts[0]
            if scripts:
                raise UsageError(
                    f"language {language}",
                    f"is written in several scripts by {self._component.source}",
                    f"Name one: {', '.join(scripts)}.",
                )
        shown = ", ".join(known[:_N_SHOWN]) + (f" and {len(known) - _N_SHOWN} more" * (len(known) > _N_SHOWN))
        raise UsageError(
            f"language {language}",
            f"has no adapter.<language>.safetensors with a vocabulary in {self._component.source}",
            f"It has {shown}." if known else "",
        )

    def _load(self, code: str) -> CtcRecogniser:
        from transformers import AutoModelForCTC

        options = {"target_lang": code} if self._vocabularies else {}
        tokenizer = load_speech_tokenizer(self._component, **options)

        def prepare(model: Any) -> None:
            if code in self._adapters:
                _put_language(model, self._adapters[code])

        model = load_weights(AutoModelForCTC, self._component, self._settings, prepare=prepare)
        return CtcRecogniser(model, self._extractor, tokenizer)


def _put_language(model: Any, file: Path) -> None:
    """Load a language's adapter and output layer into the model."""
    from safetensors.torch import load_file

    state = load_file(file)
    wanted = {name for name in model.state_dict() if ".adapter_layer." in name or name.startswith("lm_head.")}
    if unfit := sorted(wanted ^ state.keys()):
        raise CheckpointError(
            str(file),
            f"does not fit its model: {unfit[0]} is in only one of them",
            "Save adapter and model of one revision together.",
        )
    resize_ctc_head(model, state["lm_head.weight"].shape[0])
    model.load_state_dict(state, strict=False)


def _plain_path(component: Component) -> Path:
    path = (component.base or component).path
    assert path is not None
    return path


def _vocabularies(component: Component) -> dict[str, Any]:
    """Return the vocabularies by language, none where vocab.json is one vocabulary."""
    file = tokenizer_path(component) / "vocab.json"
    vocabulary = read_json(file) if file.is_file() else {}
    is_nested = bool(vocabulary) and all(isinstance(value, dict) for value in vocabulary.values())
    return vocabulary if is_nested else {}

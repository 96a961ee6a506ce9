"""Which transformers architectures can be evaluated, and what each can be asked for: names only, no torch."""

from __future__ import annotations

from typing import Literal, NamedTuple

from forgetbench.models.component import Role
from forgetbench.schema.task import Capability

Loader = Literal[
    "whisper",
    "ctc",
    "speech_seq2seq",
    "speech_encoder",
    "audio_lm",
    "codec",
    "vits",
    "speecht5_voice",
    "unit_lm",
    "causal_lm",
]

SUPPORTED = (
    "Supported are Whisper, CTC models (Wav2Vec2, Wav2Vec2-Conformer, HuBERT, WavLM, MMS), Speech2Text, "
    "Moonshine, SpeechT5 (speech to text, text to speech), encoders without a head (Wav2Vec2, "
    "Wav2Vec2-Conformer, HuBERT, WavLM), Qwen2-Audio, VITS, the codecs EnCodec, DAC and Mimi, and causal "
    "language models (…ForCausalLM, …LMHeadModel), of text or of an EnCodec's codes; all else by a Python "
    "factory, package.module:function."
)


class Family(NamedTuple):
    """What an architecture is to forgetbench."""

    role: Role
    architecture: str
    capabilities: tuple[Capability, ...]


UNIT_LM = Family("lm", "UnitLM", ("score_audio",))
"""A causal language model with a folder ``codec`` in its directory; see ``models/unit_lm.py``."""
SPEECHT5_VOICE = Family("tts", "SpeechT5ForTextToSpeech", ("synthesize",))
"""With a vocoder and a speaker embedding in its directory; see ``models/speecht5_voice.py``."""
_SPEECH: dict[str, tuple[str, Loader]] = {
    "whisper": ("WhisperForConditionalGeneration", "whisper"),
    "wav2vec2": ("Wav2Vec2ForCTC", "ctc"),
    "wav2vec2-conformer": ("Wav2Vec2ConformerForCTC", "ctc"),
    "hubert": ("HubertForCTC", "ctc"),
    "wavlm": ("WavLMForCTC", "ctc"),
    "speech_to_text": ("Speech2TextForConditionalGeneration", "speech_seq2seq"),
    "moonshine": ("MoonshineForConditionalGeneration", "speech_seq2seq"),
    "speecht5": ("SpeechT5ForSpeechToText", "speech_seq2seq"),
    "qwen2_audio": ("Qwen2AudioForConditionalGeneration", "audio_lm"),
    "encodec": ("EncodecModel", "codec"),
    "dac": ("DacModel", "codec"),
    "mimi": ("MimiModel", "codec"),
    "vits": ("VitsModel", "vits"),
}
"""Architecture and loader by ``model_type``."""
_ENCODERS = frozenset(
    {"Wav2Vec2Model", "Wav2Vec2ConformerModel", "HubertModel", "WavLMModel"}
    | {"Wav2Vec2ForPreTraining", "Wav2Vec2ConformerForPreTraining"}
)
_LOADERS: dict[str, Loader] = {
    **dict(_SPEECH.values()),
    **dict.fromkeys(_ENCODERS, "speech_encoder"),
    UNIT_LM.architecture: "unit_lm",
    SPEECHT5_VOICE.architecture: "speecht5_voice",
}


def family_of(model_type: str, architecture: str) -> Family | None:
    """Return what a config.json describes, None for what cannot be evaluated.

    Args:
        model_type: Its ``model_type``.
        architecture: The first of its ``architectures``; empty where it names none, as older Whispers do.
    """
    if architecture in _ENCODERS:
        return Family("asr", architecture, ("embed",))
    if architecture == SPEECHT5_VOICE.architecture:
        return SPEECHT5_VOICE
    if model_type in _SPEECH:
        known, loader = _SPEECH[model_type]
        if architecture not in ({known, ""} if loader == "whisper" else {known}):
            return None
        if loader == "audio_lm":
            return Family("lm", known, ("score_text", "generate", "transcribe", "answer_audio"))
        if loader == "vits":
            return Family("tts", known, ("synthesize",))
        if loader == "codec":
            return Family("enhancer", known, ("enhance",))
        if loader == "whisper":
            return Family("asr", known, ("transcribe", "time_speech"))
        return Family("asr", known, ("transcribe",))
    if architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return Family("lm", architecture, ("score_text", "generate"))
    return None


def loader_of(architecture: str) -> Loader:
    """Return which module loads an architecture."""
    return _LOADERS.get(architecture, "causal_lm")

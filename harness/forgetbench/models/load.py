"""Loading a component: from what a checkpoint is to a model that the engine can ask."""

from __future__ import annotations

from forgetbench.errors import UsageError
from forgetbench.models.architectures import loader_of
from forgetbench.models.component import Component
from forgetbench.models.devices import check_dtype
from forgetbench.models.factory import load_factory
from forgetbench.models.interface import Model
from forgetbench.models.resident_base import ResidentBase
from forgetbench.schema.run import LoadSettings


def load(
    component: Component,
    settings: LoadSettings,
    *,
    merge: bool = True,
    resident: ResidentBase | None = None,
) -> Model:
    """Load a component. No socket; no code of others but that of files resolved with ``trust_remote_code``.

    Args:
        component: From ``resolve``.
        settings: Type, device; the same for both arms of a pair.
        merge: False keeps a LoRA beside the weights, in float32 as well; not with ``resident``.
        resident: Keeps the base of causal language models loaded, for the next adapter of it.

    Returns:
        A ``TextModel`` for the role ``lm``, a ``SpeechRecogniser`` for ``asr``, an ``Enhancer`` for
        ``enhancer``; an audio language model is both of the first two.

    Raises:
        UsageError: The settings ask for what there is not.
        CheckpointError: The weights do not fit the architecture, or the adapter its base.
    """
    if resident is not None and component.role != "lm":
        resident.forget()
    if component.format == "factory":
        return load_factory(component)
    if component.format == "onnx":
        from forgetbench.models.onnx_enhancer import OnnxEnhancer

        return OnnxEnhancer.load(component)
    if component.format in ("torch_export", "torchscript"):
        from forgetbench.models.torch_enhancer import TorchEnhancer

        return TorchEnhancer.load(component, settings)
    if component.format == "ctranslate2":
        from forgetbench.models.faster_whisper import FasterWhisperRecogniser

        return FasterWhisperRecogniser.load(component, settings)
    check_dtype(settings.dtype)
    if settings.quantisation is not None:
        raise UsageError(
            f"quantisation {settings.quantisation}",
            "is not supported",
            "Name the unquantised model, with --dtype bfloat16 where memory is short.",
        )
    return _load(component, settings, merge=merge, resident=resident)


def _load(
    component: Component, settings: LoadSettings, *, merge: bool, resident: ResidentBase | None
) -> Model:
    """Load by the module of the architecture's family; torch is imported there."""
    match loader_of(component.architecture):
        case "whisper":
            from forgetbench.models.whisper import WhisperRecogniser

            return WhisperRecogniser.load(component, settings, merge=merge)
        case "ctc":
            from forgetbench.models.ctc import load_ctc

            return load_ctc(component, settings, merge=merge)
        case "speech_seq2seq":
            from forgetbench.models.speech_seq2seq import SpeechSeq2Seq

            return SpeechSeq2Seq.load(component, settings, merge=merge)
        case "speech_encoder":
            from forgetbench.models.speech_encoder import SpeechEncoder

            return SpeechEncoder.load(component, settings, merge=merge)
        case "audio_lm":
            from forgetbench.models.audio_lm import AudioLM

            return AudioLM.load(component, settings, merge=merge, resident=resident)
        case "vits":
            from forgetbench.models.vits import VitsVoice

            return VitsVoice.load(component, settings, merge=merge)
        case "speecht5_voice":
            from forgetbench.models.speecht5_voice import SpeechT5Voice

            return SpeechT5Voice.load(component, settings, merge=merge)
        case "codec":
            from forgetbench.models.codec import Codec

            return Codec.load(component, settings)
        case "unit_lm":
            from forgetbench.models.unit_lm import UnitLM

            return UnitLM.load(component, settings, merge=merge)
        case "causal_lm":
            from forgetbench.models.causal_lm import CausalLM

            return CausalLM.load(component, settings, merge=merge, resident=resident)

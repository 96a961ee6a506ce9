"""Loading a component: from what a checkpoint is to a model that the engine can ask."""

from __future__ import annotations

from forgetbench.errors import UsageError
from forgetbench.models.component import Component
from forgetbench.models.factory import load_factory
from forgetbench.models.interface import Model
from forgetbench.schema.run import LoadSettings

_DTYPES = ("float32", "bfloat16", "float16")


def load(component: Component, settings: LoadSettings) -> Model:
    """Load a component. No socket; no code of others but that of files resolved with ``trust_remote_code``.

    Args:
        component: From ``resolve``.
        settings: Type, device; the same for both arms of a pair.

    Returns:
        A ``TextModel`` for the role ``lm``, a ``SpeechRecogniser`` for ``asr``, an ``Enhancer`` for
        ``enhancer``.

    Raises:
        UsageError: The settings ask for what there is not.
        CheckpointError: The weights do not fit the architecture, or the adapter its base.
    """
    if component.format == "factory":
        return load_factory(component)
    if component.format == "onnx":
        from forgetbench.models.onnx_enhancer import OnnxEnhancer

        return OnnxEnhancer.load(component)
    if component.format in ("torch_export", "torchscript"):
        from forgetbench.models.torch_enhancer import TorchEnhancer

        return TorchEnhancer.load(component, settings)
    if settings.dtype not in _DTYPES:
        raise UsageError(f"--dtype {settings.dtype}", "is not known", f"Known are {', '.join(_DTYPES)}.")
    if settings.quantisation is not None:
        raise UsageError(f"quantisation {settings.quantisation}", "is not supported")
    if component.role == "asr":
        from forgetbench.models.whisper import WhisperRecogniser

        return WhisperRecogniser.load(component, settings)
    if component.role == "enhancer":
        from forgetbench.models.codec import Codec

        return Codec.load(component, settings)
    from forgetbench.models.causal_lm import CausalLM

    return CausalLM.load(component, settings)

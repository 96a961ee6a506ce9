"""Enhancers as ONNX files, by onnxruntime on the CPU: a whole waveform in, a whole waveform out.

The network has one float32 input of shape (samples,), (batch, samples) or (batch, 1, samples), with a dynamic
axis of samples, and one output likewise. It says its sampling rate in ``metadata_props`` under
``sampling_rate``, or a JSON file of the same name does. What takes states, frames or spectrograms is wrapped
by a Python factory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.component import Component
from forgetbench.models.interface import Audio
from forgetbench.models.onnx_file import onnx_sampling_rate, read_onnx
from forgetbench.models.waveform import Waveform, enhance_each

_BY_FACTORY = "Wrap it by a Python factory, package.module:function, with a method `enhance`."
_FATAL = 4
"""Log level: what goes wrong is raised as well."""


class OnnxEnhancer:
    """An ``Enhancer`` over an onnxruntime session.

    Args:
        session: ``onnxruntime.InferenceSession``.
        sampling_rate: In Hz.
        name: What an error calls it.

    Raises:
        CheckpointError: Inputs or outputs are not as this module wants them.
    """

    def __init__(self, session: Any, sampling_rate: int, name: str) -> None:
        self.sampling_rate = sampling_rate
        self._session = session
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise CheckpointError(name, f"has {found}; one of each is supported", _BY_FACTORY)
        self._input, shape = inputs[0].name, list(inputs[0].shape)
        if inputs[0].type != "tensor(float)":
            raise CheckpointError(name, f"takes {inputs[0].type}, not float32", _BY_FACTORY)
        if not 1 <= len(shape) <= 3 or any(isinstance(n, int) and n != 1 for n in shape[:-1]):
            what = f"takes input of shape {_shown(shape)}, not (batch, samples) or (batch, 1, samples)"
            raise CheckpointError(name, what, _BY_FACTORY)
        if isinstance(shape[-1], int):
            what = f"takes exactly {shape[-1]} samples"
            raise CheckpointError(name, what, "Export it with a dynamic axis of samples.")
        self._shape = (*(1 for _ in shape[:-1]), -1)

    @classmethod
    def load(cls, component: Component) -> OnnxEnhancer:
        """Load a component of format ``onnx``; its numbers are the file's own, whatever ``--dtype`` says.

        Raises:
            CheckpointError: onnxruntime is missing or cannot run the file, or its inputs are others.
        """
        path = component.path
        assert path is not None
        try:
            import onnxruntime
        except ImportError as error:
            raise CheckpointError(
                str(path), "needs onnxruntime, which is not installed", "Run: pip install 'forgetbench[onnx]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class
            raise CheckpointError(
                str(path), f"cannot be run by onnxruntime ({first_line(error)})", _BY_FACTORY
            ) from error
        return cls(session, onnx_sampling_rate(path, read_onnx(path)), str(path))

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order; each clip goes through the network alone."""
        return enhance_each(audio, self._process, sampling_rate=self.sampling_rate)

    def _process(self, samples: Waveform) -> Waveform:
        (made,) = self._session.run(None, {self._input: samples.reshape(self._shape)})
        return np.asarray(made)


def _shown(shape: Sequence[Any]) -> str:
    return "(" + ", ".join(str(n) if isinstance(n, int) else str(n or "?") for n in shape) + ")"

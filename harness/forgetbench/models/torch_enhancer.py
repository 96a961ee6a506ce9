"""Enhancers as torch.export or TorchScript files: a whole waveform in, a whole waveform out.

The network takes one float32 tensor and returns one. TorchScript takes shape (batch, samples). torch.export
says its shape, which is (samples,), (batch, samples) or (batch, 1, samples) with a dynamic axis of samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.component import Component
from forgetbench.models.interface import Audio
from forgetbench.models.torch_file import torch_sampling_rate
from forgetbench.models.waveform import Waveform, enhance_each
from forgetbench.schema.run import LoadSettings

_BY_FACTORY = "Wrap it by a Python factory, package.module:function, with a method `enhance`."


class TorchEnhancer:
    """An ``Enhancer`` over a function of tensors.

    Args:
        network: From float32 of ``shape`` to float32.
        shape: Of its input, -1 for the axis of samples.
        sampling_rate: In Hz.
        device: Where it runs.
    """

    def __init__(
        self, network: Callable[[torch.Tensor], Any], shape: tuple[int, ...], sampling_rate: int, device: str
    ) -> None:
        self.sampling_rate = sampling_rate
        self._network, self._shape, self._device = network, shape, device

    @classmethod
    def load(cls, component: Component, settings: LoadSettings) -> TorchEnhancer:
        """Load a component that the user trusts, which runs its code; its numbers are the file's own.

        Raises:
            CheckpointError: It cannot be loaded, or its inputs are others.
        """
        assert component.path is not None
        is_export = component.format == "torch_export"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network, shape = (_exported if is_export else _script)(str(component.path), settings.device)
        except CheckpointError:
            raise
        except Exception as error:  # torch raises many kinds
            raise CheckpointError(
                str(component.path),
                f"cannot be loaded ({first_line(error)})",
                "Export it again with this version of torch.",
            ) from error
        return cls(network, shape, torch_sampling_rate(component.path), settings.device)

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order; each clip goes through the network alone."""
        return enhance_each(audio, self._process, sampling_rate=self.sampling_rate)

    @torch.no_grad()
    def _process(self, samples: Waveform) -> Waveform:
        made = self._network(torch.from_numpy(samples.reshape(self._shape)).to(self._device))
        if not isinstance(made, torch.Tensor):
            raise TypeError(f"the network returned {type(made).__name__}, not a tensor")
        return np.asarray(made.cpu())


def _script(path: str, device: str) -> tuple[Callable[[torch.Tensor], Any], tuple[int, ...]]:
    module: Any = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]  # torch.jit is untyped
    return module.eval(), (1, -1)


def _exported(path: str, device: str) -> tuple[Callable[[torch.Tensor], Any], tuple[int, ...]]:
    from torch.export.passes import move_to_device_pass

    program = move_to_device_pass(torch.export.load(path), device)
    names = program.graph_signature.user_inputs
    inputs = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        raise CheckpointError(path, f"takes {len(names)} inputs, not one tensor", _BY_FACTORY)
    shape = list(inputs[0].shape)
    if inputs[0].dtype is not torch.float32:
        raise CheckpointError(path, f"takes {inputs[0].dtype}, not float32", _BY_FACTORY)
    if not 1 <= len(shape) <= 3 or any(isinstance(n, int) and n != 1 for n in shape[:-1]):
        what = f"takes input of shape {tuple(map(str, shape))}, not (batch, samples) or (batch, 1, samples)"
        raise CheckpointError(path, what, _BY_FACTORY)
    if isinstance(shape[-1], int):
        way_out = "Export it with a dynamic axis of samples."
        raise CheckpointError(path, f"takes exactly {shape[-1]} samples", way_out)
    return program.module(), (*(1 for _ in shape[:-1]), -1)

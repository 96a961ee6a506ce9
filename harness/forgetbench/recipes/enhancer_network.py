"""A small speech enhancer that is trained here and exported to ONNX: a learned filter bank, masked.

Conv-TasNet's form (Luo & Mesgarani 2019, arXiv 1809.07454) at a small size: an analysis filter bank, dilated
convolutions that make a mask, and a synthesis filter bank; 35 654 parameters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench.atomic import write_atomically
from forgetbench.errors import CheckpointError, MissingPackageError, first_line
from forgetbench.paths import cache_root

if TYPE_CHECKING:
    from torch import nn

RATE = 16_000
FRESH = "small-enhancer"
"""Name of the network with fresh weights: what a first training starts from."""
WEIGHTS, EXPORTED, CONFIG = "model.safetensors", "enhancer.onnx", "config.json"
MODEL_TYPE = "forgetbench_small_enhancer"
_FILTERS, _WIDTH, _HOP, _BLOCKS = 64, 32, 16, 6
_FRESH_SEED = 0


def make_network() -> nn.Module:
    """Return the network, on waveforms of shape (batch, samples) at 16 kHz; its weights are drawn."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv1d(_FILTERS, _FILTERS, 3, padding=dilation, dilation=dilation, groups=_FILTERS),
                nn.PReLU(),
                nn.GroupNorm(1, _FILTERS),
                nn.Conv1d(_FILTERS, _FILTERS, 1),
            )

        def forward(self, frames: Any) -> Any:
            return frames + self.layers(frames)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.analysis = nn.Conv1d(1, _FILTERS, _WIDTH, stride=_HOP, padding=_HOP, bias=False)
            self.mask = nn.Sequential(
                nn.GroupNorm(1, _FILTERS),
                *(Block(2**depth) for depth in range(_BLOCKS)),
                nn.Conv1d(_FILTERS, _FILTERS, 1),
                nn.Sigmoid(),
            )
            self.synthesis = nn.ConvTranspose1d(_FILTERS, 1, _WIDTH, stride=_HOP, padding=_HOP, bias=False)

        def forward(self, noisy: Any) -> Any:
            n = noisy.shape[-1]
            frames = torch.relu(self.analysis(nn.functional.pad(noisy, (0, 2 * _HOP)).unsqueeze(1)))
            return self.synthesis(frames * self.mask(frames)).squeeze(1)[..., :n]

    return Network()


def fresh_network() -> Path:
    """Return a directory with the seeded, untrained network, which is made once in the cache."""
    import torch

    folder = cache_root() / "recipes" / FRESH
    if not (folder / EXPORTED).is_file():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_FRESH_SEED)
            save_network(make_network(), folder)
    return folder


def save_network(network: nn.Module, folder: Path) -> None:
    """Write weights, config and the ONNX file.

    Raises:
        MissingPackageError: onnx is not installed.
    """
    from safetensors.torch import save

    write_atomically(folder / WEIGHTS, save(dict(network.state_dict())))
    config = {"model_type": MODEL_TYPE, "sampling_rate": RATE}
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    export(network, folder / EXPORTED)


def load_network(folder: Path) -> nn.Module:
    """Return the network of a directory that a recipe made.

    Raises:
        CheckpointError: The weights do not fit.
    """
    from safetensors.torch import load_file

    network = make_network()
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            str(folder),
            f"holds no weights of the small enhancer ({first_line(error)})",
            "Train it again: forgetbench recipe run.",
        ) from None
    return network


def export(network: nn.Module, file: Path) -> None:
    """Write a network as an ONNX file of the contract in docs/enhancers.md.

    Raises:
        MissingPackageError: onnx is not installed.
    """
    import importlib.util

    import torch

    if importlib.util.find_spec("onnx") is None:
        raise MissingPackageError("recipe of an enhancer", "onnx", extra="recipes")
    import onnx

    network.eval()
    partial = file.with_suffix(".partial")
    torch.onnx.export(
        network,
        (torch.zeros(1, RATE),),
        str(partial),
        input_names=["noisy"],
        output_names=["enhanced"],
        dynamic_axes={"noisy": {1: "samples"}, "enhanced": {1: "samples"}},
        dynamo=False,
    )
    model = onnx.load(str(partial))
    onnx.helper.set_model_props(model, {"sampling_rate": str(RATE)})
    onnx.save(model, str(partial))
    partial.replace(file)

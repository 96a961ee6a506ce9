"""Number types and devices that models can be loaded with here, told before anything is loaded."""

from __future__ import annotations

from forgetbench.errors import UsageError

DTYPES = ("float32", "bfloat16", "float16")
LOADED_BY_TORCH = frozenset({"transformers", "peft", "gguf", "torch_export", "torchscript"})
"""Formats whose weights go to the device that was asked for; a factory's or ONNX's go where they will."""
EVERYWHERE = "auto"
"""The device that stands for all there are: accelerate lays the layers over them."""


def check_dtype(dtype: str) -> None:
    """Fail where weights cannot be loaded in a number type; documents of other tools may name more.

    Raises:
        UsageError: It is not one of ``DTYPES``.
    """
    if dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype}", "is not known", f"Known are {', '.join(DTYPES)}.")


def check_device(device: str) -> None:
    """Fail where a device is not on this machine.

    Raises:
        UsageError: torch does not see it.
    """
    if device not in ("cpu", EVERYWHERE) and device not in (here := devices()):
        raise UsageError(f"--device {device}", "is not here", f"Here: {', '.join(here)}.")


def devices() -> list[str]:
    """Return the devices that torch sees here, the CPU first; ``cuda`` is the first GPU."""
    return ["cpu", *gpus()]


def gpus() -> list[str]:
    """Return the GPUs that torch sees here: ``cuda``, ``cuda:0``, ``cuda:1`` …, or ``mps``."""
    import torch

    if torch.cuda.is_available():
        return ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return ["mps"] if torch.backends.mps.is_available() else []

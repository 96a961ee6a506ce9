"""What torch says where memory runs out, and how to get some back."""

from __future__ import annotations

import gc

import torch

_SAID = ("not enough memory", "can't allocate memory", "out of memory")
"""Where torch has no exception of its own for it: on CPU and MPS."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an exception of torch says that memory ran out."""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(each in said for each in _SAID)


def free_memory() -> None:
    """Give back what a failed computation held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

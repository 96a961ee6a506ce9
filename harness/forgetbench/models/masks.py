"""Attention masks in the form that each family of decoders takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from forgetbench.models.branches import Packed
from forgetbench.models.families import Masks


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the mask as it is added to attention scores: 0 where visible, the lowest number elsewhere."""
    return torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, torch.finfo(dtype).min)


def attention_mask(packed: Packed, kind: Masks, model: Any, *, n_prefix: int) -> Any:
    """Return what the model takes as ``attention_mask``.

    Args:
        packed: The rows.
        kind: Of the model's architecture.
        model: Gives window, layers, number type and device.
        n_prefix: Tokens of the prefix before each row.

    Returns:
        A tensor of shape (rows, 1, columns, prefix + columns), or one for each type of layer.
    """

    def made(visible: Tensor) -> Tensor:
        return additive(visible.to(model.device), model.dtype)

    window = getattr(model.config, "sliding_window", None)
    match kind:
        case "full":
            return made(packed.visible)
        case "sliding":
            return made(packed.visible if window is None else packed.within(window, n_prefix))
        case "by_layer":
            found = {"full_attention": made(packed.visible)}
            if "sliding_attention" in model.config.layer_types:
                assert window is not None
                found["sliding_attention"] = made(packed.within(window, n_prefix))
            return found

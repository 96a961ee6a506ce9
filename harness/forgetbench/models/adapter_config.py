"""What an ``adapter_config.json`` of PEFT says of the base's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STARTS_BESIDE = (None, True, False, "gaussian", "orthogonal")
"""Ways to begin a LoRA that leave the base's weights as they are."""


def leaves_base_whole(config: Mapping[str, Any]) -> bool:
    """Say whether PEFT puts a LoRA beside its base's weights without changing these or their layers.

    PiSSA (Meng et al. 2024, arXiv 2404.02948), OLoRA and their like take a part out of each weight first.

    Args:
        config: The adapter's ``adapter_config.json``.
    """
    start = config.get("init_lora_weights", True)
    return start in _STARTS_BESIDE and not config.get("layer_replication")

"""A part α of what post-training changed: an adapter scaled, or weights between base and checkpoint.

θ(α) = θ_base + α·(θ_checkpoint − θ_base), without training (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903).
For a LoRA, whose change is a product of two matrices times a scale, the scale is multiplied by α.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.adapter_config import leaves_base_whole
from forgetbench.models.component import Checkpoint, Component
from forgetbench.models.fingerprint import combine, read_json
from forgetbench.models.pairing import Pair

_NOT_LINEAR = ("modules_to_save", "trainable_token_indices", "use_dora", "lora_bias")
"""Settings of an adapter under which its scale does not scale all that it changed."""

_INTERPOLATION = "2"
"""Version: the first moved tied weights twice."""


def at_alpha(pair: Pair, alpha: float) -> Pair:
    """Return a pair whose checkpoint has only a part of the change; the same pair for 1.

    Args:
        pair: Base and checkpoint.
        alpha: Above 0, at most 1.

    Raises:
        UsageError: There is no base, or a component cannot be scaled.
    """
    if alpha == 1:
        return pair
    if pair.base is None:
        raise UsageError(
            "--alpha", "needs the base that the checkpoint was trained from", "Name it with --base."
        )
    new = sorted(set(pair.checkpoint.components) - set(pair.base.components))
    if new:
        raise UsageError("--alpha", f"the base has no {new[0]} to move towards", "Leave --alpha out.")
    components = {
        role: component
        if role in pair.identical_roles
        else _scaled(component, pair.base.components[role], alpha)
        for role, component in pair.checkpoint.components.items()
    }
    name = f"{pair.checkpoint.name}@alpha={alpha:g}"
    return replace(pair, checkpoint=Checkpoint(name=name, components=components))


def is_plain_lora(config: Mapping[str, Any]) -> bool:
    """Say whether the whole change of an adapter is a LoRA's product, which its scale multiplies.

    Args:
        config: The adapter's ``adapter_config.json``.
    """
    more = config.get("bias", "none") != "none" or any(config.get(key) for key in _NOT_LINEAR)
    return config.get("peft_type") == "LORA" and not more and leaves_base_whole(config)


def scale_adapter(adapted: Any, alpha: float) -> None:
    """Multiply the scale of every LoRA layer of a PEFT model."""
    from peft.tuners.lora import LoraLayer

    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            module.scaling = {name: alpha * scale for name, scale in module.scaling.items()}


def interpolate(model: Any, base: Any, component: Component, alpha: float) -> None:
    """Move a model's weights towards its base's, in place.

    Raises:
        CheckpointError: The two differ in a weight's name or shape, or a weight is not in memory.
    """
    import torch

    before = base.state_dict()
    after = model.state_dict()
    if unfit := sorted(n for n in before.keys() | after.keys() if _shape(before, n) != _shape(after, n)):
        raise CheckpointError(
            str(component.path),
            f"cannot be interpolated with its base: the two differ in {unfit[0]}",
            "Leave --alpha out, or name the base that it was trained from.",
        )
    # Of a tied head and its embedding only one is named here.
    weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if any(weights[name].is_meta or before[name].is_meta for name in weights.keys() & before.keys()):
        raise CheckpointError(
            str(component.path),
            "cannot be interpolated: some of its weights are not in memory",
            "Give a --device that holds the whole model: cpu, cuda or mps.",
        )
    with torch.no_grad():
        for name in weights.keys() & before.keys():
            value = weights[name]
            if value.is_floating_point():
                value.copy_(torch.lerp(before[name].to(value), value, alpha))


def _shape(weights: dict[str, Any], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def _scaled(component: Component, base: Component, alpha: float) -> Component:
    parts = {"checkpoint": component.fingerprint, "base": base.fingerprint, "alpha": repr(float(alpha))}
    scaled = replace(
        component, source=f"{component.source}@alpha={alpha:g}", fingerprint=combine(parts), alpha=alpha
    )
    if component.format == "peft" and component.path is not None:
        if not is_plain_lora(read_json(component.path / "adapter_config.json")):
            raise UsageError(
                f"--alpha {alpha:g}",
                f"{component.source} is no adapter whose whole change is a plain LoRA",
                "Leave --alpha out, or save the trained parts as a LoRA alone.",
            )
        return scaled
    if {component.format, base.format} <= {"transformers", "gguf"}:
        fingerprint = combine(parts | {"interpolation": _INTERPOLATION})
        return replace(scaled, fingerprint=fingerprint, interpolated_from=base)
    raise UsageError(
        f"--alpha {alpha:g}",
        f"cannot scale {component.source}, whose format is {component.format}",
        "Name a LoRA adapter or a checkpoint in the transformers layout.",
    )

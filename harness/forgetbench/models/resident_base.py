"""A base that stays loaded while adapters are put on it, one after another.

Each adapter is merged or laid beside the weights as ``load_weights`` does: a checkpoint scores the same
either way. Merged weights are put back from a copy, bit for bit;
an adapter that changes more gets a base of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from forgetbench.models.adapter_config import leaves_base_whole
from forgetbench.models.component import Component
from forgetbench.models.directory import weight_files
from forgetbench.models.fingerprint import read_json
from forgetbench.models.safetensors_file import read_header
from forgetbench.schema.run import LoadSettings

if TYPE_CHECKING:
    from torch import Tensor


class ResidentBase:
    """Holds at most one model. What it returned last is no longer valid once it is asked again.

    Attributes:
        n_loads: How often weights were read from the disk.
    """

    def __init__(self) -> None:
        self.n_loads = 0
        self._key: tuple[str, LoadSettings] | None = None
        self._model: Any = None
        self._generation_config: Any = None
        self._undo: Callable[[], None] = _nothing

    def weights(self, auto_class: Any, component: Component, settings: LoadSettings) -> Any:
        """Return the component's model in eval mode; takes the place of ``load_weights``.

        Raises:
            CheckpointError: The weights do not fit the architecture, or the adapter its base.
            UsageError: The device is not there.
        """
        from forgetbench.models.weights import load_weights

        if not swaps(component):
            self.forget()
            self.n_loads += 1
            return load_weights(auto_class, component, settings)
        plain = component.base or component
        if self._key != (plain.fingerprint, settings):
            self.forget()
            self.n_loads += 1
            self._model = load_weights(auto_class, plain, settings)
            self._generation_config = self._model.generation_config
            self._key = (plain.fingerprint, settings)
        self._undo()
        self._undo = _nothing
        self._model.generation_config = self._generation_config
        if component.base is None:
            return self._model
        try:
            return self._adapted(component, settings)
        except BaseException:
            self.forget()  # PEFT may have put parts of a refused adapter on it
            raise

    def forget(self) -> None:
        """Free the memory."""
        self._key = self._model = self._generation_config = None
        self._undo = _nothing

    def _adapted(self, component: Component, settings: LoadSettings) -> Any:
        from forgetbench.models.weights import can_merge, put_adapter

        adapted = put_adapter(self._model, component)
        if settings.dtype != "float32" or not can_merge(adapted):
            self._undo = adapted.unload
            return adapted.to(dtype=self._model.dtype).eval().requires_grad_(False)
        before = _targets(adapted)
        self._undo = lambda: _restore(before)
        return adapted.merge_and_unload().eval().requires_grad_(False)


def weights_of(
    auto_class: Any,
    component: Component,
    settings: LoadSettings,
    *,
    merge: bool,
    resident: ResidentBase | None,
) -> Any:
    """Return a component's model: on the base that stays loaded, where there is one, else read anew.

    Raises:
        CheckpointError: As ``load_weights``.
        UsageError: As ``load_weights``.
    """
    from forgetbench.models.weights import load_weights

    if resident is not None:
        return resident.weights(auto_class, component, settings)
    return load_weights(auto_class, component, settings, merge=merge)


def swaps(component: Component) -> bool:
    """Tell whether a component is a base, or a LoRA that leaves its base's vocabulary in place."""
    if component.alpha is not None and component.base is None:
        return False
    if component.base is None or component.path is None:
        return component.format in ("transformers", "gguf")
    config = read_json(component.path / "adapter_config.json")
    is_plain = config.get("peft_type") == "LORA" and leaves_base_whole(config)
    is_plain = is_plain and not any(
        config.get(key) for key in ("modules_to_save", "trainable_token_indices", "target_parameters")
    )
    files = weight_files(component.path, "adapter_model")
    return bool(is_plain) and all("lora_" in t.name for file in files for t in read_header(file))


def _targets(adapted: Any) -> list[tuple[Any, Tensor]]:
    """Return the parameters that merging will change, each with a copy."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [m.get_base_layer() for m in adapted.modules() if isinstance(m, BaseTunerLayer)]
    parameters = {id(p): p for layer in layers for p in layer.parameters(recurse=False)}
    return [(parameter, parameter.detach().clone()) for parameter in parameters.values()]


def _restore(before: list[tuple[Any, Tensor]]) -> None:
    for parameter, value in before:
        parameter.data.copy_(value)


def _nothing() -> None:
    """Undo nothing: no adapter is on the base."""

"""Penalties on the way from the base: L2 (Li et al. 2018) and EWC (Kirkpatrick et al. 2017).

λ_l2/2·‖Δ‖² + λ_ewc/2·Σ F·Δ², where Δ is the change of the weights, for a LoRA the product that it adds.
Its gradient is added after the one of the loss and before clipping: the loss that is logged stays the data's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench.errors import UsageError
from forgetbench.schema.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def kept_data(recipe: Recipe) -> Path:
    """Return the file of what EWC is to keep: its own, or that of the replay.

    Raises:
        UsageError: The recipe names neither.
    """
    path = recipe.ewc_data or (recipe.replay.data if recipe.replay else None)
    if path is None:
        cause = "ewc needs data of what is to be kept"
        raise UsageError(f"recipe {recipe.name}", cause, "Give ewc_data=FILE, or replay.")
    return Path(path).expanduser()


def fisher_diagonal(
    model: Any, batches: Sequence[Mapping[str, Any]], *, modules: Sequence[str] | None
) -> dict[str, Tensor]:
    """Return the empirical Fisher information: per weight, the mean square of each example's gradient.

    Args:
        model: The base, without an adapter.
        batches: One example each, with labels.
        modules: Names of the linear layers whose weights are wanted; None for all weights.

    Returns:
        By parameter name, of each parameter's shape.
    """
    import torch

    wanted = {
        name: parameter
        for name, parameter in model.named_parameters()
        if modules is None or (name.endswith(".weight") and name.split(".")[-2] in modules)
    }
    sums = {name: torch.zeros_like(parameter) for name, parameter in wanted.items()}
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in wanted)
    model.eval()
    for batch in batches:
        model.zero_grad()
        model(**batch).loss.backward()
        for name, parameter in wanted.items():
            if parameter.grad is not None:
                sums[name] += parameter.grad.square() / len(batches)
    model.zero_grad()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained[name])
    model.train()
    return sums


def penalised(trainer_class: Any, recipe: Recipe, model: Any, fisher: Mapping[str, Tensor] | None) -> Any:
    """Return a trainer whose gradients contain the penalties of a recipe.

    Args:
        trainer_class: A transformers Trainer.
        recipe: Says how strong.
        model: What will be trained, as it is before training.
        fisher: For EWC.
    """
    if not recipe.l2_to_base and not recipe.ewc:
        return trainer_class
    add = _full(model, recipe, fisher) if recipe.weights == "full" else _lora(model, recipe, fisher)

    class Penalised(trainer_class):  # type: ignore[misc, unused-ignore]  # a class of run time
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            add()
            return loss

    return Penalised


def _full(model: Any, recipe: Recipe, fisher: Mapping[str, Tensor] | None) -> Any:
    import torch

    start = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def add() -> None:
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and name in start:
                change = parameter - start[name]
                parameter.grad.add_(change, alpha=recipe.l2_to_base)
                if fisher is not None:
                    parameter.grad.addcmul_(fisher[name], change, value=recipe.ewc)

    return add


def _lora(model: Any, recipe: Recipe, fisher: Mapping[str, Tensor] | None) -> Any:
    import torch

    information = {name.removesuffix(".weight"): value for name, value in (fisher or {}).items()}

    def add() -> None:
        for name, change in _lora_changes(model):
            penalty = 0.5 * recipe.l2_to_base * change.square().sum()
            if information:
                penalty = penalty + 0.5 * recipe.ewc * (information[name] * change.square()).sum()
            torch.autograd.backward(penalty)

    return add


def _lora_changes(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield scale·B·A of each LoRA layer under the name that the layer has in the base."""
    from peft.tuners.lora import LoraLayer

    for name, layer in model.get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            for adapter, scale in layer.scaling.items():
                yield name, scale * layer.lora_B[adapter].weight @ layer.lora_A[adapter].weight

"""Base and checkpoint at hand at once, to compare what they predict at the same position."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from forgetbench.errors import CheckpointError
from forgetbench.models.architectures import loader_of
from forgetbench.models.component import Component
from forgetbench.models.interface import Model
from forgetbench.models.load import load
from forgetbench.models.vocabulary import differing_vocabulary
from forgetbench.schema.run import LoadSettings
from forgetbench.schema.task import Capability


class ModelPair:
    """Two models, or one that is both: an adapter's base is the model with the adapter switched off.

    Args:
        base: None where the checkpoint's adapter can be switched off.
        checkpoint: The same object as ``base`` compares a model with itself.
    """

    def __init__(self, base: Model | None, checkpoint: Model) -> None:
        self._base, self.checkpoint = base, checkpoint

    @contextmanager
    def as_base(self) -> Iterator[Model]:
        """Yield the base; the checkpoint is not to be asked meanwhile."""
        if self._base is not None:
            yield self._base
            return
        from forgetbench.models.weights import switched_off

        with switched_off(cast(Any, self.checkpoint).model):
            yield self.checkpoint


def load_pair(base: Component, checkpoint: Component, settings: LoadSettings) -> ModelPair:
    """Load base and checkpoint; weights that both consist of are loaded once.

    Raises:
        UsageError: The settings ask for what there is not.
        CheckpointError: The weights do not fit.
    """
    if base.fingerprint == checkpoint.fingerprint:
        model = load(checkpoint, settings)
        return ModelPair(model, model)
    if checkpoint.base is not None and checkpoint.base.fingerprint == base.fingerprint:
        from forgetbench.models.weights import can_switch_off

        if can_switch_off(checkpoint):
            return ModelPair(None, load(checkpoint, settings, merge=False))
    return ModelPair(load(base, settings), load(checkpoint, settings))


def why_incomparable(base: Component, checkpoint: Component, capability: Capability) -> str | None:
    """Return why the distributions of two components cannot be compared, None where they can."""
    for arm, component in (("base", base), ("checkpoint", checkpoint)):
        if reason := _hides_distributions(component, capability):
            return f"the {arm} shows no distribution of its tokens ({reason})"
    families = [loader_of(component.architecture) for component in (base, checkpoint)]
    if capability == "transcribe" and families[0] != families[1]:
        return f"{base.architecture} and {checkpoint.architecture} predict different things"
    try:
        differing = differing_vocabulary(base, checkpoint)
    except (CheckpointError, OSError, ValueError, LookupError) as error:
        return f"a vocabulary cannot be read ({error})"
    return f"the arms have different vocabularies: {differing}" if differing else None


def _hides_distributions(component: Component, capability: Capability) -> str:
    if component.path is None or component.format in ("factory", "ctranslate2"):
        return f"format {component.format}"
    loader = loader_of(component.architecture)
    if capability == "transcribe" and loader not in ("whisper", "ctc", "speech_seq2seq"):
        return component.architecture
    from forgetbench.models.fingerprint import language_adapters

    plain = component.base or component
    if capability == "transcribe" and plain.path is not None and language_adapters(plain.path):
        return "an adapter for each language"
    return ""

"""A component, alone or beside its base, loaded when the first sample needs it."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

from forgetbench.engine.progress import Progress
from forgetbench.models.component import Component
from forgetbench.models.interface import Model
from forgetbench.models.load import load
from forgetbench.models.model_pair import ModelPair, load_pair
from forgetbench.models.resident_base import ResidentBase
from forgetbench.schema.run import LoadSettings


@dataclass
class LazyModel:
    """A component's model, loaded when the first sample needs it: a cached run loads nothing."""

    component: Component
    settings: LoadSettings
    progress: Progress
    loading_s: float = 0.0
    """Seconds that loading has taken, which are none of a sample's."""
    resident: ResidentBase | None = None
    _model: Model | None = None

    def get(self) -> Model:
        """Return the model."""
        if self._model is None:
            self.progress.say(f"Loading {self.component.source} ({self.component.architecture})")
            start = time.perf_counter()
            self._model = load(self.component, self.settings, resident=self.resident)
            self.loading_s += time.perf_counter() - start
        return self._model

    def release(self) -> None:
        """Free its memory."""
        self._model = None
        gc.collect()


@dataclass
class LazyPair:
    """What distributions are compared with, beside what is compared: a cached run loads neither."""

    component: Component
    reference: Component
    settings: LoadSettings
    progress: Progress
    loading_s: float = 0.0
    """Seconds that loading has taken, which are none of a sample's."""
    resident: ResidentBase | None = None
    """Let go of before both are loaded."""
    _pair: ModelPair | None = None

    def get(self) -> ModelPair:
        """Return both models."""
        if self._pair is None:
            self.progress.say(f"Loading {self.component.source} beside {self.reference.source}")
            if self.resident is not None:
                self.resident.forget()
            start = time.perf_counter()
            self._pair = load_pair(self.reference, self.component, self.settings)
            self.loading_s += time.perf_counter() - start
        return self._pair

    def release(self) -> None:
        """Free their memory."""
        self._pair = None
        gc.collect()


def lazy(
    component: Component,
    reference: Component | None,
    settings: LoadSettings,
    progress: Progress,
    *,
    resident: ResidentBase | None,
) -> LazyModel | LazyPair:
    """Return a component's model, beside the reference's where there is one, loaded when it is asked."""
    if reference is None:
        return LazyModel(component, settings, progress, resident=resident)
    return LazyPair(component, reference, settings, progress, resident=resident)

"""A component and its base, loaded together when the first sample needs both."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from forgetbench.engine.progress import Progress
from forgetbench.models.component import Component
from forgetbench.models.model_pair import ModelPair, load_pair
from forgetbench.schema.run import LoadSettings


@dataclass
class LazyPair:
    """What distributions are compared with, beside what is compared: a cached run loads neither."""

    component: Component
    reference: Component
    settings: LoadSettings
    progress: Progress
    _pair: ModelPair | None = None

    def get(self) -> ModelPair:
        """Return both models."""
        if self._pair is None:
            self.progress.say(f"Loading {self.component.source} beside {self.reference.source}")
            self._pair = load_pair(self.reference, self.component, self.settings)
        return self._pair

    def release(self) -> None:
        """Free their memory."""
        self._pair = None
        gc.collect()

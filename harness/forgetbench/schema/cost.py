"""What hearing costs one arm: times of single clips and memory, as measured on one machine at one time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from forgetbench.schema.document import Document
from forgetbench.schema.number import Count
from forgetbench.schema.run import ComponentRole

Heard = Literal["enhance", "transcribe"]
"""The capabilities that are timed."""


class ClipTime(Document):
    """One recording through one model, alone in its batch."""

    clip: str
    """Task, sample id and condition."""
    audio_s: float
    seconds: float
    first_output_s: float | None = None
    """From the call to the first output that is not empty, the whole clip being at hand; None where the model
    does not stream."""


class ComponentCost(Document):
    """What one component of an arm needed."""

    role: ComponentRole
    capability: Heard | None = None
    """What was timed; None where the component can neither clean nor transcribe speech."""
    clips: tuple[ClipTime, ...] = ()
    peak_memory_bytes: Count | None = None
    """Of a process of its own that loads the model and hears the clips, Python and libraries included; on
    CUDA, of the device's memory."""
    not_measured: str = ""
    """Why there are no times."""


class TurnTime(Document):
    """One spoken request through a whole system, from its end to the first token of the answer."""

    clip: str
    """Task, sample id and condition."""
    audio_s: float
    seconds: dict[ComponentRole, float]
    """By component, in the order of the signal; each waits for the one before it."""

    @property
    def total_s(self) -> float:
        """Seconds from the end of speech to the first token."""
        return sum(self.seconds.values())


class Cost(Document):
    """One arm of a measurement in which both arms took turns; lies under ``measured.cost``."""

    measured_at: str
    """Time in UTC: the two arms of one measurement share it, and times of two are never compared."""
    processors: Count
    """How many the process could use."""
    components: tuple[ComponentCost, ...]
    turns: tuple[TurnTime, ...] = ()
    """Of a system that answers speech, where a spoken task was selected."""
    turns_not_measured: str = ""
    """Why such a system has none."""

    @classmethod
    def of(cls, measured: Mapping[str, Any]) -> Cost | None:
        """Return what a document's ``measured`` block holds; None where it holds none that can be read."""
        try:
            return cls.model_validate(measured["cost"])
        except (KeyError, ValidationError):
            return None

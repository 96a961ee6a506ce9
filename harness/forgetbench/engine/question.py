"""What one component is asked in one task: all that its answers depend on, and who else may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.progress import Progress
from forgetbench.engine.prompting import Prompting
from forgetbench.models.component import Component
from forgetbench.schema.run import LoadSettings


@dataclass(frozen=True, kw_only=True)
class Question:
    """A task for a component.

    Attributes:
        reference: What its distributions are compared with; None for most tasks.
        path: Where its answers are kept.
    """

    planned: PlannedTask
    component: Component
    reference: Component | None
    prompting: Prompting
    load: LoadSettings
    path: Path

    @cached_property
    def key(self) -> str:
        """Tells it from others: systems that share a model ask it other samples, with answers at one path."""
        return f"{self.path} {self.planned.samples_sha256}"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of a question that workers were asked.

    Attributes:
        computed: Samples that were answered, or failed for good, since the question was first asked.
        seconds: The workers were busy with them, without loading.
        failed: Answers that no attempt gave, by sample content: in no journal.
        reasons: Why, a line each.
    """

    computed: int
    seconds: float
    failed: dict[str, Answer]
    reasons: tuple[str, ...]


class Workers(Protocol):
    """Answers questions elsewhere, and keeps the answers in the journals of this machine."""

    def ask(self, questions: Sequence[Question], progress: Progress) -> None:
        """Have everything answered that is not, all at once; what fails is told with its question."""

    def told(self, question: Question) -> Told:
        """Return what became of a question that was asked.

        Raises:
            TaskFailure: The model cannot be asked this task.
            ForgetbenchError: The model cannot be loaded.
        """

"""A part of a question that one worker answers at once: some of its batches."""

from __future__ import annotations

from dataclasses import dataclass

from forgetbench.engine.placement import Share
from forgetbench.engine.question import Question
from forgetbench.engine.ray_worker import Batches, audio_to_send
from forgetbench.engine.schedule import ModelKey, Unit

Batch = tuple[int, ...]


@dataclass(frozen=True)
class Shard:
    """The work of a unit: some batches of a question.

    Attributes:
        failed: Contents that are still asked for, where other samples of the batches have answers.
    """

    question: Question
    batches: tuple[Batch, ...]
    failed: frozenset[str] | None = None

    @property
    def open(self) -> frozenset[str]:
        """Contents of the samples without an answer."""
        samples = self.question.planned.samples
        every = frozenset(samples[i].content for batch in self.batches for i in batch)
        return every if self.failed is None else self.failed

    def for_failed(self, failed: frozenset[str]) -> Shard:
        """Return the batches with samples that failed, each whole: in other company, answers could differ."""
        samples = self.question.planned.samples
        batches = tuple(b for b in self.batches if any(samples[i].content in failed for i in b))
        return Shard(self.question, batches, failed)


def unit_of(shard: Shard, share: Share) -> Unit:
    """Return a shard as a unit of the schedule, for workers of a share."""
    question = shard.question
    component, reference = question.component, question.reference
    key = ModelKey(
        share=share,
        base=(component.base or component).fingerprint,
        model=f"{component.fingerprint} {reference.fingerprint if reference else ''}",
    )
    return Unit(key=key, work=shard, size=sum(map(len, shard.batches)))


def batches_of(shard: Shard) -> Batches:
    """Return what a worker needs of a shard beside its question."""
    planned = shard.question.planned
    samples = tuple(tuple(planned.samples[i] for i in batch) for batch in shard.batches)
    every = [sample for batch in samples for sample in batch]
    lm_eval = planned.lm_eval.to_ask(sample.id for sample in every) if planned.lm_eval else None
    return Batches(samples=samples, lm_eval=lm_eval, audio=audio_to_send(planned, every))

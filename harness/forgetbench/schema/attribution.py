"""Which component of a system a loss comes from; lies in ``attribution.json`` beside the comparison."""

from __future__ import annotations

from typing import Literal

from forgetbench.schema.document import Document
from forgetbench.schema.number import Count
from forgetbench.schema.run import ComponentRole


class Effect(Document):
    """A degradation with its interval: positive is worse."""

    value: float
    ci_low: float | None = None
    """None where a single sample leaves the spread open."""
    ci_high: float | None = None


class ComponentEffect(Document):
    """What swapping one component, from the base's to the checkpoint's, does to the whole system."""

    role: ComponentRole
    base: str
    """Source of the base's component; empty where the base has none."""
    checkpoint: str
    alone: Effect
    """Of the base with this component alone swapped: the first-order effect."""
    share: Effect
    """Its Shapley value: the effect of swapping it, averaged over all orders of swapping; shares add up."""


class Interaction(Document):
    """What some components lose together beyond what all their parts lose alone and together.

    The Harsanyi dividend (Harsanyi 1963): of two components, the loss of both minus the losses of each alone.
    """

    roles: tuple[ComponentRole, ...]
    effect: Effect


class TaskAttribution(Document):
    """The loss of a system on one spoken task, by component."""

    task: str
    title: str
    metric: str
    higher_is_better: bool
    n: Count
    """Samples that every one of the systems could score: those that are attributed."""
    n_dropped: Count = 0
    """Samples that one of the systems has and not every one of them could score."""
    level: float
    """Of the intervals: simultaneous over the shares and the interactions."""
    total: Effect
    components: tuple[ComponentEffect, ...]
    interactions: tuple[Interaction, ...] = ()
    """Of every two components and, where three differ, of all of them; none of a single one."""

    @property
    def lost_by(self) -> tuple[ComponentRole, ...]:
        """Components whose share is a loss beyond chance, the largest first."""
        lost = [c for c in self.components if c.share.ci_low is not None and c.share.ci_low > 0]
        return tuple(c.role for c in sorted(lost, key=lambda c: -c.share.value))

    @property
    def interacting(self) -> tuple[Interaction, ...]:
        """The interactions beyond chance, of either sign."""
        return tuple(i for i in self.interactions if _beyond_chance(i.effect))


def _beyond_chance(effect: Effect) -> bool:
    low, high = effect.ci_low, effect.ci_high
    return low is not None and high is not None and not low <= 0 <= high


class Attribution(Document):
    """All spoken tasks of a result."""

    schema_version: Literal[1] = 1
    run_key: str
    reproduce: str = ""
    """The command that makes the pair and its attribution again."""
    base: str
    """Fingerprint of the base's system."""
    checkpoint: str
    identical: tuple[ComponentRole, ...]
    """Components that are the same in both arms: not swapped."""
    n_systems: Count
    """Mixed systems that were run."""
    tasks: tuple[TaskAttribution, ...]
    not_attributed: tuple[str, ...] = ()
    """Tasks without an attribution, each with its reason."""

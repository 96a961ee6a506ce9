"""Which unit a worker is given next: work is queued by model, so that a worker keeps the one it has loaded.

Nothing here knows Ray: the simulation of a thousand workers runs the same code.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_ATTEMPTS = 3
"""A unit that failed so often is given up."""


class ModelKey(NamedTuple):
    """What must be loaded for a unit.

    Attributes:
        share: What a worker needs to hold it: only workers of this share take the unit.
        base: Weights that adapters are swapped on.
        model: The component, and what it is compared with.
    """

    share: Any
    base: str
    model: str


@dataclass(eq=False, kw_only=True)
class Unit:
    """A shard of one question.

    Attributes:
        key: The model that answers it.
        work: What is asked.
        size: Samples.
    """

    key: ModelKey
    work: Any
    size: int = 1
    reasons: list[str] = field(default_factory=list)
    """Of each attempt that failed."""

    @property
    def is_suspect(self) -> bool:
        """Whether an attempt failed: it is then given alone, so that what comes of it is laid to no other."""
        return bool(self.reasons)


class Schedule:
    """The units of one round, and how far each is.

    Args:
        units: In the order in which they are wanted.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self._waiting: dict[ModelKey, deque[Unit]] = {}
        self._holders: Counter[ModelKey] = Counter()
        self._of_share: Counter[Any] = Counter()
        for unit in units:
            self._waiting.setdefault(unit.key, deque()).append(unit)
            self._of_share[unit.key.share] += 1
        self.n_units = self.n_waiting
        self.n_running = self.n_done = self.n_failed = 0

    @property
    def is_over(self) -> bool:
        """Whether every unit is done or given up."""
        return self.n_waiting == self.n_running == 0

    @property
    def n_waiting(self) -> int:
        """Units that no worker was given."""
        return self._of_share.total()

    def waiting(self, share: Any) -> int:
        """Return how many units wait for a worker of a share."""
        return self._of_share[share]

    def shares(self) -> list[Any]:
        """Return the shares that units wait for, in the order of the units."""
        return [share for share, n in self._of_share.items() if n]

    def take(self, share: Any, held: ModelKey | None, *, alone: bool = True) -> Unit | None:
        """Return the next unit for a worker: of the model it holds, else on its base, else of any other.

        Of several models it is the one with the most units for each worker that holds it.

        Args:
            share: Of the worker.
            held: What it has loaded.
            alone: The worker has no other unit; beside one, none is given that has failed before.
        """
        key = held if held is not None and self._waiting.get(held) else self._choose(share, held)
        if key is None or (self._waiting[key][0].is_suspect and not alone):
            return None
        if key != held:
            self.let_go(held)
            self.hold(key)
        unit = self._waiting[key].popleft()
        if not self._waiting[key]:
            del self._waiting[key]
        self._of_share[share] -= 1
        self.n_running += 1
        return unit

    def hold(self, held: ModelKey | None) -> None:
        """Note that a worker holds a model from before."""
        if held is not None:
            self._holders[held] += 1

    def let_go(self, held: ModelKey | None) -> None:
        """Note that a worker holds a model no more."""
        if held is not None:
            self._holders[held] -= 1

    def done(self) -> None:
        """Note that a unit is finished."""
        self.n_running -= 1
        self.n_done += 1

    def give_up(self) -> None:
        """Note that a unit that was given will have no answer."""
        self.n_running -= 1
        self.n_failed += 1

    def put_back(self, unit: Unit) -> None:
        """Take back a unit that was given and not worked on; it is the next of its model."""
        self.n_running -= 1
        self._of_share[unit.key.share] += 1
        self._waiting.setdefault(unit.key, deque()).appendleft(unit)

    def failed(self, unit: Unit, reason: str) -> bool:
        """Note a failed attempt; the unit waits again, and False is returned when it is given up."""
        unit.reasons.append(reason)
        if len(unit.reasons) < MOST_ATTEMPTS:
            self.put_back(unit)
            return True
        self.give_up()
        return False

    def drop(self, is_unwanted: Callable[[Unit], bool]) -> None:
        """Give up units that wait: their question cannot be asked."""
        for key, queue in list(self._waiting.items()):
            kept = deque(unit for unit in queue if not is_unwanted(unit))
            self._of_share[key.share] -= len(queue) - len(kept)
            self.n_failed += len(queue) - len(kept)
            self._waiting[key] = kept
            if not kept:
                del self._waiting[key]

    def _choose(self, share: Any, held: ModelKey | None) -> ModelKey | None:
        able = [key for key in self._waiting if key.share == share]
        on_base = [key for key in able if held is not None and key.base == held.base]
        return max(
            on_base or able, key=lambda key: len(self._waiting[key]) / (self._holders[key] + 1), default=None
        )

"""The actors of a cluster: hired while units wait and there is room, buried when they or their node die."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetbench.engine.placement import Node, Share, node_of, parts, workers_on
from forgetbench.engine.progress import Progress
from forgetbench.engine.ray_worker import Surroundings, Worker
from forgetbench.engine.schedule import MOST_ATTEMPTS, ModelKey, Schedule, Unit
from forgetbench.errors import ForgetbenchError, UsageError

LOOK_S = 2.0
"""How often the nodes of the cluster are looked at."""
PATIENCE_S = 30.0
"""How often it is said that no node has room, and how long a worker waits for it beside idle ones."""
_TAKEN_OVER = ("FORGETBENCH_", "HF_", "TRANSFORMERS_", "TOKENIZERS_")
"""Environment variables of the driver that workers take over, by their beginnings."""


@dataclass(eq=False)
class Actor:
    """A worker, as the driver sees it.

    Attributes:
        wave: How many starts in a row had failed when it was hired.
        given: Units in the order in which it works on them.
    """

    handle: Any
    share: Share
    wave: int
    hired: float = field(default_factory=time.monotonic)
    started: bool = False
    held: ModelKey | None = None
    given: list[Unit] = field(default_factory=list)


class Crew:
    """All actors of this driver; they stay, with what they have loaded, until others need their room.

    Args:
        ray: The module, connected.
        kind: Class of the actors.
        grows: Nodes may join the cluster.

    Attributes:
        pending: What actors were asked, by Ray's reference: a unit, or to start.
    """

    def __init__(self, ray: Any, kind: type = Worker, *, grows: bool = True) -> None:
        self._ray, self._kind, self._grows = ray, kind, grows
        self.actors: list[Actor] = []
        self.pending: dict[Any, tuple[Actor, Unit | None]] = {}
        self.node = ray.get_runtime_context().get_node_id()
        self._failed_starts = 0
        self._nodes: list[Node] = []
        self._looked = -math.inf
        self._told_no_room = -math.inf

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive, looked at anew every few seconds."""
        if time.monotonic() - self._looked > LOOK_S:
            self._nodes = [node_of(node) for node in self._ray.nodes() if node["Alive"]]
            self._looked = time.monotonic()
        return self._nodes

    def room(self, share: Share) -> int:
        """Return how many workers of a share fit into the whole cluster."""
        return sum(workers_on(node, share) for node in self.nodes())

    def hire(self, schedule: Schedule, progress: Progress) -> None:
        """Start workers while units wait and there is room; those that no unit waits for make room.

        Raises:
            UsageError: No node can hold a model, and none will join.
        """
        for share in schedule.shares():
            have = [actor for actor in self.actors if actor.share == share]
            wanted = schedule.waiting(share) + sum(len(actor.given) for actor in have)
            room = self.room(share)
            if room == 0:
                self._wait_for_room(share, progress)
            self._make_room_for_late(have, schedule)
            # One that finds no room yet tells an autoscaler what is missing.
            for _ in range(min(wanted, max(room, 1)) - len(have)):
                if not self._make_room(share, schedule):
                    break
                self._start(share)

    def give(self, actor: Actor, unit: Unit, call: Any) -> None:
        """Note that an actor was asked a unit."""
        actor.held = unit.key
        actor.given.append(unit)
        self.pending[call] = actor, unit

    def finished(self) -> list[Any]:
        """Return the calls that have come back, after waiting for a moment where none has."""
        if not self.pending:
            time.sleep(0.1)
            return []
        calls = list(self.pending)
        ready, _ = self._ray.wait(calls, timeout=1.0)
        if ready:
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        return [call for call in ready if call in self.pending]

    def started(self, actor: Actor) -> None:
        """Note that an actor can be given units."""
        actor.started, self._failed_starts = True, 0

    def bury(self, actor: Actor, reason: str) -> list[Unit]:
        """Forget an actor that died and return its units, in the order in which it worked on them.

        Raises:
            ForgetbenchError: Several in a row died before they had started.
        """
        self._leave(actor)
        self._looked = -math.inf
        # Those that were hired together, and die with their node, are one failure.
        if not actor.started and actor.wave == self._failed_starts:
            self._failed_starts += 1
            if self._failed_starts == MOST_ATTEMPTS:
                raise ForgetbenchError(
                    "a Ray worker",
                    f"could not be started {MOST_ATTEMPTS} times ({reason})",
                    "Install the same forgetbench on every node, and look at Ray's logs there.",
                )
        return actor.given

    def dismiss(self) -> None:
        """End all actors, whatever they work on."""
        for actor in list(self.actors):
            self._leave(actor)
        self._failed_starts = 0

    def _leave(self, actor: Actor) -> None:
        self.actors.remove(actor)
        self.pending = {call: entry for call, entry in self.pending.items() if entry[0] is not actor}
        self._ray.kill(actor.handle)

    def _start(self, share: Share) -> None:
        surroundings = Surroundings(
            node=self.node,
            folder=Path.cwd(),
            environment={k: v for k, v in os.environ.items() if k.startswith(_TAKEN_OVER)},
            import_paths=[str(Path(path).resolve()) for path in sys.path],
        )
        made = self._ray.remote(self._kind).options(
            num_cpus=share.cpus, num_gpus=share.gpus, memory=share.memory, max_restarts=0
        )
        actor = Actor(made.remote(surroundings, max(int(share.cpus), 1)), share, self._failed_starts)
        self.actors.append(actor)
        self.pending[actor.handle.start.remote()] = actor, None

    def _make_room(self, share: Share, schedule: Schedule) -> bool:
        """Say whether a worker fits beside the others, after idle ones of other shares have left."""
        idle = self._idle(share, schedule)
        while not self._fits(share) and idle:
            self._let_go(idle.pop(), schedule)
        return not self.actors or self._fits(share)

    def _make_room_for_late(self, workers: Sequence[Actor], schedule: Schedule) -> None:
        """Let an idle worker go for one that Ray could not place: what is free may lie on several nodes."""
        now = time.monotonic()
        late = [actor for actor in workers if not actor.started and now - actor.hired > PATIENCE_S]
        if late and (idle := self._idle(late[0].share, schedule)):
            self._let_go(idle[0], schedule)
            for actor in late:
                actor.hired = now

    def _idle(self, share: Share, schedule: Schedule) -> list[Actor]:
        """Return the workers of other shares that nothing waits for."""
        return [a for a in self.actors if a.share != share and not a.given and not schedule.waiting(a.share)]

    def _let_go(self, actor: Actor, schedule: Schedule) -> None:
        schedule.let_go(actor.held)
        self._leave(actor)

    def _fits(self, share: Share) -> bool:
        """Say whether a share is free in the cluster as a whole; on which node is Ray's to find."""
        free = _total(self.nodes())
        held = _total([*(actor.share for actor in self.actors), share])
        return all(need <= have for need, have in zip(held, free, strict=True))

    def _wait_for_room(self, share: Share, progress: Progress) -> None:
        if not self._grows:
            raise UsageError(
                "--engine ray",
                f"no node has room for a worker of {share}",
                "Join a cluster with --ray-address, or use the local engine.",
            )
        if time.monotonic() - self._told_no_room > PATIENCE_S:
            self._told_no_room = time.monotonic()
            progress.say(f"Waiting for a node with room for a worker of {share}")


def _total(of: Sequence[Share | Node]) -> tuple[int, ...]:
    return tuple(map(sum, zip((0, 0, 0), *map(parts, of), strict=True)))

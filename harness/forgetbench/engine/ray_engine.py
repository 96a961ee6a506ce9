"""Questions answered on a Ray cluster: actors hold the models, and this process keeps the answers.

Placement, transport and the detection of what died are Ray's; which unit goes where is ``schedule.py``'s.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from forgetbench.engine.answers import MODEL_ERROR, TaskFailure, missing_batches
from forgetbench.engine.audio_store import put_content
from forgetbench.engine.forecast import seconds_per_answer
from forgetbench.engine.journal import FSYNC_INTERVAL_S, Answer, Journal, sync
from forgetbench.engine.placement import Placed, Share, place, share_of, widened
from forgetbench.engine.progress import Progress, Silent
from forgetbench.engine.question import Question, Told
from forgetbench.engine.ray_connect import connect
from forgetbench.engine.ray_crew import Actor, Crew
from forgetbench.engine.ray_post import Post
from forgetbench.engine.ray_worker import Answered, Worker, failed_samples
from forgetbench.engine.schedule import MOST_ATTEMPTS, Schedule, Unit
from forgetbench.engine.shard import Batch, Shard, batches_of, unit_of
from forgetbench.engine.shared_cache import SharedCache
from forgetbench.errors import ForgetbenchError, MissingPackageError, first_line
from forgetbench.paths import shared_cache_url
from forgetbench.redact import redact

UNITS_PER_WORKER = 8
"""So many units are made for each worker, if there are batches enough: small ones keep all of them busy."""
_IDS = re.compile(r" (?=Node I|Worker exit )")
"""Where Ray's reason for a death goes on with ids and addresses."""


@dataclass
class _Tally:
    """What became of a question so far."""

    answered: set[str] = field(default_factory=set)
    seconds: float = 0.0
    failed: dict[str, Answer] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    failure: str | None = None
    refused: ForgetbenchError | None = None
    is_over: bool = False


@contextmanager
def ray_workers(address: str | None = None) -> Iterator[RayWorkers]:
    """Connect to a cluster, or start Ray on this machine, and yield what answers questions there.

    Args:
        address: Of the cluster, as Ray has it: ``auto``, ``host:6379``; None for ``RAY_ADDRESS``, and without
            that for a Ray of its own.

    Raises:
        MissingPackageError: Ray is not installed.
        UsageError: There is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise MissingPackageError("--engine ray", "ray", extra="ray") from None
    own = not ray.is_initialized()
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if own:
        connect(ray, address)
    workers = RayWorkers(ray, grows=not own or address != "local")
    try:
        yield workers
    finally:
        workers.dismiss()
        if own:
            ray.shutdown()


class RayWorkers:
    """Answers questions on a cluster; see :func:`ray_workers`.

    Args:
        ray: The module, connected.
        kind: Class of the actors, with the methods of :class:`Worker`.
        grows: Nodes may join the cluster: a model that none has room for waits for one.
    """

    def __init__(self, ray: Any, kind: type = Worker, *, grows: bool = True) -> None:
        self._ray = ray
        self._crew, self._post = Crew(ray, kind, grows=grows), Post(ray)
        self._tallies: dict[str, _Tally] = {}
        self._unsynced: set[Path] = set()
        self._synced = time.monotonic()
        url = shared_cache_url()
        self._shared = SharedCache(url) if url is not None else None

    def ask(self, questions: Sequence[Question], progress: Progress) -> None:
        """Have everything answered that is not, all at once; what fails is told with its question.

        Raises:
            ForgetbenchError: Workers cannot be started.
            StorageError: The answers cannot be kept.
            UsageError: No node can hold a model, and none will come.
        """
        units = self._units(questions, progress)
        schedule = Schedule(units)
        for actor in self._crew.actors:
            schedule.hold(actor.held)
        if units:
            progress.begin("Ray", sum(unit.size for unit in units), 0)
        try:
            self._work_off(schedule, progress)
        except BaseException:
            self.dismiss()  # what they are still asked belongs to no later round
            raise
        self._sync()
        if units:
            progress.note(_state(schedule, len(self._crew.actors)))
            progress.end()
        for question in questions:
            self._tallies[question.key].is_over = True

    def told(self, question: Question) -> Told:
        """Return what became of a question, counted since it was last told.

        Raises:
            TaskFailure: The model cannot be asked this task.
            ForgetbenchError: The model cannot be loaded.
        """
        tally = self._tallies[question.key]
        if tally.refused is not None:
            raise tally.refused
        if tally.failure is not None:
            raise TaskFailure(tally.failure)
        computed, seconds = len(tally.answered), tally.seconds
        tally.answered, tally.seconds = set(), 0.0
        return Told(
            computed=computed, seconds=seconds, failed=dict(tally.failed), reasons=tuple(tally.reasons)
        )

    def placed(self, questions: Sequence[Question], *, times: int = 1) -> Placed:
        """Return where the units of questions would run, and what that costs; nothing is run.

        Args:
            questions: What would be asked.
            times: By so many checkpoints that are alike.
        """
        work: dict[Share, list[float]] = {}
        for unit in self._units(questions, Silent()):
            question = unit.work.question
            seconds = unit.size * seconds_per_answer(question.component, question.planned)
            work.setdefault(unit.key.share, []).append(seconds)
        return place({share: each * times for share, each in work.items()}, self._crew.nodes())

    def dismiss(self) -> None:
        """End all workers."""
        self._crew.dismiss()

    def _units(self, questions: Sequence[Question], progress: Progress) -> list[Unit]:
        """Cut what is missing into units."""
        missing: dict[str, tuple[Question, list[Batch]]] = {}
        for question in questions:
            tally = self._tallies.setdefault(question.key, _Tally())
            if not tally.is_over and question.key not in missing:
                if self._shared is not None:
                    self._shared.take(question.path)
                missing[question.key] = question, _missing(question, progress)
        nodes = self._crew.nodes()
        own = {key: share_of(question, nodes) for key, (question, batches) in missing.items() if batches}
        wide = widened([*own.values(), *(actor.share for actor in self._crew.actors)], nodes)
        shares = {key: wide[share] for key, share in own.items()}
        n_workers = max((self._crew.room(share) for share in shares.values()), default=1)
        n_batches = sum(len(batches) for _, batches in missing.values())
        size = max(math.ceil(n_batches / (UNITS_PER_WORKER * max(n_workers, 1))), 1)
        return [
            unit_of(Shard(question, tuple(batches[i : i + size])), shares[key])
            for key, (question, batches) in missing.items()
            for i in range(0, len(batches), size)
        ]

    def _work_off(self, schedule: Schedule, progress: Progress) -> None:
        while not schedule.is_over:
            self._crew.hire(schedule, progress)
            for actor in self._crew.actors:
                self._supply(actor, schedule)
            progress.note(_state(schedule, len(self._crew.actors)))
            for call in self._crew.finished():
                self._take(call, schedule, progress)
            if time.monotonic() - self._synced > FSYNC_INTERVAL_S:
                self._sync()

    def _supply(self, actor: Actor, schedule: Schedule) -> None:
        """Give a worker one unit more than it works on, while there are enough; a suspect one alone."""
        depth = 2 if schedule.waiting(actor.share) > len(self._crew.actors) else 1
        while actor.started and len(actor.given) < depth and not any(u.is_suspect for u in actor.given):
            unit = schedule.take(actor.share, actor.held, alone=not actor.given)
            if unit is None:
                return
            shard: Shard = unit.work
            many = len(self._crew.nodes()) > 1
            key, reference = self._post.question(shard.question, actor.share, many_nodes=many)
            self._crew.give(actor, unit, actor.handle.answer.remote(key, [reference], batches_of(shard)))

    def _take(self, call: Any, schedule: Schedule, progress: Progress) -> None:
        """Take in what a worker made of a unit, or that it is gone."""
        if call not in self._crew.pending:  # of a worker that was just buried
            return
        actor, unit = self._crew.pending.pop(call)
        returned: Any
        try:
            returned = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            # All but what the method itself raised means that the worker is gone: killed for memory, it is no
            # RayActorError.
            if unit is None or not isinstance(error, self._ray.exceptions.RayTaskError):
                self._bury(actor, _reason(error), schedule, progress)
                return
            returned = error
        if unit is None:
            self._crew.started(actor)
            return
        actor.given.remove(unit)
        if isinstance(returned, Answered):
            self._keep(unit, returned, schedule, progress)
        else:
            self._count_failure(unit, _reason(returned), schedule, progress)

    def _bury(self, actor: Actor, reason: str, schedule: Schedule, progress: Progress) -> None:
        """Give the units of a worker that died to others, each with one attempt that failed.

        Which of them it died of cannot be known: the answers of the first may not have left when the second
        killed it. From now on each is given alone.
        """
        schedule.let_go(actor.held)
        for unit in reversed(self._crew.bury(actor, reason)):
            self._count_failure(unit, reason, schedule, progress)

    def _keep(self, unit: Unit, answered: Answered, schedule: Schedule, progress: Progress) -> None:
        """Write answers down at once; what failed among them is asked again."""
        shard: Shard = unit.work
        tally = self._tallies[shard.question.key]
        if answered.lacking is not None:
            self._post.add_files(answered.lacking)
            schedule.put_back(unit)
            return
        if answered.failure is not None or answered.refused is not None:
            tally.failure, tally.refused = answered.failure, answered.refused
            schedule.give_up()
            schedule.drop(lambda other: other.work.question.key == shard.question.key)
            return
        for digest, content in answered.audio.items():
            put_content(digest, content)
        failed = frozenset(failed_samples(answered))
        good = {content: answer for content, answer in answered.answers.items() if content not in failed}
        if good:
            Journal.append(shard.question.path, good, waiting=partial(_say_shared, shard.question, progress))
            self._unsynced.add(shard.question.path)
            if self._shared is not None:
                self._shared.put(shard.question.path, good, answered.audio)
        tally.answered |= good.keys()
        tally.seconds += answered.seconds
        if not failed:
            schedule.done()
            progress.advance(unit.size)
            return
        unit.work = shard.for_failed(failed)
        self._count_failure(unit, "; ".join(answered.said[:3]), schedule, progress)

    def _sync(self) -> None:
        for path in self._unsynced:
            sync(path)
        self._unsynced, self._synced = set(), time.monotonic()

    def _count_failure(self, unit: Unit, reason: str, schedule: Schedule, progress: Progress) -> None:
        """Ask a unit again; after the last attempt its samples are errors, and the reason is kept."""
        if schedule.failed(unit, reason):
            return
        shard: Shard = unit.work
        tally = self._tallies[shard.question.key]
        tally.failed |= dict.fromkeys(shard.open, Answer(prediction=None, error=MODEL_ERROR))
        line = redact(f"{len(shard.open)} samples failed {MOST_ATTEMPTS} times, the last time: {reason}")
        tally.reasons.append(line)
        progress.say(f"{shard.question.planned.task.name}: {line}")
        progress.advance(unit.size)


def _missing(question: Question, progress: Progress) -> list[Batch]:
    with Journal.open(question.path, waiting=partial(_say_shared, question, progress)) as journal:
        return missing_batches(question.planned, journal, progress)


def _say_shared(question: Question, progress: Progress) -> None:
    progress.say(f"{question.planned.task.name}: another run asks the same")


def _state(schedule: Schedule, n_workers: int) -> str:
    return (
        f"Ray: {schedule.n_done} of {schedule.n_units} units done, {schedule.n_running} running, "
        f"{schedule.n_failed} failed, {n_workers} workers"
    )


def _reason(error: BaseException) -> str:
    """Return what happened in one line, without the ids and addresses that Ray adds.

    Of an actor that died, Ray says why in the last line; the exception of its constructor stands there, too.
    """
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {first_line(cause)}"
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    said = lines[-1] if lines and hasattr(error, "actor_init_failed") else first_line(error)
    return _IDS.split(said.strip())[0][:200]

"""Just enough of Ray in this process to make every fault at a chosen moment, one call after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from forgetbench.data.samples import Sample
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask, plan_batches
from forgetbench.engine.prompting import Prompting
from forgetbench.engine.question import Question
from forgetbench.engine.ray_worker import Answered, Batches
from forgetbench.models.component import Component
from forgetbench.schema.run import LoadSettings
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import Generate

Answering = Callable[[int, list[str]], Answered]
"""What comes back for a worker's number and the contents it is asked; it may raise what Ray would."""


class RayError(Exception):
    """As Ray's."""


class RayTaskError(RayError):
    """As Ray's: what a method raised, of a worker that lives on."""


class RayActorError(RayError):
    """As Ray's: the worker is gone."""


class OutOfMemoryError(RayError):
    """As Ray's: the worker is gone, too, and it is no actor error."""


class Ray:
    """Calls are answered when they are waited for, in the order in which they were made.

    Args:
        answer: Stands in for the workers.
        cpus: Of each node; a worker is made on the first that has so many left.
        answers_leave_late: A worker does all that it was given before the first of its answers leaves.
    """

    exceptions = SimpleNamespace(RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError)

    def __init__(
        self, answer: Answering, cpus: Sequence[float] = (2,), *, answers_leave_late: bool = False
    ) -> None:
        self.answer, self.cpus, self._late = answer, list(cpus), answers_leave_late
        self._given: list[_Call] = []
        self._done: dict[_Call, Answered] = {}
        self.n_made = 0
        self.dead: set[int] = set()
        self.asked: list[str] = []
        self._wanted: dict[int, float] = {}
        self._placed: dict[int, int] = {}
        self._deaths: dict[int, RayError] = {}
        self._n_idle_waits = 0

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "node")

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "Alive": True,
                "NodeManagerAddress": f"10.0.0.{i}",
                "Resources": {"CPU": float(cpus), "memory": 64.0 * 2**30},
            }
            for i, cpus in enumerate(self.cpus)
        ]

    def put(self, value: Any) -> Any:
        return [value]

    def remote(self, kind: type) -> Any:
        return SimpleNamespace(
            options=lambda **how: SimpleNamespace(remote=partial(self._make, how["num_cpus"]))
        )

    def wait(self, calls: Sequence[_Call], **_: Any) -> tuple[list[_Call], list[_Call]]:
        self._place()
        ready = [call for call in calls if call.actor in self._placed.keys() | self.dead][:1]
        self._n_idle_waits = 0 if ready else self._n_idle_waits + 1
        assert self._n_idle_waits < 100, "the driver waits for what never comes"
        return ready, [call for call in calls if call not in ready]

    def get(self, call: _Call) -> Any:
        if call.actor in self._deaths:
            raise self._deaths[call.actor]
        if call.actor in self.dead:
            raise RayActorError(
                "The actor died unexpectedly before finishing this task.\n\tclass_name: Worker"
            )
        if call.contents is None:
            return 0
        given = [c for c in self._given if c.actor == call.actor] if self._late else [call]
        for each in given:
            if each not in self._done:
                self._done[each] = self._work(each)
        return self._done[call]

    def kill(self, actor: Any) -> None:
        self.dead.add(actor.number)

    def _work(self, call: _Call) -> Answered:
        assert call.contents is not None
        self.asked += call.contents
        try:
            return self.answer(call.actor, call.contents)
        except (RayActorError, OutOfMemoryError) as error:
            self.dead.add(call.actor)
            self._deaths[call.actor] = error  # of all calls that have not come back
            raise

    def _place(self) -> None:
        for number in self._wanted.keys() - self._placed.keys() - self.dead:
            for node, cpus in enumerate(self.cpus):
                held = sum(
                    self._wanted[i] for i, n in self._placed.items() if n == node and i not in self.dead
                )
                if held + self._wanted[number] <= cpus + 1e-9:
                    self._placed[number] = node
                    break

    def _make(self, cpus: float, surroundings: Any, threads: int) -> Any:
        self.n_made += 1
        number = self.n_made
        self._wanted[number] = cpus
        return SimpleNamespace(
            number=number,
            start=SimpleNamespace(remote=lambda: _Call(number, None)),
            answer=SimpleNamespace(remote=lambda key, refs, batches: self._give(number, _contents(batches))),
        )

    def _give(self, number: int, contents: list[str]) -> _Call:
        self._given.append(_Call(number, contents))
        return self._given[-1]


class _Call:
    def __init__(self, actor: int, contents: list[str] | None) -> None:
        self.actor, self.contents = actor, contents


def _contents(batches: Batches) -> list[str]:
    return [sample.content for batch in batches.samples for sample in batch]


def said(contents: Sequence[str], *, failing: Sequence[str] = ()) -> Answered:
    """Return an answer to each sample, or the model's failure."""
    answers = {c: Answer(prediction=RawPrediction(text=f"to {c}")) for c in contents if c not in failing}
    answers |= {c: Answer(prediction=None, error="model_error") for c in contents if c in failing}
    lines = [f"t, sample {c}: RuntimeError: no" for c in contents if c in failing]
    return Answered(answers=answers, said=tuple(lines), seconds=1.0)


def question(
    path: Path, n: int = 12, *, name: str = "t", batch: int = 2, file: str = "", parameters: float = 0
) -> Question:
    """Return a question of so many samples, whose contents are ``t0``, ``t1``, …

    Args:
        path: Folder of its journal.
        n: Samples.
        name: Of the task and the model.
        batch: Samples in a batch.
        file: Name of the journal, where it is not the task's.
        parameters: Of the model: 500M to a CPU.
    """
    samples = tuple(
        Sample(id=str(i), content=f"{name}{i}", row={}, input=str(i), reference="", size=1.0)
        for i in range(n)
    )
    component = Component(
        role="lm", source=name, format="factory", path=None, architecture="F", fingerprint=name,
        capabilities=("generate",), parameters=int(parameters),
    )  # fmt: skip
    task = Generate.model_construct(kind="generate", name=name)
    return Question(
        planned=PlannedTask(task=task, samples=samples, batches=plan_batches(samples, batch)),
        component=component,
        reference=None,
        prompting=Prompting(),
        load=LoadSettings(),
        path=path / f"{file or name}.jsonl",
    )

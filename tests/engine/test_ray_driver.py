"""What the driver makes of answers, failures and deaths, on a stand-in for Ray that dies when it is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from forgetbench.engine import ray_engine
from forgetbench.engine.answers import TaskFailure
from forgetbench.engine.journal import Journal
from forgetbench.engine.progress import Silent
from forgetbench.engine.ray_engine import RayWorkers
from forgetbench.engine.ray_worker import Answered
from forgetbench.errors import CheckpointError, ForgetbenchError, UsageError
from ray_in_process import Ray, RayActorError, question, said


@pytest.fixture(autouse=True)
def one_batch_to_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "UNITS_PER_WORKER", 1000)


class Shown(Silent):
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.states: list[str] = []

    def begin(self, label: str, total: int, done: int) -> None:
        self.total = total

    def advance(self, n: int) -> None:
        self.done += n

    def note(self, state: str) -> None:
        self.states.append(state)


def answers(path: Path) -> dict[str, str | None]:
    with Journal.open(path) as journal:
        found = {content: journal.answers[content] for content in journal.answers}
    return {c: answer.prediction.text if answer.prediction else None for c, answer in found.items()}


def test_every_sample_is_asked_once_and_lies_in_the_journal(tmp_path: Path) -> None:
    ray, asked, shown = Ray(lambda _, contents: said(contents)), question(tmp_path), Shown()
    workers = RayWorkers(ray)
    workers.ask([asked, asked], shown)
    assert Counter(ray.asked) == Counter(f"t{i}" for i in range(12))
    assert answers(asked.path) == {f"t{i}": f"to t{i}" for i in range(12)}
    told = workers.told(asked)
    assert (told.computed, told.seconds, told.failed, told.reasons) == (12, 6.0, {}, ())
    assert workers.told(asked).computed == 0
    assert shown.done == shown.total == 12
    assert shown.states[-1] == "Ray: 6 of 6 units done, 0 running, 0 failed, 2 workers"
    workers.ask([asked], shown)
    assert len(ray.asked) == 12


def test_what_is_in_the_journal_is_not_asked(tmp_path: Path) -> None:
    asked = question(tmp_path)
    RayWorkers(Ray(lambda _, contents: said(contents))).ask([asked], Silent())
    ray = Ray(lambda _, contents: said(contents))
    RayWorkers(ray).ask([asked], Silent())
    assert ray.asked == [] and ray.n_made == 0


@pytest.mark.parametrize("moment", range(10))
def test_a_worker_that_dies_costs_the_unit_it_worked_on(tmp_path: Path, moment: int) -> None:
    n_answered = 0

    def answer(worker: int, contents: list[str]) -> Answered:
        nonlocal n_answered
        n_answered += 1
        if n_answered == moment % 6 + 1:
            raise RayActorError("The actor died.")
        return said(contents)

    ray, asked = Ray(answer), question(tmp_path)
    workers = RayWorkers(ray)
    workers.ask([asked], Silent())
    assert len(answers(asked.path)) == 12 and len(ray.asked) == 14
    assert workers.told(asked).failed == {}


def test_a_unit_that_kills_three_workers_is_an_error_and_stops_no_other(tmp_path: Path) -> None:
    def answer(worker: int, contents: list[str]) -> Answered:
        if "t4" in contents:
            raise RayActorError("The actor died unexpectedly.\n\tpid: 1\n\tip: 10.0.0.1")
        return said(contents)

    ray, asked = Ray(answer), question(tmp_path)
    workers = RayWorkers(ray)
    workers.ask([asked], Silent())
    told = workers.told(asked)
    assert ray.asked.count("t4") == 3
    assert len(told.failed) == 2 and "t4" in told.failed
    assert {found.error for found in told.failed.values()} == {"model_error"}
    assert told.reasons == ("2 samples failed 3 times, the last time: The actor died unexpectedly.",)
    assert answers(asked.path).keys() == {f"t{i}" for i in range(12)} - told.failed.keys()


def test_a_sample_that_fails_is_asked_again_with_its_batch_and_alone_is_an_error(tmp_path: Path) -> None:
    ray = Ray(lambda _, contents: said(contents, failing=["t4"]))
    asked, workers = question(tmp_path), RayWorkers(ray)
    workers.ask([asked], Silent())
    told = workers.told(asked)
    assert set(told.failed) == {"t4"} and told.computed == 11
    assert told.reasons == ("1 samples failed 3 times, the last time: t, sample t4: RuntimeError: no",)
    assert ray.asked.count("t4") == 3 and len(ray.asked) == 12 + 2 * 2


def test_a_fault_that_passes_leaves_no_error(tmp_path: Path) -> None:
    failures = iter([["t4"], ["t4"]])
    ray = Ray(lambda _, c: said(c, failing=next(failures, []) if "t4" in c else []))
    asked, workers = question(tmp_path), RayWorkers(ray)
    workers.ask([asked], Silent())
    assert workers.told(asked).failed == {} and len(answers(asked.path)) == 12


def test_a_model_that_cannot_be_loaded_stops_its_own_question_alone(tmp_path: Path) -> None:
    refused = CheckpointError("./broken", "lacks weights")

    def answer(worker: int, contents: list[str]) -> Answered:
        return Answered(answers={}, refused=refused) if contents[0].startswith("bad") else said(contents)

    good, bad = question(tmp_path), question(tmp_path, name="bad")
    workers = RayWorkers(Ray(answer))
    workers.ask([bad, good], Silent())
    assert len(answers(good.path)) == 12
    with pytest.raises(CheckpointError, match="lacks weights"):
        workers.told(bad)


def test_a_model_that_cannot_be_asked_fails_its_task(tmp_path: Path) -> None:
    workers = RayWorkers(Ray(lambda _, contents: Answered(answers={}, failure="has no head")))
    asked = question(tmp_path)
    workers.ask([asked], Silent())
    with pytest.raises(TaskFailure, match="has no head"):
        workers.told(asked)


def test_files_that_a_node_lacks_are_sent_and_count_no_attempt(tmp_path: Path) -> None:
    weights = tmp_path / "model.onnx"
    weights.write_bytes(b"weights")
    lacking = iter([weights] * 5)

    def answer(worker: int, contents: list[str]) -> Answered:
        path = next(lacking, None)
        return said(contents) if path is None else Answered(answers={}, lacking=path)

    asked, workers = question(tmp_path), RayWorkers(Ray(answer))
    workers.ask([asked], Silent())
    assert len(answers(asked.path)) == 12 and workers.told(asked).failed == {}


def test_workers_that_never_start_end_the_command(tmp_path: Path) -> None:
    ray = Ray(lambda _, contents: said(contents))
    ray.dead = set(range(100))
    with pytest.raises(ForgetbenchError, match="could not be started 3 times"):
        RayWorkers(ray).ask([question(tmp_path)], Silent())


def test_a_machine_without_room_for_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no node has room for a worker of 1 CPU, 2 GiB"):
        RayWorkers(Ray(lambda _, contents: said(contents), cpus=0)).ask([question(tmp_path)], Silent())

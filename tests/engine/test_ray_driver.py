"""What the driver makes of answers, failures and deaths, on a stand-in for Ray that dies when it is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from forgetbench.engine import ray_crew, ray_engine
from forgetbench.engine.answers import TaskFailure
from forgetbench.engine.journal import Journal
from forgetbench.engine.placement import Share
from forgetbench.engine.progress import Silent
from forgetbench.engine.ray_engine import RayWorkers
from forgetbench.engine.ray_worker import Answered
from forgetbench.errors import CheckpointError, ForgetbenchError, StorageError, UsageError
from ray_in_process import OutOfMemoryError, Ray, RayActorError, RayTaskError, question, said


@pytest.fixture(autouse=True)
def one_batch_to_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "UNITS_PER_WORKER", 1000)


class Shown(Silent):
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.states: list[str] = []
        self.said: list[str] = []

    def begin(self, label: str, total: int, done: int) -> None:
        self.total = total

    def advance(self, n: int) -> None:
        self.done += n

    def note(self, state: str) -> None:
        self.states.append(state)

    def say(self, message: str) -> None:
        self.said.append(message)


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


def test_of_two_units_that_a_dead_worker_was_given_the_guilty_one_is_given_up_and_the_other_answered(
    tmp_path: Path,
) -> None:
    guilty = {"t4", "t5"}

    def answer(worker: int, contents: list[str]) -> Answered:
        if guilty & set(contents):
            raise RayActorError("The actor died.")
        return said(contents)

    ray, asked = Ray(answer, answers_leave_late=True), question(tmp_path)
    workers = RayWorkers(ray)
    workers.ask([asked], Silent())
    counted = Counter(ray.asked)
    assert workers.told(asked).failed.keys() == guilty and {counted[g] for g in guilty} == {3}
    assert sum(n == 2 for n in counted.values()) == 2, "of the unit before it no answer had left"
    assert max(n for content, n in counted.items() if content not in guilty) == 2
    assert answers(asked.path).keys() == {f"t{i}" for i in range(12)} - guilty


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

    good, bad, shown = question(tmp_path), question(tmp_path, name="bad"), Shown()
    workers = RayWorkers(Ray(answer))
    workers.ask([bad, good], shown)
    assert len(answers(good.path)) == 12
    assert shown.states[-1].startswith("Ray: 6 of 12 units done, 0 running, 6 failed")
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
    ray = Ray(lambda _, contents: said(contents), cpus=[0])
    with pytest.raises(UsageError, match="no node has room for a worker of 1 CPU, 2 GiB"):
        RayWorkers(ray, grows=False).ask([question(tmp_path)], Silent())


def test_a_cluster_that_starts_without_room_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scaler(Shown):
        """Adds a node when it is told that one is missing."""

        def say(self, message: str) -> None:
            super().say(message)
            ray.cpus.append(2)

    monkeypatch.setattr(ray_crew, "LOOK_S", -1.0)
    ray, asked, shown = Ray(lambda _, contents: said(contents), cpus=[0]), question(tmp_path), Scaler()
    RayWorkers(ray).ask([asked], shown)
    assert shown.said == ["Waiting for a node with room for a worker of 1 CPU, 2 GiB"]
    assert len(answers(asked.path)) == 12


def test_a_worker_that_is_killed_for_memory_is_asked_no_more(tmp_path: Path) -> None:
    killed = iter([True])

    def answer(worker: int, contents: list[str]) -> Answered:
        if "t4" in contents and next(killed, False):
            raise OutOfMemoryError(
                "Task was killed due to the node running low on memory.\nMemory on the node"
            )
        return said(contents)

    ray, asked = Ray(answer), question(tmp_path)
    workers = RayWorkers(ray)
    workers.ask([asked], Silent())
    assert workers.told(asked).failed == {} and len(answers(asked.path)) == 12
    assert ray.n_made == 3


def test_what_a_worker_raises_costs_an_attempt_and_not_the_worker(tmp_path: Path) -> None:
    def answer(worker: int, contents: list[str]) -> Answered:
        if "t4" in contents:
            error = RayTaskError("ray::Worker.answer() (pid=1, ip=10.0.0.1)\n  File …")
            error.cause = OSError("No space left on device")  # type: ignore[attr-defined]
            raise error
        return said(contents)

    ray, asked = Ray(answer), question(tmp_path)
    workers = RayWorkers(ray)
    workers.ask([asked], Silent())
    assert workers.told(asked).reasons == (
        "2 samples failed 3 times, the last time: OSError: No space left on device",
    )
    assert ray.n_made == 2


def test_questions_with_answers_at_one_path_are_asked_each_for_its_samples(tmp_path: Path) -> None:
    """A language model that two systems share reads what each of their recognisers heard."""
    one = question(tmp_path, name="heard", file="stage")
    other = question(tmp_path, name="misheard", file="stage")
    ray = Ray(lambda _, contents: said(contents))
    workers = RayWorkers(ray)
    workers.ask([one], Silent())
    workers.ask([other], Silent())
    assert workers.told(other).computed == 12
    assert answers(one.path).keys() == {f"{name}{i}" for name in ("heard", "misheard") for i in range(12)}


def test_after_a_full_disk_the_next_question_is_asked_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray, first, second = (
        Ray(lambda _, contents: said(contents)),
        question(tmp_path),
        question(tmp_path, name="s"),
    )
    workers = RayWorkers(ray)
    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(Journal, "append", full_disk)
        workers.ask([first], Silent())
    workers.ask([second], Silent())
    assert len(answers(second.path)) == 12
    workers.ask([first], Silent())
    assert len(answers(first.path)) == 12


def full_disk(*_: object, **__: object) -> None:
    raise StorageError("the journal", "cannot be written (No space left on device)")


def test_a_reason_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "AKIA-0123456789")
    line = "403 for https://me:pass-word@host/ with AKIA-0123456789"

    def answer(worker: int, contents: list[str]) -> Answered:
        return replace(said(contents, failing=contents), said=(line,))

    asked, shown = question(tmp_path), Shown()
    workers = RayWorkers(Ray(answer))
    workers.ask([asked], shown)
    told = "\n".join([*workers.told(asked).reasons, *shown.said])
    assert "403 for https://***@host/ with ***" in told
    assert "pass-word" not in told and "AKIA" not in told


def test_a_node_that_dies_under_workers_that_start_is_one_failed_start(tmp_path: Path) -> None:
    ray, asked = Ray(lambda _, contents: said(contents), cpus=[8]), question(tmp_path)
    ray.dead = set(range(1, 9))
    workers = RayWorkers(ray)
    workers.ask([asked], Silent())
    assert len(answers(asked.path)) == 12


def test_idle_workers_make_room_where_what_is_free_lies_on_several_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_crew, "PATIENCE_S", -1.0)
    ray = Ray(lambda _, contents: said(contents), cpus=[4, 4])
    large = question(tmp_path, 4, name="large", parameters=1.5e9)  # 3 CPUs, one on each node
    small = question(tmp_path, 2, name="small", parameters=1e9)  # 2 CPUs, of which each node has 1
    RayWorkers(ray).ask([large, small], Silent())
    assert len(answers(large.path)) == 4 and len(answers(small.path)) == 2


def test_a_hundred_workers_of_a_hundredth_are_all_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "share_of", lambda *_: Share(0.02, 0.0, 0))
    ray = Ray(lambda _, contents: said(contents))
    RayWorkers(ray).ask([question(tmp_path, 400)], Silent())
    assert ray.n_made == 100

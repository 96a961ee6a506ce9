"""Workers, nodes and drivers that die: the work goes on, and nothing is scored twice into a result.

Each fault is made ten times, at another moment each time, on two nodes with a CPU each. Workers stay from one
round to the next, as they do in a command; what a fault has ended is started again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forgetbench.atomic import write_atomically
from forgetbench.engine import ray_engine
from forgetbench.engine.progress import Silent
from forgetbench.engine.ray_engine import RayWorkers, ray_workers
from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, open_questions, prepare
from forgetbench.engine.schedule import Schedule
from forgetbench.schema.run import Settings
from ray_runs import STORE_BYTES, asked, assert_same, put_logging_model
from tiny_tasks import choice_rows, write_task

Record = Callable[[str, object], None]
TIMES = range(10)
N_QUESTIONS = 60
BATCH = 3
LOST = 2 * BATCH
"""What a worker that dies may take with it: the unit that it works on, and one whose answers had not left."""
UNITS = 1000
"""For each worker, so that each batch is a unit."""
CONFIG = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,
}
"""A node is dead after three refused connections, a third of a second apart; workers have our priority."""


@dataclass
class Nodes:
    """Two nodes and their workers.

    Attributes:
        folder: The working directory of this process and of all workers, with the model's module.
        local: The result of the local engine.
    """

    folder: Path
    cluster: Any
    workers: RayWorkers
    local: Result
    second: Any = None

    def man(self) -> None:
        """Have a worker on each node, started; a node that was taken away is there again."""
        import ray

        if self.second is None:
            self.second = self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        crew = self.workers._crew
        wanted = Schedule(self.workers._units(open_questions([prepare(request(self.folder))]), Silent()))
        while len(crew.actors) < 2:
            crew.hire(wanted, Silent())
            time.sleep(0.05)
        ray.get([call for call, (_, unit) in crew.pending.items() if unit is None])

    def pause(self, seconds: float) -> None:
        """Have models think so long before they answer a batch, also those that are thinking."""
        write_atomically(self.folder / "pause_s", str(seconds).encode())

    @contextmanager
    def all_at_work(self) -> Iterator[None]:
        """Have each worker in the middle of a batch, whatever this machine is doing besides."""
        self.pause(600)
        time.sleep(0.5)  # a worker between two batches has its next one by then
        try:
            yield
        finally:
            self.pause(0)

    def take_second_away(self) -> None:
        """Kill the second node's processes."""
        second, self.second = self.second, None
        self.cluster.remove_node(second, allow_graceful=False)

    def result(self) -> Result:
        """Return the result of the workers."""
        return evaluate(prepare(request(self.folder)), workers=self.workers)


def request(folder: Path, output: str = "ray") -> Request:
    """Ask both arms 30 questions."""
    return Request(
        model="logging_model:checkpoint", base="logging_model:base", tasks=["choices"],
        include_paths=[folder / "tasks"], output=folder / output, offline=True,
        settings=Settings(batch_size=BATCH),
    )  # fmt: skip


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    import ray
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("nodes")
    (folder / "tasks").mkdir()
    write_task(
        folder / "tasks", "choices", choice_rows(N_QUESTIONS // 2), kind="multiple_choice",
        prompt="{question}", metrics=["acc", "acc_norm"], primary="acc", chance=1 / 3,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        put_logging_model(folder, patch)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(ray_engine, "UNITS_PER_WORKER", UNITS)
        with patch.context() as own:
            own.setenv("FORGETBENCH_CACHE", str(folder / "cache-local"))
            local = evaluate(prepare(request(folder, "local")))
        one = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=one | {"_system_config": CONFIG})
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            with ray_workers() as workers:
                yield Nodes(folder, cluster, workers, local)
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture
def nodes(two_nodes: Nodes, tmp_path: Path) -> Nodes:
    """Both nodes manned, and nothing asked; each round has a cache of its own."""
    for name in ("asked", "poison", "broken"):
        (two_nodes.folder / name).unlink(missing_ok=True)
    shutil.rmtree(two_nodes.folder / "ray", ignore_errors=True)
    two_nodes.pause(0)
    two_nodes.man()
    return two_nodes


def after(
    folder: Path, n_asked: int, act: Callable[[list[str]], None], *, n_workers: int = 1
) -> threading.Thread:
    """Do something once so many workers have asked so many questions; it is given the lines of the log."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            lines = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
            if len(lines) >= n_asked and len({line.split()[0] for line in lines}) >= n_workers:
                act(lines)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def asked_again(folder: Path) -> int:
    """Return how many questions were asked once more; every one was asked."""
    counted = Counter(asked(folder))
    assert len(counted) == N_QUESTIONS
    return sum(n - 1 for n in counted.values())


@pytest.mark.slow
@pytest.mark.parametrize("time_", TIMES)
def test_a_worker_that_is_killed_costs_the_unit_it_worked_on(
    nodes: Nodes, time_: int, record_property: Record
) -> None:
    def kill(lines: list[str]) -> None:
        with nodes.all_at_work():
            os.kill(int(lines[-1].split()[0]), signal.SIGKILL)

    nodes.pause(0.1)
    killer = after(nodes.folder, 3 + 5 * time_, kill)
    result = nodes.result()
    killer.join()
    assert_same(nodes.local, result)
    again = asked_again(nodes.folder)
    record_property("asked_again", again)
    assert 0 < again <= LOST, "more was asked again than what it worked on and what it had just answered"


@pytest.mark.slow
@pytest.mark.parametrize("time_", TIMES)
def test_a_unit_that_kills_its_worker_three_times_is_an_error_with_its_reason(
    nodes: Nodes, time_: int
) -> None:
    (nodes.folder / "poison").write_text(questions_of(nodes.folder)[3 * time_])
    result = nodes.result()
    for document in (result.checkpoint, result.base):
        assert document is not None
        (task,) = document.tasks
        assert task.errors == {"model_error": BATCH} and task.n_scored == 30 - BATCH
        (warning,) = [w for w in document.warnings if "failed 3 times" in w]
        assert (
            warning.startswith("choices: 3 samples failed 3 times") and "worker process has died" in warning
        )
    counted = Counter(asked(nodes.folder))
    assert max(counted.values()) == 3 and sum(n == 3 for n in counted.values()) == 2 * BATCH
    (nodes.folder / "poison").unlink()
    assert_same(nodes.local, evaluate(prepare(request(nodes.folder))))  # the next run asks what failed


@pytest.mark.slow
@pytest.mark.parametrize("time_", TIMES)
def test_a_model_that_fails_three_times_is_an_error_of_its_sample_alone(nodes: Nodes, time_: int) -> None:
    (nodes.folder / "broken").write_text(questions_of(nodes.folder)[2 * time_])
    result = nodes.result()
    (task,) = result.checkpoint.tasks
    assert task.errors == {"model_error": 1} and task.n_scored == 29
    (warning,) = [w for w in result.checkpoint.warnings if "failed 3 times" in w]
    assert warning.startswith("choices: 1 samples failed 3 times, the last time: choices, sample c")
    assert "CUDA error: device-side assert triggered" in warning
    (nodes.folder / "broken").unlink()
    assert_same(nodes.local, evaluate(prepare(request(nodes.folder))))


@pytest.mark.slow
@pytest.mark.parametrize("time_", TIMES)
def test_a_node_that_is_gone_costs_the_units_it_worked_on(
    nodes: Nodes, time_: int, record_property: Record
) -> None:
    def take_away(lines: list[str]) -> None:
        workers = {int(line.split()[0]) for line in lines}
        with nodes.all_at_work():
            nodes.take_second_away()
            assert wait_for(lambda: not all(map(is_alive, workers))), "its worker outlived the node"

    nodes.pause(0.1)
    gone = after(nodes.folder, 6 + 3 * time_, take_away, n_workers=2)
    result = nodes.result()
    gone.join()
    assert_same(nodes.local, result)
    again = asked_again(nodes.folder)
    record_property("asked_again", again)
    assert 0 < again <= LOST, "more was asked again than what it worked on and what it had just answered"


@pytest.mark.slow
@pytest.mark.parametrize(("time_", "own_ray"), [*((t, False) for t in TIMES), (4, True)])
def test_a_driver_that_is_killed_and_started_again_goes_on(
    nodes: Nodes, time_: int, own_ray: bool, record_property: Record
) -> None:
    """On a cluster that stays, and once on the Ray that the command had started itself."""
    nodes.workers.dismiss()
    nodes.pause(0.05)
    code = f"from forgetbench.engine import ray_engine; ray_engine.UNITS_PER_WORKER = {UNITS}; "
    words = [
        "run", "--model", "logging_model:checkpoint", "--base", "logging_model:base", "--tasks", "choices",
        "--include-path", "tasks", "--no-mlflow", "--batch-size", str(BATCH), "--output-path", "ray",
        "--engine", "ray", "--ray-address", "local" if own_ray else nodes.cluster.address,
    ]  # fmt: skip
    code += f"from forgetbench.cli import main; main({words!r})"
    started = subprocess.Popen(
        [sys.executable, "-c", code], cwd=nodes.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    niceness: list[int] = []

    def kill(lines: list[str]) -> None:
        niceness.append(os.getpriority(os.PRIO_PROCESS, int(lines[-1].split()[0])))
        started.send_signal(signal.SIGKILL)

    killer = after(nodes.folder, 3 + 5 * time_, kill)
    started.communicate(timeout=300)
    killer.join()
    assert started.returncode == -signal.SIGKILL, "it ended before it was killed"
    assert not list(nodes.folder.glob("ray/**/run.json"))
    if own_ray:
        assert niceness == [os.getpriority(os.PRIO_PROCESS, 0)], "workers give way to everything else"
    its_workers = pids(nodes.folder)
    nodes.pause(0)  # its workers may finish the units that they have
    result = nodes.result()
    assert_same(nodes.local, result)
    assert wait_for(lambda: not any(map(is_alive, its_workers))), (
        "workers of a driver that is gone hold their CPUs"
    )
    again = asked_again(nodes.folder)
    record_property("asked_again", again)
    assert again <= 4 * BATCH, "more than what two workers had was asked again"


def pids(folder: Path) -> set[int]:
    """Return the processes that were asked."""
    return {int(line.split()[0]) for line in (folder / "asked").read_text().splitlines()}


def wait_for(condition: Callable[[], bool], *, within_s: float = 30) -> bool:
    """Say whether something comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def is_alive(pid: int) -> bool:
    """Say whether a process is there, and no zombie."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


def questions_of(folder: Path) -> list[str]:
    """Return the questions of the task, in the order of its file."""
    lines = (folder / "tasks" / "choices.jsonl").read_text().splitlines()
    return [json.loads(line)["question"] for line in lines]

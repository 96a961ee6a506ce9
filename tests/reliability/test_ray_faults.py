"""Workers, nodes and drivers that die: the work goes on, and nothing is scored twice into a result.

Each fault is made ten times, at another moment each time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgetbench.engine import ray_engine
from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.schema.run import Settings
from ray_runs import STORE_BYTES, a_ray, asked, assert_same

Ask = Callable[..., Request]
Record = Callable[[str, object], None]
TIMES = range(10)
N_QUESTIONS = 60
BATCH = 3
LOST = 2 * BATCH
"""What a worker that dies may take with it: the unit that it works on, and one whose answers had not left."""


@pytest.fixture(scope="module")
def two_cpus() -> Iterator[None]:
    with a_ray(2):
        yield


@pytest.fixture
def request_of(ask: Ask, logging_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Request]:
    """``request_of("out")``: both arms on 30 questions, in units of one batch."""
    monkeypatch.setattr(ray_engine, "UNITS_PER_WORKER", 1000)

    def build(output: str) -> Request:
        settings = Settings(batch_size=BATCH)
        models = {"model": "logging_model:checkpoint", "base": "logging_model:base"}
        return ask(tasks="choices", output=logging_model / output, settings=settings, **models)

    return build


@pytest.fixture
def local(request_of: Ask, logging_model: Path) -> Result:
    """The result without a fault, from the local engine; its questions and answers are forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(logging_model / "cache-local"))
        result = evaluate(prepare(request_of("local")))
    (logging_model / "asked").unlink()
    return result


def on_ray(request: Request) -> Result:
    with ray_engine.ray_workers() as workers:
        return evaluate(prepare(request), workers=workers)


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
@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("time_", TIMES)
def test_a_worker_that_is_killed_costs_the_unit_it_worked_on(
    request_of: Ask, local: Result, logging_model: Path, time_: int, record_property: Record,
) -> None:  # fmt: skip
    (logging_model / "pause_s").write_text("0.02")
    killer = after(
        logging_model, 3 + 5 * time_, lambda lines: os.kill(int(lines[-1].split()[0]), signal.SIGKILL)
    )
    result = on_ray(request_of("ray"))
    killer.join()
    assert_same(local, result)
    again = asked_again(logging_model)
    record_property("asked_again", again)
    assert 0 < again <= LOST, "more was asked again than what it worked on and what it had just answered"


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("time_", TIMES)
def test_a_unit_that_kills_its_worker_three_times_is_an_error_with_its_reason(
    request_of: Ask, local: Result, logging_model: Path, time_: int
) -> None:
    (logging_model / "poison").write_text(questions_of(logging_model)[3 * time_])
    result = on_ray(request_of("ray"))
    for document in (result.checkpoint, result.base):
        assert document is not None
        (task,) = document.tasks
        assert task.errors == {"model_error": BATCH} and task.n_scored == 30 - BATCH
        (warning,) = [w for w in document.warnings if "failed 3 times" in w]
        assert warning.startswith("choices: 3 samples failed 3 times") and "died" in warning
    counted = Counter(asked(logging_model))
    assert max(counted.values()) == 3 and sum(n == 3 for n in counted.values()) == 2 * BATCH
    (logging_model / "poison").unlink()
    assert_same(local, evaluate(prepare(request_of("ray"))))  # the next run asks what failed


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("time_", TIMES)
def test_a_model_that_fails_three_times_is_an_error_of_its_sample_alone(
    request_of: Ask, local: Result, logging_model: Path, time_: int
) -> None:
    (logging_model / "broken").write_text(questions_of(logging_model)[2 * time_])
    result = on_ray(request_of("ray"))
    (task,) = result.checkpoint.tasks
    assert task.errors == {"model_error": 1} and task.n_scored == 29
    (warning,) = [w for w in result.checkpoint.warnings if "failed 3 times" in w]
    assert "CUDA error: device-side assert triggered" in warning
    (logging_model / "broken").unlink()
    assert_same(local, evaluate(prepare(request_of("ray"))))


@pytest.mark.slow
@pytest.mark.parametrize("time_", TIMES)
def test_a_node_that_is_gone_costs_the_units_it_worked_on(
    request_of: Ask, local: Result, logging_model: Path, time_: int, record_property: Record,
) -> None:  # fmt: skip
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()  # of the tests before
    (logging_model / "pause_s").write_text("0.4")
    one = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=one)
    second = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        gone = after(
            logging_model,
            6 + 3 * time_,
            lambda _: cluster.remove_node(second, allow_graceful=False),
            n_workers=2,
        )
        result = on_ray(request_of("ray"))
        gone.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert_same(local, result)
    again = asked_again(logging_model)
    record_property("asked_again", again)
    assert 0 < again <= LOST, "more was asked again than what it worked on and what it had just answered"


@pytest.mark.slow
@pytest.mark.parametrize("time_", TIMES)
def test_a_driver_that_is_killed_and_started_again_goes_on(
    request_of: Ask, local: Result, logging_model: Path, time_: int, record_property: Record,
) -> None:  # fmt: skip
    (logging_model / "pause_s").write_text("0.05")
    code = "from forgetbench.engine import ray_engine; ray_engine.UNITS_PER_WORKER = 1000; "
    words = [
        "run", "--model", "logging_model:checkpoint", "--base", "logging_model:base", "--tasks", "choices",
        "--include-path", "tasks", "--no-mlflow", "--batch-size", str(BATCH), "--output-path", "ray",
        "--engine", "ray",
    ]  # fmt: skip
    code += f"from forgetbench.cli import main; main({words!r})"
    started = subprocess.Popen(
        [sys.executable, "-c", code], cwd=logging_model, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    killer = after(logging_model, 3 + 5 * time_, lambda _: started.send_signal(signal.SIGKILL))
    started.communicate(timeout=300)
    killer.join()
    assert started.returncode == -signal.SIGKILL, "it ended before it was killed"
    assert not (logging_model / "ray").exists() or not list((logging_model / "ray").rglob("run.json"))
    time.sleep(1.0)  # its workers may finish the units that they have
    (logging_model / "pause_s").write_text("0")
    with a_ray(2):
        result = on_ray(request_of("ray"))
    assert_same(local, result)
    again = asked_again(logging_model)
    record_property("asked_again", again)
    assert again <= 4 * BATCH, "more than what two workers had was asked again"


def questions_of(folder: Path) -> list[str]:
    """Return the questions of the task, in the order of its file."""
    lines = (folder / "tasks" / "choices.jsonl").read_text().splitlines()
    return [json.loads(line)["question"] for line in lines]

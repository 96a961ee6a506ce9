from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from forgetbench.engine.processes import (
    CALLS_IN_FLIGHT,
    DIED,
    Outcome,
    attempt,
    available_cores,
    over_processes,
)
from forgetbench.errors import SampleError


def outcomes(calls: list[Callable[[], object]]) -> dict[int, Outcome]:
    return dict(over_processes(calls, processes=2))


class Unusable:
    """Picklable, so that a process can be asked for it."""

    def __call__(self) -> None:
        raise SampleError("unusable_reference", "the clip", "is silent")


def test_each_call_has_its_own_outcome_and_none_is_made_here() -> None:
    calls = [partial(divmod, 7, 2), partial(divmod, 7, 0), partial(int, "no"), os.getpid]
    found = outcomes(calls)
    assert found[0] == Outcome(value=(3, 1))
    assert found[1].failure is not None and found[1].failure.startswith("ZeroDivisionError: ")
    assert found[2].failure is not None and "invalid literal" in found[2].failure
    assert found[3].value not in (None, os.getpid())


def test_a_sample_error_keeps_its_code() -> None:
    assert {0: attempt(Unusable())} == {0: Outcome(code="unusable_reference")}


def test_a_call_that_kills_its_process_costs_only_itself() -> None:
    calls = [partial(pow, 2, i) for i in range(12)]
    calls[3] = partial(os._exit, 3)
    calls[8] = partial(os.abort)
    found = outcomes(calls)
    assert {i for i, outcome in found.items() if outcome.failure == DIED} == {3, 8}
    assert all(found[i].value == 2**i for i in range(12) if i not in (3, 8))


def test_calls_are_made_only_as_processes_take_them() -> None:
    made = []

    def calls() -> Iterator[Callable[[], object]]:
        for i in range(50):
            made.append(i)
            yield partial(pow, 2, i)

    running = over_processes(calls(), processes=2)
    next(running)
    assert len(made) <= 2 * CALLS_IN_FLIGHT + 1
    running.close()


def test_closing_ends_the_processes_at_once() -> None:
    running = over_processes([partial(pow, 2, 2), *[partial(time.sleep, 60)] * 5], processes=2)
    started = time.monotonic()
    assert next(running) == (0, Outcome(value=4))
    running.close()
    assert time.monotonic() - started < 30


def test_closing_leaves_no_thread_behind_that_an_ending_interpreter_would_race_with() -> None:
    before = set(threading.enumerate())
    running = over_processes([os.getpid, *[partial(time.sleep, 60)] * 5], processes=2)
    next(running)
    running.close()
    assert set(threading.enumerate()) == before
    assert active_children() == []


def test_a_process_has_one_thread_for_algebra_and_leaves_ctrl_c_to_the_parent() -> None:
    found = outcomes([partial(os.getenv, "OMP_NUM_THREADS"), partial(signal.getsignal, signal.SIGINT)])
    assert found == {0: Outcome(value="1"), 1: Outcome(value=signal.SIG_IGN)}


def script(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(body))
    return path


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        from functools import partial
        from forgetbench.engine.processes import over_processes
        print("top level", flush=True)
        print(sum(outcome.value for _, outcome in over_processes([partial(pow, 2, 3)] * 3, processes=2)))
        """,
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout == "top level\n24\n"


def test_ctrl_c_ends_it_and_its_processes_without_their_tracebacks(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import os, sys, time
        from functools import partial
        from forgetbench.engine.processes import over_processes
        try:
            calls = [os.getpid, os.getpid, *[partial(time.sleep, 60)] * 4]
            for _, outcome in over_processes(calls, processes=2):
                print(outcome.value, flush=True)
        except KeyboardInterrupt:
            sys.exit(130)
        """,
    )
    process = subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert (process.returncode, errors) == (130, "")
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_there_is_a_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)

"""Calls spread over processes: lazily, with what one call breaks kept to that call.

Imports nothing that starts threads: a process has to be told how many before numpy is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from types import ModuleType
from typing import Any, TypeVar

from forgetbench.errors import SampleError

R = TypeVar("R")
Call = Callable[[], R]
Numbered = tuple[int, Call[R]]

CALLS_IN_FLIGHT = 2
"""For each process: one that it works on and one that waits, so that memory stays flat."""
DIED = "the process that scored it died"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call returned, or why it did not.

    Attributes:
        value: What it returned; None where it failed.
        code: Of a :class:`~forgetbench.errors.SampleError`.
        failure: Type and text of any other exception.
    """

    value: Any = None
    code: str | None = None
    failure: str | None = None


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def attempt(call: Call[Any]) -> Outcome:
    """Make a call; its exceptions become part of the outcome, and so need not survive pickling."""
    try:
        return Outcome(value=call())
    except SampleError as error:
        return Outcome(code=error.code)
    except Exception as error:
        return Outcome(failure=f"{type(error).__name__}: {error}")


def over_processes(
    calls: Iterable[Call[Any]], *, processes: int
) -> Generator[tuple[int, Outcome], None, None]:
    """Make calls in ``processes`` new processes and yield position and outcome, in the order of completion.

    A call that kills its process (a fault in C code, no memory) costs nothing but itself: those that were
    under way are made once more, each in a process of its own. Closing the iterator, or Ctrl-C, ends the
    processes at once.

    Args:
        calls: Taken one by one as processes become free. What they hold is pickled.
        processes: How many.
    """
    numbered = enumerate(calls)
    while suspects := (yield from _through_pool(numbered, processes)):
        for position, call in suspects:
            alone = next(_through_pool(iter([(position, call)]), 1), None)
            yield alone or (position, Outcome(failure=DIED))


def _through_pool(
    numbered: Iterator[Numbered[Any]], processes: int
) -> Generator[tuple[int, Outcome], None, list[Numbered[Any]]]:
    """Yield outcomes until the calls are used up or a process dies; return those then under way."""
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_start)
    under_way: dict[Future[Outcome], Numbered[Any]] = {}
    finished = False
    try:
        while True:
            for taken in islice(numbered, CALLS_IN_FLIGHT * processes - len(under_way)):
                future = _submit(pool, taken[1])
                if future is None:
                    return [*under_way.values(), taken]
                under_way[future] = taken
            if not under_way:
                finished = True
                return []
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    return list(under_way.values())
                yield under_way.pop(future)[0], outcome
    finally:
        if not finished:
            for process in list((pool._processes or {}).values()):
                process.terminate()
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, call: Call[Any]) -> Future[Outcome] | None:
    """Give the pool a call; None where one of its processes died before it took the call."""
    with _without_main():
        try:
            return pool.submit(attempt, call)
        except BrokenProcessPool:
            return None


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module from processes that are started here.

    They would import it, and run again whatever a user's script does at its top level: this very evaluation.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start() -> None:
    """Prepare a new process: one thread for its algebra, and Ctrl-C left to the parent."""
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

"""Runs that end at their n-th write, flush, fsync or rename, each in a fork of one warm process.

A process that has imported torch is forked for each run, so that a run costs a second and not ten. Started as
a script: ``python fault_nursery.py PLAN.json``; one line of JSON for each point goes to stdout. It has one
thread, for a fork takes no others along.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}


class Injector:
    """Counts what a process does to files, and sends it a signal at one of these events.

    Args:
        at: Number of the event, from 0; None for never.
        send: The signal.
        log: File that gets the kind of each event.
    """

    def __init__(self, at: int | None, send: signal.Signals, log: Path) -> None:
        self.at, self.send, self.n = at, send, 0
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def is_due(self, kind: str) -> bool:
        """Count an event, and tell whether it is the one."""
        os.write(self._log, f"{kind}\n".encode())
        self.n += 1
        return self.n - 1 == self.at

    def strike(self) -> None:
        """Send the signal; Ctrl-C and SIGTERM are raised before this returns."""
        os.kill(os.getpid(), self.send)

    def install(self) -> None:
        """Stand between the program and its files."""
        replace, fsync, fdopen, path_open = os.replace, os.fsync, os.fdopen, Path.open

        def faulty_replace(*arguments: Any, **options: Any) -> None:
            if self.is_due("rename"):
                self.strike()
            replace(*arguments, **options)
            if self.is_due("renamed"):
                self.strike()

        def faulty_fsync(descriptor: int) -> None:
            if self.is_due("fsync"):
                self.strike()
            fsync(descriptor)

        def faulty_fdopen(descriptor: int, mode: str = "r", *rest: Any, **options: Any) -> Any:
            return self._watched(fdopen(descriptor, mode, *rest, **options), mode)

        def faulty_open(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
            return self._watched(path_open(path, mode, *rest, **options), mode)

        os.replace, os.fsync, os.fdopen = faulty_replace, faulty_fsync, faulty_fdopen
        Path.open = faulty_open  # type: ignore[method-assign, assignment]

    def _watched(self, file: Any, mode: str) -> Any:
        return Watched(file, self) if "b" in mode and set(mode) & set("wax") else file


class Watched:
    """A binary file; a write that is struck gets half of its bytes to the disk."""

    def __init__(self, file: Any, injector: Injector) -> None:
        self._file, self._injector = file, injector

    def write(self, content: bytes) -> int:
        if self._injector.is_due("write"):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            self._injector.strike()
        return int(self._file.write(content))

    def flush(self) -> None:
        if self._injector.is_due("flush"):
            self._injector.strike()
        self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def run_in_fork(command: Sequence[str], folder: Path, prepare: Callable[[], None]) -> int:
    """Run a command in a fork and return its exit code, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        _become(command, folder, prepare)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _become(command: Sequence[str], folder: Path, prepare: Callable[[], None]) -> NoReturn:
    code = 99
    try:
        said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ["FORGETBENCH_CACHE"] = str(folder / "cache")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        prepare()
        code = run([*command, "--output-path", str(folder / "results")])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(command: Sequence[str]) -> int:
    """Run a command here and return its exit code."""
    from forgetbench.cli import main

    try:
        main(command)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0


def count_batches(log: Path) -> None:
    """Note each batch that a model is asked."""
    from forgetbench.engine import answers

    predict = answers.predict

    def counted(task: Any, *rest: Any) -> Any:
        predicted = predict(task, *rest)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a") as file:
            file.write(f"{task.name}\n")
        return predicted

    answers.predict = counted  # type: ignore[assignment]


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def documents(folder: Path) -> dict[str, Any]:
    """Return every document below a folder without its ``measured`` block."""
    found = {path.name: json.loads(path.read_text()) for path in folder.rglob("*.json")}
    return {name: {k: v for k, v in content.items() if k != "measured"} for name, content in found.items()}


def samples(folder: Path) -> dict[str, bytes]:
    """Return every sample file below a folder by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def try_point(command: Sequence[str], root: Path, *, at: int, send: str, whole: Path) -> dict[str, Any]:
    """Run until an event, look at what is left, run again, and compare with the uninterrupted run."""
    folder = root / f"point-{at}-{send}"
    folder.mkdir()

    def struck() -> None:
        count_batches(folder / "batches")
        Injector(at, SIGNALS[send], folder / "events").install()

    ended = run_in_fork(command, folder, struck)
    left = documents(folder / "results")
    tasks = left.get("run.json", {}).get("tasks", [])
    resumed = run_in_fork(command, folder, lambda: count_batches(folder / "batches"))
    return {
        "at": at,
        "signal": send,
        "kind": lines_of(folder / "events")[-1] if at < len(lines_of(folder / "events")) else "none",
        "ended": ended,
        "left_partial": any("interrupted" in task["errors"] for task in tasks),
        "left_documents": sorted(left),
        "resumed": resumed,
        "same_documents": documents(folder / "results") == documents(whole / "results"),
        "same_samples": samples(folder / "results") == samples(whole / "results"),
        "n_batches": len(lines_of(folder / "batches")),
        "said": lines_of(folder / "said")[-3:],
    }


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    root, command = Path(plan["root"]), plan["command"]
    os.chdir(plan["working_directory"])
    whole = root / "whole"
    whole.mkdir()
    os.environ["FORGETBENCH_CACHE"] = str(root / "warm-cache")
    assert run([*command, "--output-path", str(root / "warm")]) == 0  # imports everything

    def counted() -> None:
        count_batches(whole / "batches")
        Injector(None, signal.SIGKILL, whole / "events").install()

    assert run_in_fork(command, whole, counted) == 0, lines_of(whole / "said")
    n_events = len(lines_of(whole / "events"))
    chosen = random.Random(plan["seed"]).sample(range(n_events), min(plan["n_points"], n_events))
    summary = {"n_events": n_events, "n_batches": len(lines_of(whole / "batches"))}
    sys.stdout.write(json.dumps(summary) + "\n")
    for number, at in enumerate(sorted(chosen)):
        send = list(SIGNALS)[number % len(SIGNALS)]
        point = try_point(command, root, at=at, send=send, whole=whole)
        sys.stdout.write(json.dumps(point) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

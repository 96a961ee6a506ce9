"""PESQ and STOI over processes, as a run scores them, against a serial loop, in one run on the same items.

The items are the real clean and noisy pairs of the test data, each repeated to the same length. The time of
starting the processes is part of theirs. On a machine that has other work, the ratio of wall-clock times says
little; the processor time shows what the processes cost beyond the scoring itself.

    python benchmarks/enhancement_scoring.py [--data DIR] [--items 240] [--seconds 10] [--rounds 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from inputs import data_folder

from forgetbench.engine.processes import available_cores, over_processes
from forgetbench.metrics.enhancement import enhancement_stats

LIMIT = 1.8
METRICS = ("pesq_wb", "stoi")
SAME = 1e-9
"""Scores differ by no more: a process has one thread, the serial loop all, and sums are rounded otherwise."""

R = TypeVar("R")
Call = partial[dict[str, float]]


def make_calls(data: Path, items: int, seconds: float) -> list[Call]:
    """Return one call for each item: a pair, started at another place each time."""
    rows = [
        json.loads(line) for line in (data / "enhancement.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    calls = []
    for item in range(items):
        row = rows[item % len(rows)]
        signals = []
        for kind in ("clean", "noisy"):
            samples, rate = soundfile.read(data / row[kind], dtype="float32")
            signals.append(np.resize(np.roll(samples, 997 * item), round(seconds * rate)))
        clean, noisy = signals
        call = partial(enhancement_stats, clean, noisy, noisy, sampling_rate=rate, metrics=METRICS, seed=item)
        calls.append(call)
    return calls


def processor_s() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def measure(calls: list[Call], rounds: int) -> dict[str, float | int]:
    """Score serially and over processes, alternately, and return medians and their ratio."""
    wall: dict[str, list[float]] = {"serial": [], "processes": []}
    processor: dict[str, list[float]] = {"serial": [], "processes": []}

    def timed(name: str, work: Callable[[], R]) -> R:
        start, start_processor = time.perf_counter(), processor_s()
        result = work()
        wall[name].append(time.perf_counter() - start)
        processor[name].append(processor_s() - start_processor)
        return result

    calls[0]()  # import what scoring needs, as a run has when it starts processes
    for _ in range(rounds):
        serial = timed("serial", lambda: [call() for call in calls])
        spread = timed("processes", lambda: dict(over_processes(calls, processes=available_cores())))
        furthest = max(
            abs(spread[i].value[metric] - score)
            for i, own in enumerate(serial)
            for metric, score in own.items()
        )
        if furthest > SAME:
            sys.exit(f"the scores differ by up to {furthest}")
    medians = {name: statistics.median(found) for name, found in wall.items()}
    overhead = statistics.median(processor["processes"]) / statistics.median(processor["serial"])
    return {
        "items": len(calls),
        "cores": available_cores(),
        "load_average": round(os.getloadavg()[0], 1),
        "rounds": rounds,
        "serial_s": round(medians["serial"], 2),
        "processes_s": round(medians["processes"], 2),
        "ratio": round(medians["serial"] / medians["processes"], 2),
        "processor_time": round(overhead, 3),
        "limit": LIMIT,
    }


def main() -> None:
    """Measure, print, and exit 1 where the ratio is below the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=240)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(make_calls(data_folder(), options.items, options.seconds), options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['items']} items of {options.seconds:g} s, {found['cores']} cores, same scores")
        print(f"serial loop: {found['serial_s']} s; over processes: {found['processes_s']} s")
        print(f"ratio: {found['ratio']} (limit {LIMIT}); load average {found['load_average']}")
        print(f"processor time: {found['processor_time']} times that of the serial loop")
    sys.exit(found["ratio"] < LIMIT)


if __name__ == "__main__":
    main()

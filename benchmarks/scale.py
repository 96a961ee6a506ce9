"""How far the Ray engine scales: 1, 10 and 100 workers that sleep, and a thousand in a simulation.

The workers are Ray actors that take parts of a CPU and sleep where a model would compute; all else is
the engine itself: its schedule, its calls, the answers that come back and are written to journals. Starting
the actors is timed apart. Efficiency is (units × seconds of a unit) / (workers × time). What one unit costs
the driver and how long a call takes become the two constants of a discrete-event simulation, which runs the
engine's own schedule for more workers, models and checkpoints than this machine holds.

    python benchmarks/scale.py [--workers 1,10,100] [--unit-s 1] [--units-per-worker 10] [--json]
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOAL = 0.90
CPUS = 2
"""Shared out evenly, so that there is room for the wanted number of workers and for no more."""
SAMPLES_PER_UNIT = 16
SIMULATED_WORKERS = (100, 300, 1000)
SIMULATED_UNITS_S = (1.0, 5.0, 30.0)
LOAD_S = 20.0
"""Of a model, in the simulation: start of the process apart."""


class Sleeper:
    """A worker that sleeps; its answers are as large as those to multiple-choice questions."""

    def __init__(self, surroundings: Any, threads: int) -> None:
        import forgetbench.engine.ray_worker  # what unpickling the first unit would import

        self._imported = forgetbench.engine.ray_worker
        self._unit_s = float(
            os.environ.get("FORGETBENCH_UNIT_S", surroundings.environment["FORGETBENCH_UNIT_S"])
        )

    def start(self) -> int:
        """Return the process's id."""
        return os.getpid()

    def answer(self, key: str, references: Sequence[Any], batches: Any) -> Any:
        """Sleep, and answer the samples of a unit."""
        from forgetbench.engine.journal import Answer
        from forgetbench.schema.sample import RawPrediction

        time.sleep(self._unit_s)
        said = Answer(
            prediction=RawPrediction(loglikelihoods=(-1.0, -2.0, -3.0, -4.0), n_tokens=(1, 1, 1, 1))
        )
        answers = {sample.content: said for batch in batches.samples for sample in batch}
        return self._imported.Answered(answers=answers, seconds=self._unit_s)


@dataclass(frozen=True)
class Measured:
    """One number of workers."""

    workers: int
    units: int
    start_s: float
    seconds: float
    efficiency: float
    driver_ms_per_unit: float
    """CPU time of the driver."""
    overhead_ms_per_unit: float
    """Of a worker's time, beyond sleeping."""


def question(name: str, n_units: int) -> Any:
    """Return a question of so many batches."""
    from forgetbench.data.samples import Sample
    from forgetbench.engine.plan import PlannedTask, plan_batches
    from forgetbench.engine.prompting import Prompting
    from forgetbench.engine.question import Question
    from forgetbench.models.component import Component
    from forgetbench.paths import cache_root
    from forgetbench.schema.run import LoadSettings
    from forgetbench.schema.task import Generate

    text = "What did the model forget when it was trained again, and how much of it? " * 4
    samples = tuple(
        Sample(
            id=str(i), content=f"{name} {i}", row={"question": text}, input=text, reference="A", size=300.0
        )
        for i in range(n_units * SAMPLES_PER_UNIT)
    )
    task = Generate.model_construct(kind="generate", name=name)
    component = Component(
        role="lm", source=name, format="factory", path=None, architecture="Sleeper", fingerprint=name,
        capabilities=("generate",),
    )  # fmt: skip
    return Question(
        planned=PlannedTask(task=task, samples=samples, batches=plan_batches(samples, SAMPLES_PER_UNIT)),
        component=component,
        reference=None,
        prompting=Prompting(),
        load=LoadSettings(),
        path=cache_root() / "predictions" / f"{name}.jsonl",
    )


def measure(ray: Any, n_workers: int, units_per_worker: int, unit_s: float) -> Measured:
    """Start the workers, then time what they do."""
    from forgetbench.engine import ray_engine
    from forgetbench.engine.placement import RESOLUTION, Share
    from forgetbench.engine.progress import Silent

    share = Share(RESOLUTION * CPUS // n_workers / RESOLUTION, 0.0, 0)
    ray_engine.share_of = lambda *_: share  # type: ignore[assignment]
    ray_engine.UNITS_PER_WORKER = 10**9  # one batch to a unit
    os.environ["FORGETBENCH_UNIT_S"] = str(unit_s)
    workers = ray_engine.RayWorkers(ray, Sleeper)
    try:
        began = time.perf_counter()
        workers.ask([question(f"start-{n_workers}", 2 * n_workers)], Silent())
        ray.get(list(workers._crew.pending))  # those that had not started when the first had done everything
        start_s = time.perf_counter() - began
        n_units = n_workers * units_per_worker
        asked = question(f"work-{n_workers}", n_units)
        began, cpu_began = time.perf_counter(), time.process_time()
        workers.ask([asked], Silent())
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        assert len(workers._crew.actors) == n_workers
    finally:
        workers.dismiss()
    return Measured(
        workers=n_workers,
        units=n_units,
        start_s=round(start_s, 1),
        seconds=round(seconds, 2),
        efficiency=round(n_units * unit_s / (n_workers * seconds), 4),
        driver_ms_per_unit=round(1000 * cpu_s / n_units, 2),
        overhead_ms_per_unit=round(1000 * (n_workers * seconds / n_units - unit_s), 2),
    )


def simulate(
    *,
    n_workers: int,
    units_s: Sequence[Sequence[float]],
    driver_s: float,
    call_s: float,
    load_s: float = LOAD_S,
    start_s: float = 0.0,
) -> tuple[float, float]:
    """Return the time that a cluster needs, and the part of the workers' time that went into units.

    The driver does one thing at a time; a worker is given one unit more than it works on, as in the engine.

    Args:
        n_workers: All alike.
        units_s: Seconds of each unit, by model.
        driver_s: The driver's time for each unit.
        call_s: How long a call or an answer is under way.
        load_s: A worker needs for another model than the one it holds.
        start_s: Until a worker can be given its first unit.
    """
    from forgetbench.engine.schedule import ModelKey, Schedule, Unit

    schedule = Schedule(
        Unit(key=ModelKey("all", str(model), str(model)), work=seconds)
        for model, each in enumerate(units_s)
        for seconds in each
    )
    events: list[tuple[float, int, int]] = []  # time, a tie breaker, worker: something for the driver
    free_at, held = [start_s] * n_workers, [None] * n_workers
    driver_at, n_events, end = 0.0, 0, 0.0
    for worker in range(n_workers):
        heapq.heappush(events, (start_s, n_events := n_events + 1, worker))
        heapq.heappush(events, (start_s, n_events := n_events + 1, worker))
    given = 0
    total = sum(map(sum, units_s))
    while events:
        at, _, worker = heapq.heappop(events)
        driver_at = max(driver_at, at) + driver_s
        depth_left = schedule.n_waiting > n_workers or free_at[worker] <= driver_at
        unit = schedule.take("all", held[worker]) if depth_left else None
        if unit is None:
            continue
        begin = max(free_at[worker], driver_at + call_s)
        begin += load_s if unit.key != held[worker] else 0.0
        free_at[worker], held[worker] = begin + unit.work, unit.key
        end, given = max(end, free_at[worker]), given + 1
        heapq.heappush(events, (free_at[worker] + call_s, n_events := n_events + 1, worker))
    assert given == sum(map(len, units_s))
    return end, total / (n_workers * (end - start_s))


def simulated(driver_s: float, call_s: float) -> dict[str, list[dict[str, float]]]:
    """Return how efficiency goes with workers and units, and cost with checkpoints."""
    by_workers = []
    for n_workers in SIMULATED_WORKERS:
        for unit_s in SIMULATED_UNITS_S:
            units = [[unit_s] * (20 * n_workers)]
            how = {"driver_s": driver_s, "call_s": call_s, "load_s": 0.0}
            seconds, efficiency = simulate(n_workers=n_workers, units_s=units, **how)
            by_workers.append(
                {
                    "workers": n_workers,
                    "unit_s": unit_s,
                    "seconds": round(seconds, 1),
                    "efficiency": round(efficiency, 4),
                }
            )
    growth = []
    for n_checkpoints in (10, 100, 1000):
        for n_workers in (10, 100, 1000):
            # Twelve tasks of a thousand samples at 0.1 s each: a model of 135M parameters on one core.
            units = [[12.5] * 96] * n_checkpoints
            seconds, efficiency = simulate(
                n_workers=n_workers, units_s=units, driver_s=driver_s, call_s=call_s, start_s=LOAD_S
            )
            growth.append(
                {
                    "checkpoints": n_checkpoints,
                    "workers": n_workers,
                    "hours": round(seconds / 3600, 3),
                    "worker_hours": round(n_workers * seconds / 3600, 1),
                    "efficiency": round(efficiency, 4),
                }
            )
    return {"by_workers": by_workers, "growth": growth}


def main() -> None:
    """Measure, simulate, print, and exit 1 where the efficiency at the most workers misses the goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", default="1,10,100")
    parser.add_argument("--unit-s", type=float, default=1.0)
    parser.add_argument("--units-per-worker", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    numbers = [int(n) for n in options.workers.split(",")]
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    with tempfile.TemporaryDirectory(prefix="forgetbench-scale-") as folder:
        os.environ["FORGETBENCH_CACHE"] = str(Path(folder) / "cache")
        ray.init(
            num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
            object_store_memory=200 * 2**20,
        )  # fmt: skip
        try:
            found = [measure(ray, n, options.units_per_worker, options.unit_s) for n in numbers]
        finally:
            ray.shutdown()
    last = found[-1]
    call_s = statistics.median(max(m.overhead_ms_per_unit - m.driver_ms_per_unit, 0.1) for m in found) / 2000
    result: dict[str, Any] = {
        "measured": [vars(m) for m in found],
        "driver_s": last.driver_ms_per_unit / 1000,
        "call_s": round(call_s, 5),
        "simulated": simulated(last.driver_ms_per_unit / 1000, call_s),
        "goal": GOAL,
    }
    show: Callable[[dict[str, Any]], None] = _as_json if options.json else _as_tables
    show(result)
    sys.exit(last.efficiency < GOAL)


def _as_json(result: dict[str, Any]) -> None:
    print(json.dumps(result, indent=2))


def _as_tables(result: dict[str, Any]) -> None:
    for title, rows in {"measured": result["measured"], **result["simulated"]}.items():
        print(f"\n{title}")
        print(" | ".join(rows[0]))
        for row in rows:
            print(" | ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()

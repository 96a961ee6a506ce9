"""``--budget``: how many samples of each task fit into a given time, and where they tell most."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from forgetbench.atomic import write_atomically
from forgetbench.engine.arm import run_arm
from forgetbench.engine.arm_run import ArmOutcome
from forgetbench.engine.forecast import Forecast, forecast, is_timed
from forgetbench.engine.progress import Progress
from forgetbench.engine.run import Prepared, Request, arm_runs, prepare
from forgetbench.errors import UsageError
from forgetbench.forgetting.verdict import MIN_N
from forgetbench.paths import cache_root

PILOT_SAMPLES = 8
"""Rows of a task's data that are timed, where no run has timed it before."""
UNKNOWN_MARGINS = 16.0
"""Smallest detectable loss of one sample, in margins, where a metric's spread is not known: about that of a
binary score with a margin of two points and one answer in ten that flips."""
LAST = 1e-3
"""What makes a row that gates nothing wait until the others have all they can use."""
BISECTIONS = 60


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one row of the verdict table gets of the budget.

    Attributes:
        n: Samples that will be run.
        available: Samples that there are.
        seconds: Estimated time for both arms.
        margins: Smallest detectable loss at this n, in margins; None where the spread is not known.
    """

    name: str
    n: int
    available: int
    seconds: float
    margins: float | None


@dataclass(frozen=True, kw_only=True)
class Budgeted:
    """A request with the limits that keep it in its budget, and what each row gets."""

    request: Request
    shares: tuple[Share, ...]


def within_budget(request: Request, budget_s: float, *, progress: Progress, measure: bool = True) -> Budgeted:
    """Choose the number of samples of each task so that both arms take about ``budget_s``.

    The choice is remembered: the same request with the same budget gets the same samples again, though by
    then the speeds are better known.

    Args:
        request: Without limits by task; its ``limit`` holds too.
        budget_s: In seconds, without the time for loading models.
        progress: Told of the timing.
        measure: Time tasks of unknown speed by their first batches; else their speed is estimated, and
            nothing is remembered.

    Raises:
        UsageError: The fewest samples that a verdict needs take longer.
    """
    prepared = prepare(request)
    memory = _Memory.of(prepared, budget_s)
    limits = memory.read()
    if limits is None:
        if measure:
            _time_a_few(prepared, progress)
        fractions = share_out(_lines(prepared), budget_s)
        limits = _limits(prepared, fractions)
        if measure:
            memory.write(limits)
    settings = request.settings.model_copy(update={"limits": limits})
    limited = replace(request, settings=settings)
    return Budgeted(request=limited, shares=tuple(_shares(_lines(prepared), _lines(prepare(limited)))))


def share_out(lines: Sequence[Forecast], budget_s: float) -> dict[str, float]:
    """Return the part of its samples that each row gets.

    The smallest detectable loss, in margins, shrinks as 1/√n: the time goes to the rows where it is largest
    until it is equal in all, but for rows that have no more samples, and for the fewest that a verdict needs:
    so many rows of a task's data, each in all its conditions.
    A row of the role ``distribution`` gates nothing and comes last.

    Args:
        lines: Of all samples; rows that are not run are left out.
        budget_s: In seconds.

    Raises:
        UsageError: Not even the fewest samples fit.
    """
    run = [line for line in lines if line.n and line.seconds]
    fewest = {line.name: min(1.0, MIN_N * max(len(line.members), 1) / line.n_rows) for line in run}

    def fractions(margins: float) -> dict[str, float]:
        return {line.name: min(1.0, max(fewest[line.name], (_margins(line) / margins) ** 2)) for line in run}

    def seconds(shared: Mapping[str, float]) -> float:
        return sum(shared[line.name] * (line.seconds or 0.0) for line in run)

    least = seconds(fewest)
    if least > budget_s:
        cause = f"{MIN_N} samples of each task, in all its conditions, take about {math.ceil(least)} s"
        raise UsageError(f"--budget of {budget_s:.0f} s", cause, "Give more time, or fewer --tasks.")
    low, high = 1e-9, max((_margins(line) for line in run), default=1.0) * 1e6
    if seconds(fractions(low)) <= budget_s:
        return fractions(low)
    for _ in range(BISECTIONS * 2):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if seconds(fractions(middle)) <= budget_s else (middle, high)
    return fractions(high)


def _margins(line: Forecast) -> float:
    """Return the smallest detectable loss of all samples of a row, in margins."""
    if line.smallest_detectable is None:
        unknown = UNKNOWN_MARGINS / math.sqrt(line.n)
        return unknown * LAST if line.role == "distribution" else unknown
    return line.smallest_detectable / line.margin


def _lines(prepared: Prepared) -> tuple[Forecast, ...]:
    pair = prepared.pair
    arms = (pair.checkpoint,) if pair.base is None else (pair.checkpoint, pair.base)
    return forecast(prepared.plan, arms, identical=prepared.identical)


def _shares(lines: Sequence[Forecast], limited: Sequence[Forecast]) -> list[Share]:
    return [
        Share(
            name=line.name,
            n=part.n,
            available=line.n,
            seconds=part.seconds or 0.0,
            margins=part.smallest_detectable / part.margin if part.smallest_detectable else None,
        )
        for line, part in zip(lines, limited, strict=True)
        if line.n
    ]


def _limits(prepared: Prepared, fractions: Mapping[str, float]) -> dict[str, int]:
    """Return the limit of each task in rows of its data; a task that is run whole has none."""
    row_of = {task: row.name for row in prepared.plan.suite_rows for task in row.tasks}
    limits = {}
    for planned in prepared.plan.tasks:
        name = planned.task.name
        fraction = fractions.get(row_of.get(name, name), 1.0)
        limit = max(MIN_N, math.floor(fraction * planned.n_rows))
        if fraction < 1.0 and limit < planned.n_rows:
            limits[name] = limit
    return limits


def _time_a_few(prepared: Prepared, progress: Progress) -> None:
    """Run a few samples of each task whose speed is not known, which records it."""
    pair, settings = prepared.pair, prepared.request.settings
    arms = [arm for arm in (pair.checkpoint, pair.base) if arm is not None]
    if all(is_timed(task, arm, arms) for arm in arms for task in prepared.plan.tasks if task.samples):
        return
    limits = {planned.task.name: PILOT_SAMPLES for planned in prepared.plan.tasks}
    limited = replace(prepared.request, settings=settings.model_copy(update={"limits": limits}))
    pilot = prepare(limited)
    with TemporaryDirectory(prefix="forgetbench-budget-") as folder:
        for run in arm_runs(replace(pilot, directory=Path(folder)), progress):
            tasks = tuple(
                planned
                for planned in pilot.plan.tasks
                if planned.samples and not is_timed(planned, run.checkpoint, arms)
            )
            if tasks:
                progress.say(f"Timing {len(tasks)} tasks of unknown speed by {PILOT_SAMPLES} samples each")
                run_arm(replace(run, plan=replace(pilot.plan, tasks=tasks)), ArmOutcome())


@dataclass(frozen=True)
class _Memory:
    """Limits that were chosen before, by all that the choice is about but the speed."""

    key: str

    @classmethod
    def of(cls, prepared: Prepared, budget_s: float) -> _Memory:
        pair, load = prepared.pair, prepared.plan.settings.load
        arms = [arm.fingerprint for arm in (pair.checkpoint, pair.base) if arm is not None]
        what = [prepared.plan.run_key, arms, load.device, budget_s]
        return cls(hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24])

    @property
    def _path(self) -> Path:
        return cache_root() / "budgets" / f"{self.key}.json"

    def read(self) -> dict[str, int] | None:
        try:
            return {name: int(n) for name, n in json.loads(self._path.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, AttributeError):
            return None

    def write(self, limits: Mapping[str, int]) -> None:
        write_atomically(self._path, (json.dumps(dict(limits), indent=1, sort_keys=True) + "\n").encode())

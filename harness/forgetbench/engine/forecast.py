"""What a plan will cost and what it can see, told before anything runs."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from forgetbench.atomic import write_atomically
from forgetbench.engine.plan import Plan, PlannedTask
from forgetbench.forgetting.power import POWER, binary_sd, mean_sd, smallest_detectable
from forgetbench.metrics.registry import lookup
from forgetbench.models.component import Checkpoint, Component
from forgetbench.paths import cache_root
from forgetbench.schema.run import MetricType, Settings, SuiteRowInfo
from forgetbench.schema.task import Capability, DatasetTask

ASSUMED_FLIPS = 0.10
"""Share of answers whose correctness changes, where nothing is known yet."""
SAMPLED_VARIANCE = 1 / 6
"""Variance of a sampled answer's correctness, averaged over questions of evenly spread difficulty
(Miller 2024, §5)."""
ASSUMED_WORD_SD = 0.45
"""Standard deviation, per reference word, of the change in word errors: one word in ten changes, in pairs."""

ACCURACIES_OF_LM_EVAL = frozenset(
    {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "pass@1", "r@1", "pct_stereotype"}
)
"""Metrics of lm-eval's that are 0, 1 or between: they spread at most as binary ones do."""

SECONDS_PER_SAMPLE = {
    "multiple_choice": 0.06,
    "likelihood": 0.08,
    "refusal_margin": 0.18,
    "generate": 0.30,
    "refusal": 0.25,
    "lm_eval": 0.30,
    "asr": 0.40,
    "enhancement": 0.50,
    "divergence": 0.40,
    "speech_divergence": 0.50,
    "speech_translation": 0.40,
    "language_id": 0.20,
    "speech_times": 0.60,
    "probe": 0.30,
    "synthesis": 1.00,
    "minimal_pair": 1.00,
    "conversion": 1.00,
    "separation": 0.50,
    "voice_cloning": 1.00,
    "spoken_question": 1.30,
    "spoken_refusal": 2.20,
}
"""Seconds a sample on two cores for a model of :data:`REFERENCE_PARAMETERS`, until a run has been timed."""
REFERENCE_PARAMETERS = {"lm": 135e6, "asr": 38e6, "enhancer": 1e6, "tts": 36e6, "assistant": 174e6}


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One line of the plan.

    Attributes:
        n: Samples.
        n_rows: Rows of the data, which a limit counts: each is a sample in every condition.
        seconds: Both arms together; None for a task that is skipped.
        smallest_detectable: Loss in the primary metric that this n shows with the power asked for, by the
            assumptions of this module; None where the metric's spread is not known beforehand.
        members: Tasks of a suite row.
    """

    name: str
    title: str
    role: str
    metric: str
    n: int
    n_rows: int
    margin: float
    seconds: float | None
    smallest_detectable: float | None
    download: str = ""
    skipped: str = ""
    members: tuple[str, ...] = ()


def forecast(
    plan: Plan,
    arms: tuple[Checkpoint, ...],
    *,
    identical: frozenset[Capability] = frozenset(),
    alpha: float = 0.05,
    power: float = POWER,
) -> tuple[Forecast, ...]:
    """Return one line per task that stands for itself and one per suite row.

    Args:
        plan: What will be run.
        arms: Base and checkpoint, or the checkpoint alone.
        identical: What the same component does in both arms: tasks of it are not run.
        alpha: Error rate of a family of rows.
        power: Probability with which a loss of ``smallest_detectable`` is to be seen.
    """
    plan = replace(plan, tasks=tuple(_unless_identical(task, identical) for task in plan.tasks))
    inside = {name for row in plan.suite_rows for name in row.tasks}
    single = [task for task in plan.tasks if task.task.name not in inside]
    judged = [t for t in single if t.task.role in ("general", "safety") and t.skipped is None]
    run = {task.task.name for task in plan.tasks if task.skipped is None}
    rows_run = [
        row for row in plan.suite_rows if row.role in ("general", "safety") and run.issuperset(row.tasks)
    ]
    family = len(judged) + len(rows_run)
    detects = {
        in_family: partial(
            smallest_detectable, level=1 - alpha / max(family if in_family else 1, 1), power=power
        )
        for in_family in (True, False)
    }
    work = _Work(arms=arms, settings=plan.settings, speeds=_read_speeds())
    rows = [_of_row(row, plan, work, detects[True]) for row in plan.suite_rows]
    return (*(_of_task(task, work, detects[task in judged]) for task in single), *rows)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Who does the tasks, how, and how fast each sample went before."""

    arms: tuple[Checkpoint, ...]
    settings: Settings
    speeds: Mapping[str, float]

    def repeats(self, planned: PlannedTask) -> int:
        return self.settings.repeats if planned.generates else 1

    def seconds(self, planned: PlannedTask) -> float:
        """Return the seconds that both arms need for a task."""
        n_answers = len(planned.samples) * self.repeats(planned)
        return sum(n_answers * self._per_answer(planned, arm) for arm in self.arms)

    def _per_answer(self, planned: PlannedTask, arm: Checkpoint) -> float:
        component = arm.component_for(planned.task.capability)
        if component is None or planned.skipped:
            return 0.0
        known = _known_speed(self.speeds, component, planned, self.arms)
        if known is not None:
            return known
        size = (component.parameters or 0) / REFERENCE_PARAMETERS[component.role] or 1.0
        return SECONDS_PER_SAMPLE[planned.task.kind] * size

    def spread(self, planned: PlannedTask) -> tuple[float, float]:
        """Return the assumed standard deviation of one unit's paired difference, and the number of units.

        Both are zero where the metric's spread is not known.
        """
        task, n = planned.task, float(len(planned.samples))
        metric_type = _metric_type(planned)
        if metric_type == "binary" and planned.generates and self.settings.sampling is not None:
            return mean_sd(ASSUMED_FLIPS, SAMPLED_VARIANCE, self.repeats(planned)), n
        if metric_type == "binary":
            return binary_sd(ASSUMED_FLIPS), n
        if task.kind == "asr":
            return ASSUMED_WORD_SD, float(sum(len(sample.reference.split()) for sample in planned.samples))
        return 0.0, 0.0


def _metric_type(planned: PlannedTask) -> MetricType | None:
    """Return what kind of number the verdict will be about; None where lm-eval's metric does not tell."""
    task = planned.task
    if isinstance(task, DatasetTask):
        return lookup(task.primary).type
    reported = planned.lm_eval.reported if planned.lm_eval is not None else ()
    name = task.primary or next(iter(reported), "")
    return "binary" if name.partition(",")[0] in ACCURACIES_OF_LM_EVAL else None


def seconds_per_answer(component: Component, planned: PlannedTask) -> float:
    """Return the seconds a sample took on a component or one that is as fast, else an assumption."""
    known = _known_speed(_read_speeds(), component, planned, ())
    size = (component.parameters or 0) / REFERENCE_PARAMETERS[component.role] or 1.0
    return SECONDS_PER_SAMPLE[planned.task.kind] * size if known is None else known


def is_timed(planned: PlannedTask, arm: Checkpoint, arms: Sequence[Checkpoint]) -> bool:
    """Say whether a run has timed this task on the component of an arm, or on one that is as fast."""
    component = arm.component_for(planned.task.capability)
    return component is not None and _known_speed(_read_speeds(), component, planned, arms) is not None


def _known_speed(
    speeds: Mapping[str, float], component: Component, planned: PlannedTask, arms: Sequence[Checkpoint]
) -> float | None:
    """Return the seconds a sample took on a component, or on the other arm's if that is alike."""
    found = [component, *(arm.component_for(planned.task.capability) for arm in arms)]
    alike = [each for each in found if each is not None and _is_as_fast(each, component)]
    keys = [_speed_key(each, planned.task.name) for each in alike]
    return next((speeds[key] for key in keys if key in speeds), None)


def _is_as_fast(one: Component, other: Component) -> bool:
    sizes = sorted((one.parameters or 0, other.parameters or 0))
    return one.architecture == other.architecture and sizes[1] <= 1.1 * sizes[0]


def _unless_identical(planned: PlannedTask, identical: frozenset[Capability]) -> PlannedTask:
    if planned.task.capability not in identical:
        return planned
    return replace(planned, skipped="identical in both arms, not run", samples=())


def record_speed(component: Component, task: str, seconds_per_sample: float) -> None:
    """Remember how long a sample took, for the next plan."""
    speeds = dict(_read_speeds())
    speeds[_speed_key(component, task)] = round(seconds_per_sample, 5)
    content = json.dumps(speeds, indent=1, sort_keys=True) + "\n"
    with contextlib.suppress(OSError):
        write_atomically(cache_root() / "speeds.json", content.encode())


def _of_task(planned: PlannedTask, work: _Work, detects: Callable[[float, float], float]) -> Forecast:
    task = planned.task
    sd, units = work.spread(planned)
    return Forecast(
        name=task.name,
        title=task.title or task.name,
        role=task.role,
        metric=task.primary or "",
        n=len(planned.samples),
        n_rows=planned.n_rows,
        margin=task.margin,
        seconds=None if planned.skipped else work.seconds(planned),
        smallest_detectable=detects(sd, units) if sd and units else None,
        download=task.size,
        skipped=planned.skipped or "",
    )


def _of_row(row: SuiteRowInfo, plan: Plan, work: _Work, detects: Callable[[float, float], float]) -> Forecast:
    members = [task for task in plan.tasks if task.task.name in row.tasks]
    spreads = [work.spread(task) for task in members]
    known = all(sd and units for sd, units in spreads)
    # SE of a mean of K tasks: √ΣSE²/K, as the row itself is judged.
    sd = math.sqrt(sum(sd**2 / units for sd, units in spreads)) / len(spreads) if known and spreads else 0.0
    return Forecast(
        name=row.name,
        title=row.title,
        role=row.role,
        metric="mean of the tasks",
        n=sum(len(task.samples) for task in members),
        n_rows=sum(task.n_rows for task in members),
        margin=row.margin,
        seconds=sum(work.seconds(task) for task in members if not task.skipped),
        smallest_detectable=detects(sd, 1) if sd else None,
        download=" + ".join(dict.fromkeys(task.task.size for task in members if task.task.size)),
        skipped="; ".join(sorted({task.skipped for task in members if task.skipped})),
        members=row.tasks,
    )


def _speed_key(component: Component, task: str) -> str:
    return f"{component.architecture} {component.parameters} {task}"


def _read_speeds() -> Mapping[str, float]:
    try:
        return dict(json.loads((cache_root() / "speeds.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}

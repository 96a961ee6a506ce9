"""What MLflow is told of a pair: metrics, parameters and tags, by our names."""

from __future__ import annotations

from forgetbench.engine.curve_results import training_of_run
from forgetbench.forgetting.cost import mean_turn, speed
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.cost import Cost
from forgetbench.schema.curve import Training
from forgetbench.schema.run import RunDocument, TaskResult

CHOSEN = {"run", "method", "hyperparameters", "steps", "trained_parameters", "lora_rank", "seed"}


def step_of(arm: RunDocument) -> int:
    """Return how many steps a checkpoint was trained, as far as it is known: then runs plot as a curve."""
    return training_of_run(arm).steps or 0


def training_params(training: Training) -> dict[str, str]:
    """Return what was chosen for a training, to group and to compare runs by."""
    chosen = training.model_dump(include=CHOSEN, exclude_none=True)
    return {f"training/{name}": str(value) for name, value in chosen.items()}


def cost_metrics(cost: Cost) -> dict[str, float | None]:
    """Return sizes and times of each component."""
    values: dict[str, float | None] = {}
    for component in cost.components:
        name = f"cost/{component.role}/{component.capability}"
        values[f"{name}/peak_memory_bytes"] = component.peak_memory_bytes
        if (found := speed(component.clips)) is not None:
            for figure in ("rtfx", "latency_mean_s", "latency_p95_s", "first_output_s"):
                values[f"{name}/{figure}"] = getattr(found, figure)
    for role, seconds in mean_turn(cost.turns).items():
        values[f"cost/turn/{role}_s"] = seconds
    return values


def arm_metrics(arm: RunDocument) -> dict[str, float | None]:
    """Return the scores of one arm, with coverage and rates of broken outputs."""
    values: dict[str, float | None] = {}
    for component in arm.checkpoint.components:
        for size in ("parameters", "bytes"):
            values[f"cost/{component.role}/{size}"] = getattr(component, size)
    for task in arm.tasks:
        values |= _task_metrics(task)
    return values


def _task_metrics(task: TaskResult) -> dict[str, float | None]:
    values: dict[str, float | None] = {
        f"{task.name}/{name}": metric.value for name, metric in task.metrics.items()
    }
    values[f"{task.name}/coverage"] = task.coverage
    for name, rate in task.diagnostics.model_dump().items():
        values[f"{task.name}/outputs {name}"] = rate
    return values


def pair_metrics(comparison: Comparison | None) -> dict[str, float | None]:
    """Return delta, degradation and interval of each row: each quantity is a section of MLflow's charts."""
    values: dict[str, float | None] = {}
    for row in (*comparison.rows, *comparison.details) if comparison else ():
        for quantity in ("delta", "degradation", "ci_low", "ci_high"):
            values[f"{quantity}/{measure_name(row.name, row.metric)}"] = getattr(row, quantity)
    return values


def measure_name(task: str, metric: str) -> str:
    """Return what a row is called after its quantity: no slash, for that begins a new section of charts."""
    return f"{task} {'mean' if metric.startswith('mean of ') else metric}"


def arm_params(arm: RunDocument) -> dict[str, str]:
    """Return the settings of one arm, and how it was trained; what was not set is left out."""
    settings = arm.settings.model_dump(exclude={"load"}) | arm.settings.load.model_dump()
    params = {name: str(value) for name, value in settings.items() if value is not None and value != {}}
    params |= training_params(training_of_run(arm))
    params["tasks"] = ",".join(f"{task.name}@{task.version}" for task in arm.tasks)
    params["forgetbench"] = arm.environment.forgetbench
    return params


def arm_tags(arm: RunDocument) -> dict[str, str]:
    """Return what one arm is."""
    tags = {
        "checkpoint": arm.checkpoint.name,
        "fingerprint": arm.checkpoint.fingerprint,
        "run_key": arm.run_key,
    }
    for component in arm.checkpoint.components:
        tags[f"fingerprint/{component.role}"] = component.fingerprint
    return tags


def pair_tags(
    base: RunDocument | None, checkpoint: RunDocument, comparison: Comparison | None
) -> dict[str, str]:
    """Return what the pair is, and its verdicts."""
    arms = {"checkpoint": checkpoint, "base": base}
    tags = {"run_key": checkpoint.run_key}
    for name, arm in arms.items():
        if arm is not None:
            tags |= {name: arm.checkpoint.name, f"fingerprint/{name}": arm.checkpoint.fingerprint}
    if comparison is not None:
        tags |= {"decision": comparison.decision, "summary": comparison.summary}
        tags |= {f"verdict/{row.name}": row.verdict for row in comparison.rows}
    return tags

"""Result directories, one for each stage of training, become a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from forgetbench.engine.results import Result, read_result
from forgetbench.errors import UsageError, did_you_mean
from forgetbench.forgetting.sequence import make_sequence
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import TaskResult
from forgetbench.schema.sequence import TaskSequence


def sequence_of(
    places: Sequence[Path],
    *,
    trained_on: Sequence[str] = (),
    untrained: Path | None = None,
    reproduce: str = "",
) -> TaskSequence:
    """Return the stage × task matrix of results, and its figures.

    Args:
        places: Result directories in the order of the stages, all against the base before the first.
        trained_on: Task that each stage trained.
        untrained: Result of a randomly initialised model on the same tasks.
        reproduce: The command that makes the sequence again.

    Raises:
        UsageError: One is no result or has no base, they are not of one base and the same tasks, or a task
            that a stage trained was not measured.
    """
    results = [read_result(place) for place in places]
    compared = _compared(results)
    _check_one_base(compared)
    _check_same_tasks([*results, *([read_result(untrained)] if untrained else [])])
    _check_trained(trained_on, compared)
    rows = {row.name: row.tasks for result in results for row in result.checkpoint.suite_rows}
    scores = _scores(read_result(untrained)) if untrained else None
    found = make_sequence(compared, trained_on=trained_on, members=rows, untrained=scores)
    return found.model_copy(update={"reproduce": reproduce})


def _compared(results: Sequence[Result]) -> list[Comparison]:
    for result in results:
        if result.comparison is None:
            raise UsageError(str(result.directory), "has no comparison", "Run again with --base.")
    return [result.comparison for result in results if result.comparison is not None]


def _check_one_base(compared: Sequence[Comparison]) -> None:
    bases = {comparison.base.fingerprint: comparison.base.name for comparison in compared}
    if len(bases) > 1:
        named = " and ".join(f"{name} {fingerprint[:12]}" for fingerprint, name in list(bases.items())[:2])
        raise UsageError(
            "the stages",
            f"have different bases ({named})",
            "Compare each with the base of the first: forgetbench compare BASE STAGE.",
        )
    prints = [comparison.checkpoint.fingerprint for comparison in compared]
    if twice := next((c for c in compared if prints.count(c.checkpoint.fingerprint) > 1), None):
        raise UsageError(twice.checkpoint.name, "is there twice", "Name the result of each stage once.")


def _check_same_tasks(results: Sequence[Result]) -> None:
    """Make sure that a task means the same in every result: definition, version and number of samples."""
    known: dict[str, tuple[str, int, int]] = {}
    for result in results:
        for task in result.checkpoint.tasks:
            if task.status != "done":
                continue
            asked = (task.definition_sha256, task.version, task.n_planned)
            if known.setdefault(task.name, asked) != asked:
                raise UsageError(
                    str(result.directory),
                    f"measured {task.name} differently: its definition, version or number of samples",
                    "Measure every stage with the same --tasks and --limit.",
                )


def _check_trained(trained_on: Sequence[str], compared: Sequence[Comparison]) -> None:
    if not trained_on:
        return
    if len(trained_on) != len(compared):
        raise UsageError(
            f"--stages {','.join(trained_on)}",
            f"are {len(trained_on)} tasks for {len(compared)} results",
            "Name the task that each result's stage trained, in their order.",
        )
    if len(set(trained_on)) < len(trained_on):
        raise UsageError(f"--stages {','.join(trained_on)}", "names a task twice", "Name each once.")
    measured = {row.name for comparison in compared for row in (*comparison.rows, *comparison.details)}
    for name in trained_on:
        if name not in measured:
            way_out = did_you_mean(name, measured, f"There are {', '.join(sorted(measured)[:5])}.")
            raise UsageError(f"--stages {name}", "is no task of these results", way_out)


def _scores(result: Result) -> Mapping[str, float | None]:
    return {task.name: _primary(task) for task in result.checkpoint.tasks}


def _primary(task: TaskResult) -> float | None:
    metric = task.metrics.get(task.primary)
    return metric.value if metric else None

"""A sweep: every recipe of a grid is trained, every checkpoint measured, and all become one curve.

What is measured is noted at once, and weights are made again only for what is not: a sweep that was killed
goes on, and ends with the same curve.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from forgetbench.atomic import write_atomically
from forgetbench.engine.forecast import forecast
from forgetbench.engine.progress import Progress, Silent
from forgetbench.engine.question import Workers
from forgetbench.engine.results import COMPARISON_FILE, Result, check_writable, read_whole
from forgetbench.engine.run import Prepared, Request, evaluate, open_questions, prepare_each, prepare_selftest
from forgetbench.errors import ForgetbenchError, StorageError, UsageError, first_line, is_full
from forgetbench.models.checkpoint import resolve
from forgetbench.models.recipe_facts import read_facts
from forgetbench.models.resident_base import ResidentBase
from forgetbench.paths import cache_root
from forgetbench.recipes.base import checkpoint_name, locate_base
from forgetbench.recipes.contamination import check_contamination, files_of
from forgetbench.recipes.data import file_sha256
from forgetbench.recipes.estimate import matrix_flops_per_s, output_folder, training_kind, training_seconds
from forgetbench.recipes.grid import Training, trainings_of
from forgetbench.recipes.methods import check_interpolation, check_method
from forgetbench.recipes.output import inputs_of, recipe_key
from forgetbench.recipes.run import run_recipe
from forgetbench.schema.recipe import Contamination, Recipe
from forgetbench.schema.run import Settings
from forgetbench.schema.sweep import Grid, Measured, SweepRecord

RECORD = "sweep.json"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a sweep.

    Attributes:
        recipe: With its output directory in the cache.
        key: Hash of everything that its weights depend on.
        alphas: Parts of each checkpoint's change that are measured.
        done: What is measured already, by the tasks as they are now.
        damaged: What is wrong with results that were measured, and are measured again.
        contamination: Of what it trains on.
        seconds: Estimate for what is left.
    """

    recipe: Recipe
    key: str
    alphas: tuple[float, ...]
    done: tuple[Measured, ...]
    damaged: tuple[str, ...]
    seconds: float
    contamination: Contamination

    @property
    def wanted(self) -> list[tuple[int, float]]:
        """Step and part of every measurement."""
        return [(step, alpha) for step in self.recipe.saved for alpha in self.alphas]

    @property
    def left(self) -> list[tuple[int, float]]:
        """Step and part of what is not measured yet."""
        have = {(measured.step, measured.alpha) for measured in self.done}
        return [wanted for wanted in self.wanted if wanted not in have]


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """A grid, resolved: nothing was trained yet.

    Attributes:
        run_key: Of every result that is measured by the tasks as they are now.
    """

    grid: Grid
    request: Request
    run_key: str
    cells: tuple[Cell, ...]
    record: SweepRecord


class Outcome(NamedTuple):
    """What a sweep made: all results in the order of the grid, and what failed."""

    results: list[Result]
    failures: list[ForgetbenchError]


def plan_sweep(
    grid: Grid,
    output: Path,
    *,
    offline: bool = False,
    trust_remote_code: bool = False,
    reproduce: str = "",
) -> SweepPlan:
    """Resolve a grid: what is to be trained and measured, what is done, and how long the rest may take.

    Args:
        grid: The grid.
        output: Folder of its results.
        offline: Open no socket.
        trust_remote_code: As for a run.
        reproduce: The command that makes the sweep again.

    Raises:
        CheckpointError: The base is not there.
        DataError: Data cannot be used, or contains test items.
        UsageError: An entry is no recipe, or the directory holds another sweep.
    """
    settings = Settings(limit=grid.limit, batch_size=grid.batch_size)
    found = locate_base(grid.model)
    name = checkpoint_name(found.path, "enhancer") if found.family == "enhancer" else grid.model
    request = Request(
        model=name,
        base=name,
        tasks=grid.tasks,
        target=Path(grid.target) if grid.target else None,
        roles=dict(grid.roles),
        include_paths=[Path(name) for name in grid.include_paths],
        settings=settings,
        output=output,
        offline=offline,
        trust_remote_code=trust_remote_code,
    )
    trainings = trainings_of(grid, trust_remote_code=trust_remote_code)
    for training in trainings:
        check_method(training.recipe)
        check_interpolation(training.recipe, training.alphas)
    record = _read_record(output, _measurement(grid)).model_copy(update={"reproduce": reproduce})
    base = resolve(name, offline=offline)
    measurement = prepare_selftest(request).plan
    lines = forecast(measurement, (base,))
    each_s = record.seconds_per_result or sum(line.seconds or 0.0 for line in lines)
    parameters = sum(component.parameters or 0 for component in base.components.values())
    flops_per_s = matrix_flops_per_s()
    contaminations = _contaminations(grid, trainings)
    cells = [
        _cell(training, record, output, run_key=measurement.run_key, contamination=found)
        for training, found in zip(trainings, contaminations, strict=True)
    ]
    return SweepPlan(
        grid=grid,
        request=request,
        run_key=measurement.run_key,
        cells=tuple(_timed(cell, record, each_s, parameters, flops_per_s) for cell in cells),
        record=record,
    )


def run_sweep(
    plan: SweepPlan, *, progress: Progress | None = None, workers: Workers | None = None
) -> Outcome:
    """Train and measure what is left; a training that fails stops no other, and what it saved counts.

    Args:
        plan: From :func:`plan_sweep`.
        progress: Told of every stretch of work.
        workers: Answer in place of models in this process: everything is trained first, then all checkpoints
            are asked at once.
    """
    progress = progress or Silent()
    output = plan.request.output
    check_writable(output, "--output-path")
    record, resident = plan.record, ResidentBase()
    failed: dict[str, list[ForgetbenchError]] = {}
    left = [(f"[{n}/{len(plan.cells)}]", cell) for n, cell in enumerate(plan.cells, start=1) if cell.left]
    for together in [left] if workers is not None else [[one] for one in left]:
        for number, cell in together:
            progress.say(f"{number} {cell.recipe.name}")
            for what in cell.damaged:
                progress.say(f"{what}: it is measured again")
            with _failing_alone(cell, failed, progress):
                record = _train(cell, plan, record, progress)
        if workers is not None:
            _ask_ahead([cell for _, cell in together], plan, workers, progress)
        for _, cell in together:
            with _failing_alone(cell, failed, progress):
                _measure(cell, plan, record, resident, progress, workers)
            record = _read_record(output, plan.record.measurement)
            if not plan.grid.keep_weights and cell.key not in failed:
                shutil.rmtree(cell.recipe.output, ignore_errors=True)
    measured = _in_order(plan, record)
    read = [_read(output / one.directory) for one in measured if one.directory is not None]
    results = [result for result in read if isinstance(result, Result)]
    return Outcome(results, [failure for failures in failed.values() for failure in failures])


@contextlib.contextmanager
def _failing_alone(
    cell: Cell, failed: dict[str, list[ForgetbenchError]], progress: Progress
) -> Iterator[None]:
    """Keep a failure to its training, and say it; a disk that is full ends the sweep."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StorageError) or is_full(error):
            raise
        failure = error if isinstance(error, ForgetbenchError) else _unexpected(cell, error)
        failed.setdefault(cell.key, []).append(failure)
        progress.say(f"{cell.recipe.name}: {failure}")


def _unexpected(cell: Cell, error: Exception) -> ForgetbenchError:
    failure = ForgetbenchError(
        f"recipe {cell.recipe.name}",
        f"unexpected {type(error).__name__}: {first_line(error)}",
        "The same command with --debug shows where; please report it.",
    )
    failure.__cause__ = error
    return failure


def _train(cell: Cell, plan: SweepPlan, record: SweepRecord, progress: Progress) -> SweepRecord:
    """Train, and note how long an example took, unless a part had been trained before."""
    fresh = not Path(cell.recipe.output).exists()
    start = time.perf_counter()
    run_recipe(cell.recipe, progress=progress, contamination=cell.contamination)
    if not fresh:
        return record
    seconds = (time.perf_counter() - start) / (cell.recipe.steps * cell.recipe.batch_size)
    speeds = record.seconds_per_example | {training_kind(cell.recipe): round(seconds, 4)}
    return _noted(record.model_copy(update={"seconds_per_example": speeds}), plan.request.output)


def _measure(
    cell: Cell,
    plan: SweepPlan,
    record: SweepRecord,
    resident: ResidentBase,
    progress: Progress,
    workers: Workers | None,
) -> None:
    """Measure what is left of a training, and note each result at once."""
    output = plan.request.output
    for step in sorted(_unchanged(cell, plan)):
        progress.say(f"{cell.recipe.name}: after step {step} it still is its base, byte for byte: no result")
        same = [Measured(training=cell.key, step=step, alpha=alpha, directory=None) for alpha in cell.alphas]
        new = [one for one in same if one not in record.measured]
        record = _noted(record.model_copy(update={"measured": (*record.measured, *new)}), output)
    for (step, alpha), prepared in _prepared(cell, plan).items():
        start = time.perf_counter()
        result = evaluate(prepared, progress=progress, resident=resident, workers=workers)
        seconds = time.perf_counter() - start
        directory = str(result.directory.relative_to(output))
        made = Measured(training=cell.key, step=step, alpha=alpha, directory=directory)
        others = (measured for measured in record.measured if measured != made)
        update: dict[str, object] = {"measured": (*others, made)}
        if workers is None:  # where they were, answering took its time before
            update["seconds_per_result"] = _mean(record, seconds)
        record = _noted(record.model_copy(update=update), output)


def _prepared(cell: Cell, plan: SweepPlan) -> dict[tuple[int, float], Prepared]:
    """Return what is left to measure of the checkpoints that a training has saved, by step and part."""
    unchanged = _unchanged(cell, plan)
    names = {step: name for step, name in _saved(cell).items() if step not in unchanged}
    if not names:
        return {}
    everything = prepare_each(plan.request, list(names.values()), alphas=cell.alphas)
    places = [(step, alpha) for step in names for alpha in cell.alphas]
    return {place: one for place, one in zip(places, everything, strict=True) if place in cell.left}


def _saved(cell: Cell) -> dict[int, str]:
    """Return the checkpoints that a training has saved, by step, as ``--model`` takes them."""
    folders = {step: Path(cell.recipe.output) / f"checkpoint-{step}" for step in cell.recipe.saved}
    return {
        step: checkpoint_name(folder, cell.recipe.family)
        for step, folder in folders.items()
        if read_facts(folder) is not None
    }


def _unchanged(cell: Cell, plan: SweepPlan) -> set[int]:
    """Return the steps after which a training had not changed a weight, as under a warm-up from 0."""
    request = plan.request

    def fingerprint(name: str) -> str:
        how = {"offline": request.offline, "trust_remote_code": request.trust_remote_code}
        return resolve(name, adapter_base=request.base, **how).fingerprint

    base = fingerprint(request.model)
    return {step for step, name in _saved(cell).items() if fingerprint(name) == base}


def _ask_ahead(cells: Sequence[Cell], plan: SweepPlan, workers: Workers, progress: Progress) -> None:
    """Have all checkpoints asked at once; what cannot be is told when its turn to be measured comes."""
    everything: list[Prepared] = []
    for cell in cells:
        with contextlib.suppress(Exception):
            everything += _prepared(cell, plan).values()
    workers.ask(open_questions(everything), progress)


def _mean(record: SweepRecord, seconds: float) -> float:
    """Return the mean time of an evaluation with a new one; the first scored the base too, and is dropped."""
    n = sum(measured.directory is not None for measured in record.measured)
    known = record.seconds_per_result
    if known is None or n == 1:
        return round(seconds, 2)
    return round(known + (seconds - known) / n, 2)


def _noted(record: SweepRecord, output: Path) -> SweepRecord:
    write_atomically(output / RECORD, record.to_json().encode())
    return record


def _read(directory: Path) -> Result | str:
    """Return a result, or what is wrong with it."""
    try:
        return read_whole(directory)
    except ForgetbenchError as error:
        return f"{error.thing}: {error.cause}"


def _is_of(run_key: str, measured: Measured) -> bool:
    """Say whether it was measured by the tasks as they are now; that nothing changed holds for any."""
    return measured.directory is None or Path(measured.directory).name == run_key


def _in_order(plan: SweepPlan, record: SweepRecord) -> list[Measured]:
    found = {(m.training, m.step, m.alpha): m for m in record.measured if _is_of(plan.run_key, m)}
    wanted = [(cell.key, step, alpha) for cell in plan.cells for step, alpha in cell.wanted]
    return [found[place] for place in wanted if place in found]


def _read_record(output: Path, measurement: str) -> SweepRecord:
    path = output / RECORD
    if not path.is_file():
        return SweepRecord(measurement=measurement)
    try:
        record = SweepRecord.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UsageError(
            str(path), "is damaged", "Remove it: checkpoints are trained again, finished results are found."
        ) from None
    if record.measurement != measurement:
        cause = "holds a sweep that was measured differently: other base, tasks, target or limit"
        raise UsageError(str(output), cause, "Choose another --output-path.")
    return record


def _measurement(grid: Grid) -> str:
    """Return the hash of what every result of a sweep has in common."""
    content = {
        "base": locate_base(grid.model).fingerprint,
        "target": file_sha256(Path(grid.target)) if grid.target else None,
        **grid.model_dump(mode="json", include={"tasks", "roles", "limit"}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _cell(
    training: Training, record: SweepRecord, output: Path, *, run_key: str, contamination: Contamination
) -> Cell:
    recipe = training.recipe
    key = recipe_key(recipe, inputs_of(recipe, locate_base(recipe.model)))
    mine = [one for one in record.measured if one.training == key and _is_of(run_key, one)]
    found = {
        one: _read(output / one.directory)
        for one in mine
        if one.directory is not None and (output / one.directory / COMPARISON_FILE).is_file()
    }
    folder = output_folder(cache_root(), recipe, key)
    placed = recipe.model_copy(update={"output": str(folder)})
    return Cell(
        recipe=placed,
        key=key,
        alphas=training.alphas,
        done=tuple(one for one in mine if one.directory is None or isinstance(found.get(one), Result)),
        damaged=tuple(result for result in found.values() if isinstance(result, str)),
        seconds=0.0,
        contamination=contamination,
    )


def _timed(cell: Cell, record: SweepRecord, each_s: float, parameters: int, flops_per_s: float) -> Cell:
    if not cell.left:
        return cell
    training_s = training_seconds(cell.recipe, parameters, record.seconds_per_example, flops_per_s)
    return replace(cell, seconds=training_s + each_s * len(cell.left))


def _contaminations(grid: Grid, trainings: Sequence[Training]) -> list[Contamination]:
    """Compare what each recipe trains on with what is measured, the same data once."""
    found: dict[str, Contamination] = {}
    keys = []
    for training in trainings:
        recipe = training.recipe
        key = json.dumps([str(path) for path in files_of(recipe)])
        keys.append(key)
        if key not in found:
            found[key] = check_contamination(
                recipe,
                grid.tasks,
                target=Path(grid.target) if grid.target else None,
                include_paths=[Path(name) for name in grid.include_paths],
                allow=grid.allow_contamination,
            )
    return [found[key] for key in keys]

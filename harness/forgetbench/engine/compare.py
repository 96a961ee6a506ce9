"""Two runs that exist already, of forgetbench or of lm-eval, made into one result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from forgetbench.engine.lm_eval_documents import Known, logged_document
from forgetbench.engine.lm_eval_files import is_lm_eval_output, read_logged_run
from forgetbench.engine.reproduce import command_line
from forgetbench.engine.results import (
    RUN_FILE,
    Result,
    check_writable,
    read_result,
    read_samples,
    result_directory,
    write_result,
    write_samples,
)
from forgetbench.errors import UsageError, did_you_mean
from forgetbench.forgetting.asked import count_differing
from forgetbench.forgetting.join import join
from forgetbench.forgetting.pairs import compare
from forgetbench.metrics.margin import check_margin
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.number import LARGEST_MARGIN, SMALLEST_MARGIN
from forgetbench.schema.run import Arm, RunDocument, SuiteRowInfo, TaskResult
from forgetbench.schema.task import LmEval, Role
from forgetbench.tasks.registry import load_registry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scored:
    """A run document and the sample table of each of its tasks."""

    document: RunDocument
    samples: Mapping[str, pd.DataFrame]


def compare_runs(
    base: Path,
    checkpoint: Path,
    *,
    output: Path,
    roles: Mapping[str, str] | None = None,
    margins: Mapping[str, float] | None = None,
) -> Result:
    """Compare two runs and write them as one result.

    Args:
        base: Result directory or run document of forgetbench (of a result directory, its checkpoint), or a
            folder of plain lm-eval output.
        checkpoint: The same of the other arm.
        output: Folder of the results.
        roles: Role by suite, task name or glob, in place of the run's.
        margins: Margin by suite, task name or glob, in the primary metric's units.

    Raises:
        UsageError: Something is no result, both are the same run, no task can be compared, or a name matches
            nothing.
        DataError: A file of lm-eval is damaged.
    """
    check_writable(output, "--output-path")
    arms = _aligned(_read(base, "base"), _read(checkpoint, "checkpoint"))
    _check_different(base, checkpoint, arms)
    _check_any(base, checkpoint, arms)
    arms = {
        arm: replace(scored, document=_overridden(scored.document, roles or {}, margins or {}))
        for arm, scored in arms.items()
    }
    words = [*_words("--role", roles or {}), *_words("--margin", margins or {})]
    return _write(arms, output, reproduce=command_line("compare", base, checkpoint, *words))


def _words(option: str, values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield from (option, f"{name}={value}")


def _read(path: Path, arm: Arm) -> Scored:
    if not (path / RUN_FILE["checkpoint"]).is_file() and is_lm_eval_output(path):
        return Scored(*logged_document(read_logged_run(path), arm, _known()))
    if path.is_dir() and not (path / RUN_FILE["checkpoint"]).is_file():
        raise UsageError(
            str(path),
            "holds neither run.json nor results_*.json",
            "Give a directory that `forgetbench run` printed, or lm-eval's --output_path.",
        )
    if not path.exists():
        raise UsageError(str(path), "does not exist", "Check the path.")
    if path.is_dir():
        directory, document = path, read_result(path).checkpoint
    else:
        directory, document = path.parent, _read_document(path)
    return Scored(document.model_copy(update={"arm": arm}), read_samples(directory, document))


def _read_document(path: Path) -> RunDocument:
    try:
        return RunDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = first_invalid(error)
        raise UsageError(f"{path}, key `{first.key}`", first.cause, "Give a run.json.") from None


def _known() -> Known:
    """Return the built-in tasks that are lm-eval's under lm-eval's own name."""
    tasks = [definition.task for definition in load_registry()]
    return {task.name: task for task in tasks if isinstance(task, LmEval) and task.name == task.lm_eval}


def _aligned(base: Scored, checkpoint: Scored) -> dict[Arm, Scored]:
    """Give both arms the same tasks and, where only their tasks differed, the same run key.

    A task that one of them lacks is skipped in both: named as not measured, and no row.
    """
    one, other = base.document, checkpoint.document
    tasks = {task.name: task for task in (*other.tasks, *one.tasks)}
    lacking = _not_shared(one, other)
    common = tuple(_skipped(tasks[name], reason) for name, reason in lacking.items())
    updates: dict[str, object] = {"suite_rows": _merged_rows(one, other)}
    if _are_comparable(one, other):
        updates["run_key"] = _joint_run_key(one, other)
    warnings = (*other.warnings, *_differences(base, checkpoint))

    def aligned(scored: Scored, said: tuple[str, ...]) -> Scored:
        own = tuple(task for task in scored.document.tasks if task.name not in lacking)
        changes = {**updates, "tasks": (*own, *common), "warnings": said}
        samples = {name: table for name, table in scored.samples.items() if name not in lacking}
        return Scored(scored.document.model_copy(update=changes), samples)

    return {"base": aligned(base, one.warnings), "checkpoint": aligned(checkpoint, warnings)}


def _not_shared(base: RunDocument, checkpoint: RunDocument) -> dict[str, str]:
    """Return why a task cannot be compared: a run lacks it, or took it for identical to its own base."""
    before, after = ({task.name: task for task in document.tasks} for document in (base, checkpoint))
    found = {}
    for name in (*after, *before):
        ours, theirs = before.get(name), after.get(name)
        if ours is None or theirs is None:
            found[name] = f"the {'base' if ours is None else 'checkpoint'}'s run does not have it"
        elif "identical" in (ours.status, theirs.status) and (ours.status, ours.component) != (
            theirs.status,
            theirs.component,
        ):
            found[name] = "a run did not score it, its component being its own base's"
    return found


def _skipped(task: TaskResult, reason: str) -> TaskResult:
    nothing: dict[str, object] = {
        "status": "skipped",
        "reason": reason,
        "metrics": {},
        "samples": None,
        "n_scored": 0,
        "errors": {},
    }
    return task.model_copy(update=nothing)


def _merged_rows(*documents: RunDocument) -> tuple[SuiteRowInfo, ...]:
    return tuple({row.name: row for document in documents for row in document.suite_rows}.values())


def _are_comparable(one: RunDocument, other: RunDocument) -> bool:
    """Tell whether equal settings decided the scores, apart from the choice of tasks.

    lm-eval has no run key: how each task was asked says it. Other loading of the weights is warned about.
    """
    if not one.run_key or not other.run_key:
        return one.run_key == other.run_key
    free = {"batch_size", "load", "limit", "limits"}
    return one.settings.model_dump(exclude=free) == other.settings.model_dump(exclude=free)


def _joint_run_key(one: RunDocument, other: RunDocument) -> str:
    """Return the run key of two comparable runs.

    lm-eval has none: there it is made of how either run asked each task that both have, so that checkpoints
    which were compared alike with one base share it, and make a curve.
    """
    if one.run_key and one.run_key == other.run_key:
        return one.run_key
    what = f"{one.run_key} {other.run_key}"
    if not one.run_key:
        in_base = {task.name: task for task in one.tasks}
        pairs = [(in_base[task.name], task) for task in other.tasks if task.name in in_base]
        asked = [
            [t.name, t.version, t.definition_sha256, b.prompting, t.prompting, b.n_planned, t.n_planned]
            for b, t in pairs
        ]
        what = json.dumps(sorted(asked, key=lambda task: str(task[0])))
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _differences(base: Scored, checkpoint: Scored) -> Iterator[str]:
    """Say where the arms were asked differently: it looks like forgetting and is none."""
    in_base = {task.name: task for task in base.document.tasks}
    ways: dict[tuple[str, str], list[str]] = {}
    for task in checkpoint.document.tasks:
        if task.name in in_base and in_base[task.name].prompting != task.prompting:
            ways.setdefault((in_base[task.name].prompting, task.prompting), []).append(task.name)
    for (before, after), names in ways.items():
        yield (
            f"{', '.join(names)}: asked with {before} in the base's run and with {after} in the "
            "checkpoint's: that alone can look like forgetting"
        )
    for name in checkpoint.samples:
        if name not in base.samples:
            continue
        pairs = join(base.samples[name], checkpoint.samples[name], columns=()).pairs
        differing = count_differing(pairs)
        if differing.prompts:
            yield f"{name}: prompt_hash differs in {differing.prompts} of {len(pairs)} samples"
        if differing.targets:
            yield f"{name}: target_hash differs in {differing.targets} of {len(pairs)} samples"


def _check_different(base: Path, checkpoint: Path, arms: Mapping[Arm, Scored]) -> None:
    one, other = arms["base"].document, arms["checkpoint"].document
    if (one.checkpoint.fingerprint, one.settings.load) == (other.checkpoint.fingerprint, other.settings.load):
        raise UsageError(
            f"{base} and {checkpoint}",
            "are runs of the same checkpoint",
            "Give the run of the base first, then that of the checkpoint.",
        )


def _check_any(base: Path, checkpoint: Path, arms: Mapping[Arm, Scored]) -> None:
    tasks = [task for scored in arms.values() for task in scored.document.tasks]
    if all(task.status == "skipped" for task in tasks):
        reasons = "; ".join(dict.fromkeys(f"{task.name}: {task.reason.rstrip('.')}" for task in tasks))
        raise UsageError(
            f"{base} and {checkpoint}",
            f"have no task that can be compared ({reasons[:300]})",
            "Measure both models on the same tasks.",
        )


def _overridden(document: RunDocument, roles: Mapping[str, str], margins: Mapping[str, float]) -> RunDocument:
    tasks, rows = document.tasks, document.suite_rows
    for option, values in (("role", roles), ("margin", margins)):
        for pattern, value in values.items():
            if option == "role" and value not in get_args(Role):
                raise UsageError(f"role {value!r}", "is unknown", f"One of {', '.join(get_args(Role))}.")
            if option == "margin" and not SMALLEST_MARGIN <= float(value) <= LARGEST_MARGIN:
                between = f"is not between {SMALLEST_MARGIN:g} and {LARGEST_MARGIN:g}"
                raise UsageError(f"margin {pattern}={value}", between, "Such as 0.02 for 2 points.")
            chosen = {
                task.name for task in tasks if pattern in task.suites or fnmatchcase(task.name, pattern)
            }
            chosen |= {row.name for row in rows if fnmatchcase(row.name, pattern)}
            chosen |= {row.name for row in rows if chosen.issuperset(row.tasks)}
            if not chosen:
                raise _unknown(option, pattern, (*tasks, *rows))
            tasks = tuple(t.model_copy(update={option: value}) if t.name in chosen else t for t in tasks)
            rows = tuple(r.model_copy(update={option: value}) if r.name in chosen else r for r in rows)
            if option == "margin":
                _check_margin(f"--margin {pattern}={float(value):g}", float(value), chosen, tasks, rows)
    return document.model_copy(update={"tasks": tasks, "suite_rows": rows})


def _check_margin(
    thing: str,
    margin: float,
    chosen: Collection[str],
    tasks: Iterable[TaskResult],
    rows: Iterable[SuiteRowInfo],
) -> None:
    primary = {task.name: task.primary for task in tasks}
    inside = {row.name: [primary[name] for name in row.tasks if name in primary] for row in rows}
    for name in chosen:
        check_margin(thing, margin, *inside.get(name, [primary.get(name, "")]))


def _unknown(option: str, pattern: str, known: Iterable[TaskResult | SuiteRowInfo]) -> UsageError:
    names = [entry.name for entry in known]
    hint = did_you_mean(pattern, names, f"There are {', '.join(names[:5])}.", n=2)
    return UsageError(f"--{option} {pattern}", "matches no task of the two runs", hint)


def _write(arms: Mapping[Arm, Scored], output: Path, *, reproduce: str) -> Result:
    checkpoint, base = arms["checkpoint"].document, arms["base"].document
    directory = result_directory(
        output,
        checkpoint.checkpoint.name,
        checkpoint.checkpoint.fingerprint,
        base.checkpoint.fingerprint,
        checkpoint.run_key,
    )
    documents = {}
    for arm, scored in arms.items():
        files = {name: write_samples(directory, arm, name, table) for name, table in scored.samples.items()}
        tasks = [t.model_copy(update={"samples": files.get(t.name)}) for t in scored.document.tasks]
        made_by = scored.document.reproduce or reproduce
        documents[arm] = scored.document.model_copy(update={"tasks": tuple(tasks), "reproduce": made_by})
    comparison = compare(
        documents["base"], documents["checkpoint"], arms["base"].samples, arms["checkpoint"].samples
    ).model_copy(update={"reproduce": reproduce})
    return write_result(directory, list(documents.values()), comparison)

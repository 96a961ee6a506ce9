"""Reading one task file, with errors that name file, line and key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forgetbench.errors import TaskError
from forgetbench.metrics.judges import is_model_judge
from forgetbench.metrics.margin import check_margin
from forgetbench.metrics.word_classes import NORMALISER, WORD_CLASSES
from forgetbench.plugins import Group, plugins
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.task import (
    DEFINITION,
    Asr,
    DatasetTask,
    LmEval,
    Refusal,
    SpeechTask,
    SuiteRow,
    Synthesis,
    Task,
)
from forgetbench.tasks.strict_yaml import line_of, read_mapping

TASK_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A task or suite row, and the folder that its relative paths start from."""

    task: Task | SuiteRow
    source: Path

    @property
    def folder(self) -> Path:
        """Folder of the task file."""
        return self.source.parent

    @property
    def root(self) -> Path | None:
        """Folder that what a task file names stays in; None for a user's own test set."""
        return self.folder if self.source.suffix in TASK_ENDINGS else None


def read_definition(path: Path) -> Definition:
    """Read and validate a task file.

    Raises:
        TaskError: The file is unreadable, no YAML, or holds an unknown key or a value of the wrong type.
    """
    raw, node = read_mapping(path, what="task", error=TaskError)
    if "lm_eval" in raw:
        raw = {"kind": "lm_eval", "name": raw["lm_eval"], **raw}
    try:
        task = DEFINITION.validate_python(raw)
    except ValidationError as error:
        raise _task_error(path, node, error) from None
    check_fields(path, task)
    _check_inside(path, task)
    return Definition(task=task, source=path)


def _task_error(path: Path, node: Any, error: ValidationError) -> TaskError:
    first = first_invalid(error)
    named = [part for part in first.location if not str(part).startswith(("literal[", "function-"))]
    location = [part for part in named if part not in ("lm_eval", *_KINDS)] or named or ["kind"]
    key = ".".join(str(part) for part in location)
    line = line_of(node, location)
    cause = {
        "union_tag_not_found": "missing key `kind`",
        "union_tag_invalid": f"unknown kind; one of {', '.join(_KINDS)}",
    }.get(first.kind, first.cause)
    is_lm_evals = first.kind == "union_tag_not_found" and "task" in first.given
    way_out = _ADOPT if is_lm_evals else "See `forgetbench schema task`."
    return TaskError(f"{path}, line {line}, key `{key}`", cause, way_out)


_ADOPT = (
    "It looks like a file of lm-eval: put it into a folder named lm_eval, and beside that a file with "
    "`lm_eval: NAME` and `include_path: lm_eval`."
)
_KINDS = (
    "multiple_choice",
    "likelihood",
    "generate",
    "refusal",
    "refusal_margin",
    "asr",
    "enhancement",
    "divergence",
    "speech_divergence",
    "speech_translation",
    "language_id",
    "speech_times",
    "probe",
    "synthesis",
    "minimal_pair",
    "conversion",
    "separation",
    "voice_cloning",
    "spoken_question",
    "spoken_refusal",
    "lm_eval",
    "suite_row",
)


def check_fields(path: Path, task: Task | SuiteRow) -> None:
    """Check the rules that cross fields.

    Raises:
        TaskError: One of them is broken.
    """
    if isinstance(task, DatasetTask):
        if task.primary not in task.metrics:
            raise TaskError(
                f"{path}, key `primary`", f"{task.primary!r} is not among the metrics", "Add it to `metrics`."
            )
        if (task.dataset.path is None) == (task.dataset.hub is None):
            raise TaskError(f"{path}, key `dataset`", "needs either `path` or `hub`", "Give exactly one.")
        _check_plugins(path, task)
    if isinstance(task, Asr):
        _check_normaliser(path, task)
    if isinstance(task, Synthesis):
        _check_voice(path, task)
    if isinstance(task, SuiteRow):
        return
    check_margin(f"{path}, key `margin`", task.margin, task.primary or "", error=TaskError)
    key, named = (
        ("include_path", task.include_path)
        if isinstance(task, LmEval)
        else ("dataset.path", task.dataset.path)
    )
    if named is not None and Path(named).is_absolute() and path.suffix in TASK_ENDINGS:
        way_out = f"Give it relative to {path.parent.resolve().name}/ so that it travels."
        raise TaskError(f"{path}, key `{key}`", "is absolute", way_out)


def _check_inside(path: Path, task: Task | SuiteRow) -> None:
    """Refuse relative paths that leave the folder of the task file: a task reads its own files."""
    named: dict[str, str | None] = {}
    if isinstance(task, DatasetTask):
        named["dataset.path"] = task.dataset.path
    if isinstance(task, LmEval):
        named["include_path"] = task.include_path
    if isinstance(task, SpeechTask):
        for i, condition in enumerate(task.conditions):
            named[f"conditions.{i}.recordings"] = condition.recordings
            if condition.hearing_loss is not None and ".json" in condition.hearing_loss:
                named[f"conditions.{i}.hearing_loss"] = condition.hearing_loss.partition(".json")[0] + ".json"
    for key, value in named.items():
        if value is not None and "\0" in value:
            raise TaskError(f"{path}, key `{key}`", "is no path: it has a null character", "Correct it.")
        if value is None or Path(value).is_absolute():
            continue
        if not (path.parent / value).resolve().is_relative_to(path.parent.resolve()):
            cause = f"leads out of {path.parent.name}/"
            raise TaskError(f"{path}, key `{key}`", cause, "Keep the data beside the task file.")


def _check_plugins(path: Path, task: DatasetTask) -> None:
    """A metric or judge of a plug-in is installed."""
    judge = task.judge if isinstance(task, Refusal) and not is_model_judge(task.judge) else ""
    wanted: tuple[tuple[str, Group, tuple[str, ...]], ...]
    wanted = (("metrics", "metrics", task.metrics), ("judge", "judges", (judge,)))
    for key, group, names in wanted:
        for name in names:
            if "." in name and name not in plugins(group):
                raise TaskError(
                    f"{path}, key `{key}`", f"no installed plug-in brings {name!r}", "Install its package."
                )


def _check_voice(path: Path, task: Synthesis) -> None:
    """A voice that is wanted is compared with, and what is compared needs one."""
    compares = "speaker_similarity" in task.metrics
    if compares and task.voice is None:
        cause = "is missing: 'speaker_similarity' compares with the voice in that column"
        way_out = "Name a column of recordings, or leave the metric out."
        raise TaskError(f"{path}, key `voice`", cause, way_out)
    if task.voice is not None and not compares:
        cause = "is compared with nothing: 'speaker_similarity' is not among the metrics"
        way_out = "Add it; to give a model the recording, take `kind: voice_cloning`."
        raise TaskError(f"{path}, key `voice`", cause, way_out)


def _check_normaliser(path: Path, task: Asr) -> None:
    """English spelling is for English, and so are the classes of words."""
    if task.normaliser == NORMALISER and not task.is_english:
        cause = f"{NORMALISER!r} is for English, and the language is {task.language!r}"
        raise TaskError(f"{path}, key `normaliser`", cause, "Take whisper_basic@2 or none.")
    by_class = [name for name in task.metrics if name.endswith(WORD_CLASSES)]
    if by_class and task.normaliser != NORMALISER:
        cause = f"{by_class[0]!r} needs the normaliser {NORMALISER!r}, which is for English"
        raise TaskError(f"{path}, key `metrics`", cause, "Leave it out.")

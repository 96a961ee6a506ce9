"""From the rows of a data set to the samples of a task: chosen, checked, hashed."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

from forgetbench.data.hub import load_hub_rows
from forgetbench.data.recording import StoredAudio, recording_name
from forgetbench.data.speech import MAKES_SOUND, SpeechSet
from forgetbench.data.tabular import Rows, read_rows
from forgetbench.errors import DataError
from forgetbench.schema.task import (
    Asr,
    Condition,
    Conversion,
    DatasetTask,
    Divergence,
    Enhancement,
    Generate,
    LanguageId,
    Likelihood,
    MinimalPair,
    MultipleChoice,
    Probe,
    Refusal,
    RefusalMargin,
    Separation,
    SpeechDivergence,
    SpeechTask,
    SpeechTimes,
    SpeechTranslation,
    SpokenTask,
    Synthesis,
    VoiceCloning,
)

MOST_SPEAKERS = 50
"""So many speakers are told apart without being asked for; more only where a task names the column."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One thing to ask a model.

    Attributes:
        id: Unique within the task, together with the condition.
        content: sha256 over everything the model is given and is compared with; no names, no paths.
        row: The columns of the data set.
        input: Prompt, or name of the audio file: to show.
        reference: The right answer: to show.
        size: What the cost grows with: characters, or seconds of audio.
        groups: Value of each grouping column of the task.
        error: Code of an input error that is known before any model runs.
    """

    id: str
    content: str
    row: Mapping[str, Any]
    input: str
    reference: str
    size: float
    cluster: str = ""
    condition: Condition | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def condition_label(self) -> str:
        """Label of the condition; empty for none."""
        return self.condition.label if self.condition else ""


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """The samples of one task.

    Attributes:
        dataset: Name of the data set, as the run document states it.
        revision: Commit of a hub data set, ``sha256:…`` of local data, or ``unpinned``.
        n_available: Samples without a limit.
        speech: The recordings, for a task that is heard.
    """

    samples: tuple[Sample, ...]
    n_available: int
    dataset: str
    revision: str
    speech: SpeechSet | None = None
    warnings: tuple[str, ...] = ()


def load_samples(
    task: DatasetTask,
    folder: Path,
    *,
    seed: int,
    limit: int | None = None,
    root: Path | None = None,
) -> SampleSet:
    """Read the data of a task and choose its samples.

    Args:
        task: The definition.
        folder: Where its relative paths start.
        seed: Of the choice that ``limit`` and ``dataset.sample`` make.
        limit: Use a seeded part of this many rows.
        root: Folder that relative paths to audio stay in; None for a user's own file.

    Raises:
        DataError: The data cannot be read, or a row lacks what the task needs (with its number).
        MissingPackageError: A condition needs a package that is not installed.
    """
    rows, name, revision = _rows(task, folder)
    keyed = _with_ids(task, rows, name)
    speech = None
    if isinstance(task, SpeechTask | Synthesis) and task.recordings:
        manifest = folder / task.dataset.path if task.dataset.path else folder
        audio_folder = manifest if manifest.is_dir() else manifest.parent
        speech = SpeechSet(task, keyed, audio_folder, task_folder=folder, seed=seed, root=root)
        if task.dataset.path:
            revision = "sha256:" + sha256_of(revision, speech.digest)
    available = choose(sorted(keyed), task.dataset.sample, seed)
    wanted = set(choose(available, limit, seed))
    groupings = _groupings(task, keyed, name)
    samples = tuple(
        sample
        for key, row in keyed.items()
        if key in wanted
        for sample in _samples_of(task, key, row, speech=speech, groupings=groupings, name=name)
    )
    return SampleSet(
        samples=samples,
        n_available=len(available) * _n_conditions(task),
        dataset=name,
        revision=revision,
        speech=speech,
        warnings=_warnings(task, samples),
    )


def count_samples(task: DatasetTask, folder: Path) -> int:
    """Return how many samples a task with a local file has, conditions included, without reading audio.

    Raises:
        DataError: The file cannot be read.
    """
    rows, _, _ = _rows(task, folder)
    n = min(len(rows), task.dataset.sample or len(rows))
    return n * _n_conditions(task)


def _n_conditions(task: DatasetTask) -> int:
    return max(1, len(getattr(task, "conditions", ())))


def choose(ids: Sequence[str], n: int | None, seed: int) -> list[str]:
    """Return a seeded part of ``n`` ids: the same for every arm, and a smaller n is part of a larger one."""
    if n is None or n >= len(ids):
        return list(ids)
    return sorted(ids, key=lambda key: sha256_of(str(seed), key))[:n]


def render_prompt(template: str, row: Mapping[str, Any], *, thing: str) -> str:
    """Fill ``{column}`` places; any other brace stays as it is.

    Raises:
        DataError: The row lacks a column that the template names.
    """

    def fill(match: re.Match[str]) -> str:
        if row.get(match[1]) is None:
            cause = f"the prompt needs the column {match[1]!r}; there are {', '.join(sorted(row))}"
            raise DataError(thing, cause, "Correct `prompt` or the data.")
        return str(row[match[1]])

    return re.sub(r"\{(\w+)\}", fill, template)


def _rows(task: DatasetTask, folder: Path) -> tuple[Rows, str, str]:
    dataset = task.dataset
    if dataset.path is not None:
        path = folder / dataset.path
        if not path.exists():
            cause = f"does not exist; the task {task.name} reads it"
            raise DataError(str(path), cause, "Make it as the task's file says, or correct `dataset.path`.")
        rows, name = read_rows(path), path.name
        revision = "sha256:" + _digest_of(path, rows)
    else:
        rows, revision = load_hub_rows(task)
        name = dataset.hub or ""
    for column, value in dataset.filter.items():
        rows = [row for row in rows if str(row.get(column)) == value]
    if not rows:
        raise DataError(name, "has no rows after `filter`", "Correct `dataset.filter`.")
    return rows, name, revision


def _digest_of(path: Path, rows: Rows) -> str:
    """Return the sha256 of a file, or of what the transcripts of a folder say; audio has its own."""
    if path.is_dir():
        return sha256_of(_canonical(rows))
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _with_ids(task: DatasetTask, rows: Rows, name: str) -> dict[str, dict[str, Any]]:
    column = task.dataset.fields.id
    keyed: dict[str, dict[str, Any]] = {}
    for position, row in enumerate(rows):
        if column is not None and column not in row:
            raise DataError(
                f"{name}, row {position + 1}", f"lacks the field {column!r}", "Add it to every row."
            )
        key = str(row[column]) if column is not None else f"{position:06d}"
        if key in keyed:
            raise DataError(f"{name}, row {position + 1}", f"repeats the id {key!r}", "Ids must be unique.")
        keyed[key] = row
    return keyed


def _groupings(task: DatasetTask, rows: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str, ...]:
    """Return the columns that form groups: those that the task names, and who speaks, if these are few."""
    fields = task.dataset.fields
    for column in fields.groups:
        if all(row.get(column) is None for row in rows.values()):
            raise DataError(name, f"no row has the field {column!r}", "Correct `dataset.fields.groups`.")
    if not isinstance(task, SpeechTask) or fields.cluster is None:
        return fields.groups
    speakers = {_text(row.get(fields.cluster)) for row in rows.values()} - {""}
    own = (fields.cluster,) if 2 <= len(speakers) <= MOST_SPEAKERS else ()
    return tuple(dict.fromkeys((*fields.groups, *own)))


def _samples_of(
    task: DatasetTask,
    key: str,
    row: dict[str, Any],
    *,
    speech: SpeechSet | None,
    groupings: Sequence[str],
    name: str,
) -> list[Sample]:
    thing = f"{name}, sample {key!r}"
    shown_input, reference, size = shown(task, row, thing)
    cluster_column = task.dataset.fields.cluster
    cluster = _text(row.get(cluster_column)) if cluster_column else ""
    conditions: Sequence[Condition | None] = getattr(task, "conditions", ()) or (None,)
    fields = task.dataset.fields
    excluded = {fields.id, *task.recordings}
    content = {
        column: value
        for column, value in row.items()
        if column not in excluded and not isinstance(value, StoredAudio)
    }
    return [
        Sample(
            id=key,
            content=sha256_of(_canonical(content), *(speech.content(key, condition) if speech else ())),
            row=row,
            input=shown_input,
            reference=reference,
            size=speech.duration_s(key) if speech and isinstance(task, SpeechTask) else size,
            cluster=cluster,
            condition=condition,
            groups={column: _text(row.get(column)).strip() for column in groupings},
            error=speech.error(key) if speech else None,
        )
        for condition in conditions
    ]


@singledispatch
def shown(task: DatasetTask, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    """Return prompt, reference and size of a row, after checking that it has what the task needs."""
    raise NotImplementedError(type(task).__name__)


@shown.register(Refusal)
@shown.register(RefusalMargin)
def _(task: Refusal | RefusalMargin, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    prompt = render_prompt(task.prompt, row, thing=thing)
    return prompt, "", float(len(prompt))


@shown.register
def _(task: MultipleChoice, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    fields = task.dataset.fields
    choices, gold = _field(row, fields.choices, thing), _field(row, fields.gold, thing)
    if (
        not isinstance(choices, list)
        or len(choices) < 2
        or not all(isinstance(c, str) and c for c in choices)
    ):
        raise DataError(
            thing, f"the field {fields.choices!r} is not a list of two or more texts", "Mend the row."
        )
    if not isinstance(gold, int) or isinstance(gold, bool) or not 0 <= gold < len(choices):
        raise DataError(thing, f"{fields.gold!r} is {gold!r}, not an index of the choices", "Count from 0.")
    prompt = render_prompt(task.prompt, row, thing=thing)
    return prompt, choices[gold], float(len(prompt) + max(map(len, choices)))


@shown.register(Generate)
@shown.register(Likelihood)
def _(task: Generate | Likelihood, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    answer = " / ".join(accepted_answers(task, row, thing))
    if isinstance(task, SpokenTask):
        _field(row, task.dataset.fields.text, thing)
    prompt = render_prompt(task.prompt, row, thing=thing)
    return prompt, answer, float(len(prompt) + len(answer))


def accepted_answers(task: DatasetTask, row: Mapping[str, Any], thing: str = "a row") -> list[str]:
    """Return the answers that will do: a column holds one, or a list of them.

    Raises:
        DataError: It holds none.
    """
    column = task.dataset.fields.answer
    value = _field(row, column, thing)
    answers = [str(each) for each in value] if isinstance(value, list) else [str(value)]
    if not answers or not all(answers):
        raise DataError(thing, f"the field {column!r} is empty", "Give the answer.")
    return answers


@shown.register
def _(task: Divergence, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    fields = task.dataset.fields
    column = fields.answer if task.prompt else fields.text
    value = _field(row, column, thing)
    text = (
        str(value) if isinstance(value, str | int | float) and value == value else ""
    )  # or a number, not NaN
    if not text.strip():
        raise DataError(thing, f"the field {column!r} holds no text", "Fill it in, or leave the row out.")
    prompt = render_prompt(task.prompt, row, thing=thing)
    return prompt, text, float(len(prompt) + len(text))


@shown.register(Asr)
@shown.register(SpeechDivergence)
@shown.register(SpeechTranslation)
@shown.register(LanguageId)
@shown.register(Probe)
@shown.register(Conversion)
def _(
    task: Asr | SpeechDivergence | SpeechTranslation | LanguageId | Probe | Conversion,
    row: Mapping[str, Any],
    thing: str,
) -> tuple[str, str, float]:
    fields = task.dataset.fields
    column = fields.answer if isinstance(task, LanguageId | Probe) else fields.text
    name, text = _recording(row, fields.audio, thing), _field(row, column, thing)
    if not isinstance(text, str):
        raise DataError(thing, f"{column!r} is {type(text).__name__}, not text", "Write the transcript.")
    if isinstance(task, Probe) and task.unseen is not None:
        _field(row, task.unseen, thing)
    return name, text, 0.0


@shown.register
def _(task: SpeechTimes, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    fields = task.dataset.fields
    phrases = _field(row, task.phrases, thing)
    pairs = [*map(_times, phrases)] if isinstance(phrases, list) else []
    moments = [moment for pair in pairs if pair for moment in pair]
    if not pairs or None in pairs or moments != sorted(moments) or moments[0] < 0:
        raise DataError(
            thing, f"the field {task.phrases!r} is not a list of [start_s, end_s] in order", "Mend the row."
        )
    return _recording(row, fields.audio, thing), _text(row.get(fields.text)), 0.0


def _times(pair: object) -> tuple[float, float] | None:
    """Return start and end, in seconds, or None for what is no pair of finite numbers."""
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    if not all(isinstance(moment, float | int) and math.isfinite(moment) for moment in pair):
        return None
    return float(pair[0]), float(pair[1])


@shown.register
def _(task: MinimalPair, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    fields = task.dataset.fields
    right, wrong = (_recording(row, column, thing) for column in (fields.audio, task.wrong))
    return f"{right}, not {wrong}", _text(row.get(fields.text)), 0.0


@shown.register
def _(task: Synthesis, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    text = _field(row, task.dataset.fields.text, thing)
    if not isinstance(text, str) or not text.strip():
        raise DataError(thing, f"{task.dataset.fields.text!r} holds no text", "Write what is to be spoken.")
    if task.voice is not None:
        _recording(row, task.voice, thing)
    return text, text, float(len(text))


@shown.register
def _(task: VoiceCloning, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    text = _field(row, task.dataset.fields.text, thing)
    if not isinstance(text, str) or not text.strip():
        raise DataError(thing, f"{task.dataset.fields.text!r} holds no text", "Write what is to be spoken.")
    return f"in the voice of {_recording(row, task.dataset.fields.audio, thing)}", text, 0.0


@shown.register
def _(task: Separation, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    columns = (task.dataset.fields.audio, *task.mixed_with)
    return " + ".join(_recording(row, column, thing) for column in columns), "", 0.0


@shown.register
def _(task: Enhancement, row: Mapping[str, Any], thing: str) -> tuple[str, str, float]:
    fields = task.dataset.fields
    name = _recording(row, fields.audio, thing)
    return name, _recording(row, fields.clean, thing) if fields.clean else name, 0.0


def _recording(row: Mapping[str, Any], column: str, thing: str) -> str:
    """Return the name of a recording, to show; one that is null is missing, and costs its sample alone."""
    if column in row and row[column] is None:
        return "null"
    return recording_name(_field(row, column, thing))


def _field(row: Mapping[str, Any], column: str, thing: str) -> Any:
    if column not in row:
        raise DataError(thing, f"lacks the field {column!r}", f"There are {', '.join(sorted(row))}.")
    if row[column] is None:
        raise DataError(thing, f"the field {column!r} is null", "Fill it in, or leave the row out.")
    return row[column]


def _text(value: Any) -> str:
    """Return a value of a column as text; a severity of 0 is a value, nothing is none."""
    return "" if value is None else str(value)


def _warnings(task: DatasetTask, samples: Sequence[Sample]) -> tuple[str, ...]:
    if isinstance(task, MAKES_SOUND) and not {"haspi", "hasqi"} & set(task.metrics):
        losses = [condition.label for condition in task.conditions if condition.hearing_loss]
        return tuple(
            f"{task.name}: {label}: the hearing loss changes nothing; it comes after the model, and only "
            "haspi and hasqi hear it"
            for label in losses
        )
    if not isinstance(task, Asr):
        return ()
    empty = sum(not sample.reference.strip() for sample in samples)
    if not empty:
        return ()
    return (f"{task.name}: {empty} samples have an empty reference; words heard there count as insertions",)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def sha256_of(*parts: str) -> str:
    """Return the SHA-256 of texts, joined by U+001F."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

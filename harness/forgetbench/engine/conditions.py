"""``--condition``: other conditions for the speech tasks of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from forgetbench.data.scene import make_scene
from forgetbench.errors import DataError, UsageError, did_you_mean
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.task import Condition, SpeechTask
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import Selection

_TRIED_AT_HZ = 16_000


def make_condition(values: Mapping[str, str]) -> Condition:
    """Return the condition that an option describes; its relative paths start at the working directory.

    Args:
        values: By the names of :class:`~forgetbench.schema.task.Condition`'s fields.

    Raises:
        UsageError: A key is unknown, a value is wrong, or what it names does not exist.
    """
    thing = "--condition " + ",".join(f"{key}={value}" for key, value in values.items())
    for key in values:
        if key not in Condition.model_fields:
            raise UsageError(thing, f"unknown key {key!r}", _hint(key, list(Condition.model_fields)))
    try:
        condition = Condition.model_validate(values)
    except ValidationError as error:
        raise _usage_error(thing, values, error) from None
    return _with_absolute_paths(thing, condition)


def _usage_error(thing: str, values: Mapping[str, str], error: ValidationError) -> UsageError:
    first = first_invalid(error)
    if not first.location:
        return UsageError(thing, first.cause, "See --condition in `forgetbench run --help`.")
    key = str(first.location[0])
    # One error for each type that the value could have had: together they name what is allowed.
    allowed = [value for each in error.errors() for value in re.findall(r"'([^']+)'", each["msg"])]
    if allowed:
        return UsageError(thing, f"{key} cannot be {values[key]!r}", _hint(values[key], allowed))
    return UsageError(
        thing,
        f"{key} cannot be {values[key]!r}: {first.cause.lower()}",
        "See --condition in `forgetbench run --help`.",
    )


def _hint(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known, f"One of {', '.join(known)}.", n=2, cutoff=0.5)


def _with_absolute_paths(thing: str, condition: Condition) -> Condition:
    """Return a condition that means the same from any folder, after it was tried.

    Raises:
        UsageError: Its recordings, listener or room cannot be had.
    """
    changes: dict[str, str] = {}
    if condition.recordings is not None:
        changes["recordings"] = str(Path.cwd() / condition.recordings)
    if condition.hearing_loss is not None and condition.hearing_loss not in STANDARD_AUDIOGRAMS:
        changes["hearing_loss"] = str(Path.cwd() / condition.hearing_loss)
    try:
        make_scene(condition, Path.cwd(), sampling_rate=_TRIED_AT_HZ, seed=0)
    except DataError as error:
        raise UsageError(thing, f"{error.thing} {error.cause}", error.way_out) from None
    return condition.model_copy(update=changes)


def in_conditions(selection: Selection, conditions: Sequence[Condition]) -> Selection:
    """Return a selection whose speech tasks are heard in these conditions in place of their own.

    Raises:
        UsageError: There is no speech task, or two conditions have the same name.
    """
    if not conditions:
        return selection
    labels = [condition.label for condition in conditions]
    if twice := sorted(label for label in set(labels) if labels.count(label) > 1):
        raise UsageError("--condition", f"{twice[0]!r} is given twice", "Give it once.")
    if not any(isinstance(definition.task, SpeechTask) for definition in selection.tasks):
        names = ", ".join(definition.task.name for definition in selection.tasks[:3])
        raise UsageError(
            "--condition", f"no selected task is heard ({names})", "Add a speech task, such as hearing-mini."
        )
    return Selection(
        tasks=tuple(_in_conditions(definition, conditions) for definition in selection.tasks),
        suite_rows=selection.suite_rows,
        suites=selection.suites,
    )


def _in_conditions(definition: Definition, conditions: Sequence[Condition]) -> Definition:
    if not isinstance(definition.task, SpeechTask):
        return definition
    task = definition.task.model_copy(update={"conditions": tuple(conditions)})
    return Definition(task=task, source=definition.source)

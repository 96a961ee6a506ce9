"""``--jailbreak-suffix``: harmful requests asked with something appended that is meant to break a refusal."""

from __future__ import annotations

from dataclasses import replace

from forgetbench.errors import UsageError
from forgetbench.schema.task import Refusal
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import Selection

_HARM = frozenset({"complied", "harmfulness"})


def with_suffix(selection: Selection, suffix: str) -> Selection:
    """Return a selection whose harmful requests end in a suffix, in place of their tasks' own.

    It is asked and not judged. Tasks of over-refusal stay as they are: there is nothing to break in them.

    Raises:
        UsageError: No selected task judges compliance.
    """
    if not suffix:
        return selection
    if not any(_is_harmful(definition) for definition in selection.tasks):
        names = ", ".join(definition.task.name for definition in selection.tasks[:3])
        raise UsageError(
            "--jailbreak-suffix",
            f"no selected task asks for harm and judges the answer ({names})",
            "Add one, such as those of safety-mini.",
        )
    return replace(selection, tasks=tuple(_ending_in(definition, suffix) for definition in selection.tasks))


def _is_harmful(definition: Definition) -> bool:
    return isinstance(definition.task, Refusal) and bool(_HARM & set(definition.task.metrics))


def _ending_in(definition: Definition, suffix: str) -> Definition:
    if not _is_harmful(definition):
        return definition
    title = f"{definition.task.title}, with a jailbreak"
    return replace(definition, task=definition.task.model_copy(update={"suffix": suffix, "title": title}))

"""Names that the shell completes: tasks, suites and recipes. Nothing is imported until Tab is pressed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAME = re.compile(r"^(?:name|lm_eval):[ ]*(\S+)", re.MULTILINE)
_SUITES = re.compile(r"^suites:[ ]*\[(.*)\]", re.MULTILINE)


def task_or_suite(incomplete: str) -> list[str]:
    """Return the suites and tasks that begin so; of a comma-separated list, the last name is completed."""
    texts = [*_task_files()]
    suites = {name.strip() for text in texts for found in _SUITES.findall(text) for name in found.split(",")}
    return _completed(incomplete, (*sorted(suites), *sorted(_NAME.findall(text)[0] for text in texts)))


def task(incomplete: str) -> list[str]:
    """Return the tasks that begin so."""
    return _completed(incomplete, sorted(_NAME.findall(text)[0] for text in _task_files()))


def _task_files() -> Iterator[str]:
    """Yield the task files unparsed: to check them all takes too long for a key press."""
    from forgetbench.paths import builtin_root
    from forgetbench.plugins import plugin_folder, plugins

    for folder in (builtin_root(), *map(plugin_folder, plugins("tasks"))):
        for path in sorted(folder.rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            if "lm_eval" not in path.parts and _NAME.search(text):
                yield text


def recipe(incomplete: str) -> list[str]:
    """Return the recipes that begin so."""
    from forgetbench.recipes.make import definitions

    return _completed(incomplete, sorted({definition.name for definition in definitions()}))


def _completed(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, begun = incomplete.rpartition(",")
    return list(_fitting(f"{before}{comma}", begun, names, taken=set(before.split(","))))


def _fitting(before: str, begun: str, names: Iterable[str], *, taken: set[str]) -> Iterator[str]:
    for name in names:
        if name.startswith(begun) and name not in taken:
            yield before + name

"""Names that the shell completes: tasks, suites and recipes. Nothing is imported until Tab is pressed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAMES = tuple(re.compile(rf"^{key}:[ ]*(\S+)", re.MULTILINE) for key in ("name", "lm_eval"))
"""An lm-eval task without a name of its own has lm-eval's."""
_SUITES = re.compile(r"^suites:[ ]*\[(.*)\]", re.MULTILINE)


def task_or_suite(incomplete: str) -> list[str]:
    """Return the suites and tasks that begin so; of a comma-separated list, the last name is completed."""
    texts = [*_task_files()]
    suites = {name.strip() for text in texts for found in _SUITES.findall(text) for name in found.split(",")}
    return _completed(incomplete, (*sorted(suites), *sorted(filter(None, map(_name, texts)))))


def task(incomplete: str) -> list[str]:
    """Return the tasks that begin so."""
    return _completed(incomplete, sorted(filter(None, map(_name, _task_files()))))


def _task_files() -> Iterator[str]:
    """Yield the task files unparsed: to check them all takes too long for a key press."""
    from forgetbench.paths import builtin_root
    from forgetbench.plugins import plugin_folder, plugins

    for folder in (builtin_root(), *map(plugin_folder, plugins("tasks"))):
        for path in sorted(folder.rglob("*.yaml")):
            if "lm_eval" not in path.parts:
                yield path.read_text(encoding="utf-8")


def _name(text: str) -> str | None:
    return next((found[1] for pattern in _NAMES if (found := pattern.search(text))), None)


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

"""Names that the shell completes: tasks, suites and recipes. Nothing is imported until Tab is pressed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

_NAMES = tuple(re.compile(rf"^{key}:[ ]*(\S+)", re.MULTILINE) for key in ("name", "lm_eval"))
"""An lm-eval task without a name of its own has lm-eval's."""
_SUITES = re.compile(r"^suites:[ ]*\[(.*)\]", re.MULTILINE)


def task_or_suite(context: typer.Context, incomplete: str) -> list[str]:
    """Return the suites and tasks that begin so; of a comma-separated list, the last name is completed."""
    texts = [*_task_files(context)]
    suites = {name.strip() for text in texts for found in _SUITES.findall(text) for name in found.split(",")}
    return _completed(incomplete, (*sorted(suites), *sorted(filter(None, map(_name, texts)))))


def assigned(context: typer.Context, incomplete: str) -> list[str]:
    """Return the suites and tasks that begin so, to be given a value."""
    return [f"{name}=" for name in task_or_suite(context, incomplete)]


def task(context: typer.Context, incomplete: str) -> list[str]:
    """Return the tasks that begin so."""
    return _completed(incomplete, sorted(filter(None, map(_name, _task_files(context)))))


def _task_files(context: typer.Context) -> Iterator[str]:
    """Yield the task files unparsed, those of ``--include-path`` too: to check them all takes too long."""
    from forgetbench.paths import builtin_root
    from forgetbench.plugins import plugin_folder, plugins

    included = [Path(path).expanduser() for path in context.params.get("include_path") or ()]
    for place in (builtin_root(), *map(plugin_folder, plugins("tasks")), *included):
        for path in [place] if place.is_file() else sorted(place.rglob("*.yaml")):
            if "lm_eval" not in path.parts:
                yield path.read_text(encoding="utf-8", errors="replace")


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

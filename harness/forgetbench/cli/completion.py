"""Names that the shell completes: tasks, suites and recipes. Nothing is imported until Tab is pressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def task_or_suite(incomplete: str) -> list[str]:
    """Return the suites and tasks that begin so; of a comma-separated list, the last name is completed."""
    from forgetbench.tasks.registry import load_registry

    registry = load_registry()
    return _completed(incomplete, (*registry.suites, *sorted(d.task.name for d in registry)))


def task(incomplete: str) -> list[str]:
    """Return the tasks that begin so."""
    from forgetbench.tasks.registry import load_registry

    return _completed(incomplete, sorted(definition.task.name for definition in load_registry()))


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

"""Finding tasks: the built-in ones, a user's own, by suite, name or glob."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import get_args

from forgetbench.errors import TaskError, did_you_mean
from forgetbench.metrics.margin import check_margin
from forgetbench.paths import builtin_root
from forgetbench.plugins import plugin_folder, plugins
from forgetbench.schema.task import Role, SuiteRow
from forgetbench.tasks.definition import Definition, read_definition

_BRACKETS_OR_DASH = re.compile(r"\[[^]]*\]|-")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What ``--tasks`` named."""

    tasks: tuple[Definition, ...]
    suite_rows: tuple[SuiteRow, ...]
    suites: tuple[str, ...]


class Registry:
    """All task definitions that this run can see, by name."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self._by_name: dict[str, Definition] = {}
        for definition in definitions:
            name = definition.task.name
            if name in self._by_name:
                other = self._by_name[name].source
                raise TaskError(
                    f"task {name}", f"is defined in {other} and {definition.source}", "Rename one."
                )
            self._by_name[name] = definition

    def __iter__(self) -> Iterator[Definition]:
        """Iterate over all definitions, in the order they were found."""
        return iter(self._by_name.values())

    @property
    def suites(self) -> tuple[str, ...]:
        """All suite names, sorted."""
        return tuple(sorted({s for d in self._by_name.values() for s in d.task.suites}))

    def get(self, name: str) -> Definition:
        """Return one definition.

        Raises:
            TaskError: No task has this name.
        """
        if name not in self._by_name:
            raise self._unknown(name)
        return self._by_name[name]

    def select(self, patterns: Sequence[str], *, roles: Mapping[str, str] | None = None) -> Selection:
        """Return the tasks that suites, names or globs name, each once, in the order of the patterns.

        Args:
            patterns: Suites, task names or globs.
            roles: Role by suite, name or glob, in place of the one in the task file.

        Raises:
            TaskError: A pattern matches nothing, or a suite row has a margin that no loss could exceed.
        """
        chosen: dict[str, Definition] = {}
        for pattern in patterns:
            matches = self._match(pattern)
            if not matches:
                raise self._unknown(pattern)
            chosen.update((d.task.name, d) for d in matches)
        for row, source in [(d.task, d.source) for d in chosen.values() if isinstance(d.task, SuiteRow)]:
            chosen.update((name, self.get(name)) for name in row.tasks if name not in chosen)
            metrics = [getattr(self.get(name).task, "primary", None) or "" for name in row.tasks]
            check_margin(f"{source}, key `margin`", row.margin, *metrics, error=TaskError)
        for pattern, role in (roles or {}).items():
            chosen.update(
                (d.task.name, _with_role(d, role)) for d in self._match_among(pattern, chosen.values())
            )
        return Selection(
            tasks=tuple(d for d in chosen.values() if not isinstance(d.task, SuiteRow)),
            suite_rows=tuple(d.task for d in chosen.values() if isinstance(d.task, SuiteRow)),
            suites=tuple(p for p in patterns if p in self.suites),
        )

    def _match(self, pattern: str) -> list[Definition]:
        glob = _BRACKETS_OR_DASH.sub(lambda found: "[-_]" if found[0] == "-" else found[0], pattern)
        return [
            d for d in self._by_name.values() if pattern in d.task.suites or fnmatchcase(d.task.name, glob)
        ]

    def _match_among(self, pattern: str, chosen: Iterable[Definition]) -> list[Definition]:
        names = {d.task.name for d in self._match(pattern)}
        if not names:
            raise self._unknown(pattern)
        return [d for d in chosen if d.task.name in names]

    def _unknown(self, name: str) -> TaskError:
        known = [*self.suites, *self._by_name]
        hint = did_you_mean(name, known, f"Suites: {', '.join(self.suites)}.", n=3, cutoff=0.5)
        return TaskError(
            f"task {name!r}", "no task or suite has this name", f"{hint} See `forgetbench tasks ls`."
        )


def _with_role(definition: Definition, role: str) -> Definition:
    if role not in get_args(Role):
        raise TaskError(f"role {role!r}", "is unknown", f"One of {', '.join(get_args(Role))}.")
    return Definition(task=definition.task.model_copy(update={"role": role}), source=definition.source)


@cache
def _builtin() -> tuple[Definition, ...]:
    return tuple(_read_folder(builtin_root()))


def load_registry(include_paths: Sequence[Path] = ()) -> Registry:
    """Return the built-in tasks, those of installed plug-ins, and those of ``include_paths``.

    Args:
        include_paths: Task files, or folders that are searched for ``*.yaml``.

    Raises:
        TaskError: A file is invalid, a path is missing, or two tasks share a name.
        ForgetbenchError: A plug-in's tasks cannot be loaded.
    """
    found = list(_builtin())
    for name in plugins("tasks"):
        found += _read_folder(plugin_folder(name))
    for path in include_paths:
        if path.is_dir():
            found += _read_folder(path)
        elif path.is_file():
            found.append(read_definition(path))
        else:
            raise TaskError(
                f"--include-path {path}", "does not exist", "Give a task file or a folder of them."
            )
    return Registry(found)


def is_installed(path: Path) -> bool:
    """Return whether a file is one that ships with forgetbench, or that an installed plug-in brings."""
    folders = (builtin_root(), *map(plugin_folder, plugins("tasks")))
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _read_folder(folder: Path) -> list[Definition]:
    return [read_definition(path) for path in sorted(folder.rglob("*.yaml")) if "lm_eval" not in path.parts]

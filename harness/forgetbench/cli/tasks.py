"""``forgetbench tasks``: what can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetbench.cli import options as o
from forgetbench.errors import TaskError

if TYPE_CHECKING:
    from forgetbench.tasks.definition import Definition
    from forgetbench.tasks.registry import Registry


def ls(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Suites, tasks or globs: [dim]hearing 'safety*'[/dim]. Without: all.", metavar="NAMES"
        ),
    ] = None,
    include_path: o.IncludePath = None,
    json: o.Json = False,
) -> None:
    """List the tasks by suite: role, capability, number of samples, size, access and licence."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.report.table import task_table
    from forgetbench.tasks.registry import load_registry

    registry = load_registry(include_path or [])
    wanted = o.names(names)
    found = list(registry)
    if wanted:
        selection = registry.select(wanted)
        chosen = {d.task.name for d in selection.tasks} | {row.name for row in selection.suite_rows}
        found = [definition for definition in found if definition.task.name in chosen]
    if json:
        write_json([definition.task.model_dump(mode="json") for definition in found])
    else:
        console().print(
            task_table([d.task for d in found], {d.task.name: _count(registry, d) for d in found})
        )


def show(
    name: Annotated[str, typer.Argument(help="A task: [dim]hearing-mini-clean[/dim].", metavar="NAME")],
    include_path: o.IncludePath = None,
    json: o.Json = False,
) -> None:
    """Show one definition, with every default filled in."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.report.escape import plain
    from forgetbench.tasks.registry import load_registry

    registry = load_registry(include_path or [])
    if name in registry.suites:
        tasks = ", ".join(sorted(d.task.name for d in registry if name in d.task.suites))
        raise TaskError(f"task {name!r}", "is a suite", f"Its tasks: {tasks}.")
    definition = registry.get(name)
    if json:
        write_json(definition.task.model_dump(mode="json"))
        return
    out = console()
    out.print(f"# {plain(str(definition.source))}", style="dim", soft_wrap=True)
    for line in _yaml(definition).splitlines():
        out.print(plain_indented(line), soft_wrap=True)


def validate(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Task files, or folders of them: [dim]tasks/mine.yaml[/dim].", metavar="PATHS"),
    ],
) -> None:
    """Check task files: the first error of each with file, line and key. Exit code 2 if there is one."""
    from forgetbench.cli.console import console
    from forgetbench.report.escape import plain
    from forgetbench.tasks.definition import read_definition

    out = console()
    wrong = 0
    files = _files(paths)
    for path in files:
        try:
            task = read_definition(path).task
        except TaskError as error:
            wrong += 1
            out.print(f"✗ {plain(str(error))}", soft_wrap=True)
        else:
            out.print(f"✓ {plain(str(path))}: {task.name} v{task.version}", style="dim", soft_wrap=True)
    if wrong:
        raise TaskError(f"{wrong} of {len(files)} task files", "invalid, see above")


def _count(registry: Registry, definition: Definition) -> int | None:
    """Return the number of samples, conditions included; None where only a download would tell."""
    from forgetbench.data.samples import count_samples
    from forgetbench.schema.task import DatasetTask, SuiteRow

    task = definition.task
    if isinstance(task, SuiteRow):
        counts = [_count(registry, registry.get(name)) for name in task.tasks]
        return None if None in counts else sum(count or 0 for count in counts)
    if isinstance(task, DatasetTask) and task.dataset.path is not None:
        return count_samples(task, definition.folder)
    return task.n


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not inside or not inside[0].exists():
            raise TaskError(str(path), "no task file here", "Name a YAML file or a folder of them.")
        found += [file for file in inside if "lm_eval" not in file.parts]
    return found


def _yaml(definition: Definition) -> str:
    import yaml

    content: dict[str, Any] = definition.task.model_dump(mode="json", exclude_none=True)
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def plain_indented(line: str) -> str:
    """Return a line for a terminal with its indentation kept."""
    from forgetbench.report.escape import plain

    return line[: len(line) - len(line.lstrip(" "))] + plain(line)

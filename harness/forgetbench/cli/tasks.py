"""``forgetbench tasks``: what can be measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetbench.cli import completion
from forgetbench.cli import options as o
from forgetbench.errors import ForgetbenchError, TaskError
from forgetbench.tasks.stub import Kind

if TYPE_CHECKING:
    from forgetbench.tasks.definition import Definition
    from forgetbench.tasks.registry import Registry


def ls(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Suites, tasks or globs: [dim]hearing 'safety*'[/dim]. Without: all.",
            metavar="NAMES",
            autocompletion=completion.task_or_suite,
        ),
    ] = None,
    include_path: o.IncludePath = None,
    json: o.Json = False,
) -> None:
    """List the tasks by suite: role, capability, number of samples, size, access and licence."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.report.task_table import WIDE, task_table
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
        out = console()
        if not out.is_terminal:
            out.width = max(out.width, WIDE)  # for grep, which needs whole names
        counts = {d.task.name: _count(registry, d) for d in found}
        out.print(task_table([d.task for d in found], counts, width=out.width))


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A task: [dim]commonsense_mini[/dim].", metavar="NAME", autocompletion=completion.task
        ),
    ],
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
    trust_remote_code: o.TrustRemoteCode = False,
    json: o.Json = False,
) -> None:
    """Check task files, and try three samples of each without a model. Exit code 2 if one is wrong.

    The first error of each is named with file, line and key. Where answers are texts, the reference is scored
    as an answer. Of a single file the samples are shown.
    """
    from forgetbench.cli.console import console, write_json

    o.go_offline(True)
    files = _files(paths)
    out = console(as_json=json)
    checks = []
    for path in files:
        checks.append(_check(path, trust_remote_code=trust_remote_code))
        for line in _check_lines(checks[-1], with_samples=len(files) == 1):
            out.print(line, style="" if line.startswith("✗") else "dim", soft_wrap=True)
    if json:
        write_json(checks)
    if wrong := sum(check["error"] is not None for check in checks):
        raise TaskError(
            f"{wrong} of {len(files)} task files",
            "invalid, see above",
            "See `forgetbench schema task`.",
        )


def new(
    name: Annotated[
        str, typer.Argument(help="Of the task, and of its files: [dim]my-task[/dim].", metavar="NAME")
    ],
    kind: Annotated[
        Kind,
        o.option("--kind", help="What is measured.", rich_help_panel=o.WHAT),
    ] = "generate",
    to: Annotated[
        Path, o.option("--to", help="Where the files are written.", rich_help_panel=o.WHERE, metavar="DIR")
    ] = Path(),
    json: o.Json = False,
) -> None:
    """Write a task of your own: a valid definition with three samples, to be edited."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.report.escape import plain
    from forgetbench.tasks.registry import load_registry
    from forgetbench.tasks.stub import write_stub

    registry = load_registry()
    if name in {definition.task.name for definition in registry} or name in registry.suites:
        raise TaskError(f"task {name!r}", "is the name of a task or suite already", "Choose another.")
    definition, data = write_stub(name, kind, to)
    if json:
        write_json({"definition": str(definition), "data": str(data)})
        return
    out = console()
    out.print(plain(f"Wrote {definition} and {data}. Put your own samples in, then:"), soft_wrap=True)
    out.print(f"  forgetbench tasks validate {plain(str(definition))}", soft_wrap=True)
    out.print(
        f"  forgetbench run --model MODEL --include-path {plain(str(definition))} --tasks {name}",
        soft_wrap=True,
    )


def _check(path: Path, *, trust_remote_code: bool) -> dict[str, Any]:
    """Return what reading and trying a task file found, as JSON."""
    from forgetbench.engine.trial import try_task
    from forgetbench.tasks.definition import read_definition

    found: dict[str, Any] = {"path": str(path), "name": None, "version": None, "error": None}
    try:
        definition = read_definition(path)
        found |= {"name": definition.task.name, "version": definition.task.version}
        trial = try_task(definition, trust_remote_code=trust_remote_code)
    except ForgetbenchError as error:
        return found | {"error": str(error)}
    samples = [
        {"id": s.id, "condition": s.condition_label, "input": s.input, "reference": s.reference}
        for s in trial.samples
    ]
    return found | {"n": trial.n_available, "note": trial.note, "samples": samples}


def _check_lines(check: dict[str, Any], *, with_samples: bool) -> Iterator[str]:
    from forgetbench.report.escape import plain

    if check["error"] is not None:
        yield f"✗ {plain(check['error'])}"
        return
    tried = f"{len(check['samples'])} tried" if check["samples"] else check["note"]
    yield f"✓ {plain(check['path'])}: {check['name']} v{check['version']}, {tried}"
    for sample in check["samples"] if with_samples else ():
        label = " ".join(filter(None, (sample["id"], sample["condition"])))
        reference = f" → {plain(sample['reference'], limit=60)}" if sample["reference"] else ""
        yield f"  {plain(label)}: {plain(sample['input'], limit=90)}{reference}"


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

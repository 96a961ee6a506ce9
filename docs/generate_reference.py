"""Pages that are made of the code when the site is built: the start page of README, and the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, get_args

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")
INSIDE = re.compile(r"\]\(docs/([^)]+)\)")
IN_README = re.compile(r"\[([^\]]+)\]\((?!https?://|#|[\w-]+\.(?:md|png)|images/)([^)]+)\)")
INDEXED = re.compile(r"\b([A-Z])\[(\w[−\w]*)\]\[(\w)\]")
PYTHON = {
    "forgetbench.evaluate": "forgetbench.api.evaluate.evaluate",
    "forgetbench.compare": "forgetbench.api.stored.compare",
    "forgetbench.load_results": "forgetbench.api.stored.load_results",
    "forgetbench.PairResult": "forgetbench.api.pair_result.PairResult",
    "forgetbench.Results": "forgetbench.api.pair_result.Results",
    "forgetbench.ForgettingCallback": "forgetbench.api.callback.ForgettingCallback",
    "forgetbench.Progress": "forgetbench.engine.progress.Progress",
    "forgetbench.metrics.plugin.TextMetric": "forgetbench.metrics.plugin.TextMetric",
    "forgetbench.schema.metric.MetricSpec": "forgetbench.schema.metric.MetricSpec",
    "forgetbench.models.factory": "forgetbench.models.factory",
    "forgetbench.models.interface": "forgetbench.models.interface",
    "forgetbench.errors": "forgetbench.errors",
}
"""What is documented, and where it is defined."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie in no file."""
    pages = {
        "index.md": start_page((ROOT / "README.md").read_text(encoding="utf-8")),
        "reference/cli.md": cli_page(),
        "reference/tasks.md": tasks_page(),
        "reference/documents.md": documents_page(),
        "reference/python.md": python_page(),
    }
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name files outside the site instead of linking to them, and keep R[i][j] from being read as a link."""
    inside = markdown.replace("../README.md", "index.md")
    named = OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2]}`)", inside)
    return INDEXED.sub(r"\1\\[\2\\]\\[\3\\]", named)


def start_page(readme: str) -> str:
    """Return README as a page of the site."""
    inside = INSIDE.sub(r"](\1)", readme)
    return IN_README.sub(lambda found: f"{found[1]} (`{found[2]}`)", inside)


def cli_page() -> str:
    """Return every command with its arguments and options."""
    from typer.main import get_command

    from forgetbench.cli.app import app

    parts = ["# Command line\n", "Each option can also be set as `FORGETBENCH_<OPTION>`.\n"]
    for path, command in commands(get_command(app), ("forgetbench",)):
        parts += command_section(" ".join(path), command)
    return "\n".join(parts)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below a group, with the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, child in below.items():
        yield from commands(child, (*path, name))


def command_section(path: str, command: Any) -> list[str]:
    """Return one command: what it does, its parameters, its examples."""
    lines = [f"## {path}\n", f"{plain(command.help or '')}\n"]
    rows = [parameter_row(parameter) for parameter in command.params if "--help" not in parameter.opts]
    if rows:
        lines += ["| | | default |", "|---|---|---|", *rows, ""]
    examples = [line for line in plain(command.epilog or "").splitlines() if line.startswith("forgetbench ")]
    return [*lines, "```sh", *examples, "```\n"] if examples else lines


def parameter_row(parameter: Any) -> str:
    """Return one argument or option as a row of a table."""
    names = [*parameter.opts, *parameter.secondary_opts]
    is_option = names[0].startswith("-")
    choices = "|".join(map(str, get_args(parameter.type_descriptor.annotation)))
    metavar = parameter.metavar or choices or ("" if is_option else parameter.name.upper())
    shown = ", ".join(names) + f" {metavar}" if is_option else metavar
    default = parameter.default
    said = "required" if parameter.required else code(default)
    return f"| {code(shown.strip())} | {cell(plain(parameter.help or ''))} | {said} |"


def tasks_page() -> str:
    """Return the keys of a task file, by kind."""
    from forgetbench.cli.schema import schemas

    intro = "One YAML file each, strictly validated: an unknown key is an error that names file and line.\n"
    return "\n".join(["# Task files\n", intro, *models(schemas()["task"], "task")])


def documents_page() -> str:
    """Return every other document that is written or read."""
    from forgetbench.cli.schema import schemas

    parts = ["# Documents\n", "As JSON Schema: `forgetbench schema NAME`.\n"]
    for name, schema in schemas().items():
        if name != "task":
            parts += [f"## {name}\n", *models(schema, name, level=3)]
    return "\n".join(parts)


def models(schema: dict[str, Any], document: str, level: int = 2) -> Iterator[str]:
    """Yield a table for each object of a JSON Schema, the document itself first."""
    own = {schema["title"]: schema} if "properties" in schema else {}
    for name, model in (own | schema.get("$defs", {})).items():
        if "properties" not in model:
            continue
        yield f"{'#' * level} {name} {{ #{document}-{name.lower()} }}\n"
        yield f"{model.get('description', '')}\n"
        yield "| key | type | default | |\n|---|---|---|---|"
        for key, field in model["properties"].items():
            required = key in model.get("required", [])
            default = "required" if required else code(field.get("default"))
            said = cell(field.get("description", ""))
            yield f"| `{key}` | {type_of(field, document)} | {default} | {said} |"
        yield ""


def type_of(field: dict[str, Any], document: str) -> str:
    """Return the type of a field in words, with a link to an object's table."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{document}-{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            kinds = [type_of(option, document) for option in field[several]]
            return " or ".join(kind for kind in kinds if kind != "null")
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {type_of(items, document)}" if items else "list"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"by name: {type_of(field['additionalProperties'], document)}"
    return str(field.get("type", "any"))


def python_page() -> str:
    """Return the Python API, and the contracts of plug-ins, for mkdocstrings to fill in."""
    intro = (
        "`forgetbench.evaluate`, `compare`, `load_results` and `ForgettingCallback` are loaded when used.\n"
    )
    asked = (f"::: {place}\n    options:\n      heading: {name}\n" for name, place in PYTHON.items())
    return "\n".join(["# Python\n", intro, *asked])


def plain(text: str) -> str:
    """Return help without the marks of the terminal's colours."""
    from rich.text import Text

    return Text.from_markup(text).plain


def code(value: Any) -> str:
    """Return a value as code in a cell of a table; what is nothing is left empty."""
    if value in (None, False, "", (), [], {}):
        return ""
    return f"<code>{escape(str(value)).replace('|', '&#124;')}</code>"


def cell(text: str) -> str:
    """Return text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

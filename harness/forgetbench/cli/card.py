"""``forgetbench card``: a result in a model's own files on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetbench.cli import options as o

if TYPE_CHECKING:
    from forgetbench.schema.run import RunDocument

EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench card results/my-lora/1f2e…/9c3a…/77ab… --to ./my-lora\n\n"
    "Run it again after another run: what it wrote before is replaced, the rest of the card keeps its bytes."
)


def card(
    result: Annotated[Path, typer.Argument(help="The directory that run printed.", metavar="RESULT")],
    to: Annotated[
        Path | None,
        o.option(
            help="Folder of the model, with or without README.md. Default: that of the checkpoint, if it is "
            "here.",
            rich_help_panel=o.WHERE,
            metavar="DIR",
        ),
    ] = None,
    json: o.Json = False,
) -> None:
    """Write a result into a model card: model-index, a section, and .eval_results."""
    from forgetbench.atomic import write_atomically
    from forgetbench.cli.console import console, write_json
    from forgetbench.engine.results import read_result
    from forgetbench.errors import DataError, UsageError
    from forgetbench.report.escape import plain
    from forgetbench.report.model_card import EVAL_RESULTS_FILE, eval_results, updated_card

    if to is not None and not to.is_dir():
        raise UsageError(f"--to {to}", "is no folder", "Give the folder of the model.")
    found = read_result(result)
    to = to or _own_folder(found.checkpoint)
    readme = to / "README.md"
    try:
        present = readme.read_bytes().decode() if readme.exists() else None
        text = updated_card(present, found)
    except UnicodeDecodeError:
        raise DataError(str(readme), "is not UTF-8 text", "Save it as UTF-8.") from None
    except DataError as error:
        raise DataError(f"{readme}, {error.thing}", error.cause, error.way_out) from None
    hub = eval_results(found)
    out = console(as_json=json)
    written = [readme]
    write_atomically(readme, text.encode())
    out.print(plain(str(readme)), soft_wrap=True)
    if hub is not None:
        write_atomically(to / EVAL_RESULTS_FILE, hub.encode())
        written.append(to / EVAL_RESULTS_FILE)
        out.print(plain(str(written[-1])), soft_wrap=True)
    if json:
        write_json({"files": [str(path) for path in written]})


def _own_folder(document: RunDocument) -> Path:
    """Return the folder of the checkpoint that a run measured, as its command named it from here.

    Raises:
        UsageError: It is not here, or has changed.
    """
    from forgetbench.errors import ForgetbenchError, UsageError
    from forgetbench.models.checkpoint import resolve

    fingerprint = document.checkpoint.fingerprint
    command = document.measured.get("command")
    for word in command if isinstance(command, list) else ():
        try:
            folder = Path(str(word).removeprefix("--model="))
            if folder.is_dir() and resolve(str(folder), offline=True).fingerprint == fingerprint:
                return folder
        except (ForgetbenchError, OSError, ValueError):
            continue
    raise UsageError(
        "--to",
        f"is needed: no folder of {document.checkpoint.name} as it was measured is known here",
        "Give the folder of the model: --to ./my-lora.",
    )

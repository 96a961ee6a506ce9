"""The ``forgetbench`` commands that people are shown: in README, in the pages, in the help itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

from rich.text import Text
from typer.main import get_command

from forgetbench.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "examples/**/*.md", "tasks/**/*.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(\w*)\n(.*?)^```|(?<=\n\n)((?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
"""A fenced block, or one that is indented."""
_TYPED = re.compile(r"(forgetbench|python|pip|cd|[A-Z]+=\S+) ")
_INLINE = re.compile(r"`(forgetbench\s[^`]+)`")
_SEPARATORS = re.compile(r"\s(?:&&|\|\||\||;|&)\s")


class Shown(NamedTuple):
    """A command, as it is shown."""

    place: str
    line: str

    @property
    def words(self) -> list[str]:
        """What follows ``forgetbench``; redirections and comments left out."""
        words = shlex.split(re.sub(r"\s\d?>>?\s*\S+", "", self.line), comments=True)
        return words[1:]


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield language and text of every code block; what is indented is ``sh`` if it begins with a command."""
    for language, fenced, indented in CODE.findall(page.read_text(encoding="utf-8")):
        is_typed = _TYPED.match(indented.strip())
        yield ("sh" if is_typed else language), fenced or dedent(indented)


def shown_in_blocks() -> Iterator[Shown]:
    """Yield every command line of a code block that calls forgetbench."""
    for page in PAGES:
        for _, block in blocks(page):
            for line in block.replace("\\\n", " ").splitlines():
                for part in _SEPARATORS.split(re.sub(r"\s#\s.*", "", line)):
                    command = re.sub(r"^\$?\s*([A-Z_]+=\S*\s+)*", "", part.strip())
                    if command.startswith("forgetbench "):
                        yield Shown(str(page.relative_to(ROOT)), command)


def shown_in_sentences() -> Iterator[Shown]:
    """Yield every command that a sentence quotes: often without what it also needs."""
    for page in PAGES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for quoted in _INLINE.findall(text):
            yield Shown(str(page.relative_to(ROOT)), " ".join(quoted.split()))


def shown_in_tables() -> Iterator[Shown]:
    """Yield the commands of docs/coverage.md, which are short for ``forgetbench …`` and complete."""
    paths = {path[0] for path, _ in leaves(get_command(app))}
    for quoted in re.findall(r"`([a-z]+ [^`]+)`", (ROOT / "docs" / "coverage.md").read_text("utf-8")):
        if quoted.split()[0] in paths and " --" in quoted:
            yield Shown("docs/coverage.md", f"forgetbench {quoted}")


def shown_in_help() -> Iterator[Shown]:
    """Yield the examples that each command's help ends with."""
    for path, command in leaves(get_command(app)):
        for line in Text.from_markup(command.epilog or "").plain.splitlines():
            for part in _SEPARATORS.split(line):
                if part.startswith("forgetbench "):
                    yield Shown(f"forgetbench {' '.join(path)} --help", part)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below a group, with its words."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, child in below.items():
        yield from leaves(child, (*path, name))

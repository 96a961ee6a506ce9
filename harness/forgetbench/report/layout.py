"""What every table on a console is laid out with: rules, width, bullets, fingerprints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import Box
from rich.console import ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetbench.report.escape import plain
from forgetbench.report.signs import Sign
from forgetbench.schema.run import CheckpointInfo

RULED = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
RULED_ASCII = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
WIDE = 100
"""From this many columns on, a row of the table is one line."""


@dataclass(frozen=True)
class Face:
    """What a console can show."""

    wide: bool
    ascii: bool

    @classmethod
    def of(cls, options: ConsoleOptions) -> Face:
        """Return that of a console."""
        return cls(wide=options.max_width >= WIDE, ascii=options.ascii_only)

    def sign(self, sign: Sign) -> str:
        """Return a sign in characters that the console has."""
        return sign.ascii if self.ascii else sign.unicode


def ruled_grid(*headers: str, right: set[str], box: Box = RULED) -> Table:
    """Return an empty table with a rule under its headers; the columns named in ``right`` are numbers."""
    table = Table(
        box=box, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", border_style="dim"
    )
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    return table


def fingerprint(info: CheckpointInfo) -> tuple[str, str]:
    """Return the beginning of a checkpoint's fingerprint with its style, to stand behind its name."""
    return f" {plain(info.fingerprint)[:12]}", "dim"


def bullets(title: str, lines: Sequence[str], style: str) -> Iterator[RenderableType]:
    """Show lines under a title; nothing without any."""
    if not lines:
        return
    yield Text()
    yield Text(title, style=f"bold {style}")
    for line in lines:
        yield Padding(Text(plain(line)), (0, 0, 0, 2), expand=False)

"""Progress: bars with rate and time left in a terminal or a notebook, plain lines on stderr in a log."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from forgetbench.redact import redact
from forgetbench.report.escape import plain

LOG_S = 30.0
"""How often a log is told how a stretch goes."""


class RateColumn(ProgressColumn):
    """Samples per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")


class Bars:
    """Shows what the engine tells it; a context manager."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False)
        self._live = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task = self._bars.add_task("", visible=False)
        self._logged = time.monotonic()

    def __enter__(self) -> Bars:
        """Start to draw."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()

    def begin(self, label: str, total: int, done: int) -> None:
        """Show a new stretch of work."""
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(plain(label), total=total, completed=done)
        if not self._live:
            cached = f", {done} cached" if done else ""
            sys.stderr.write(f"{plain(label)}: {total} samples{cached}\n")

    def advance(self, n: int) -> None:
        """Move the bar."""
        self._bars.advance(self._task, n)

    def end(self) -> None:
        """Hide the bar."""
        self._bars.update(self._task, visible=False)

    def note(self, state: str) -> None:
        """Show how it goes in place of the label; in a log now and then, with rate and time left."""
        self._bars.update(self._task, description=plain(state))
        if self._live or time.monotonic() - self._logged < LOG_S:
            return
        self._logged = time.monotonic()
        task = self._bars.tasks[0]
        left = f", {task.time_remaining:.0f} s left" if task.time_remaining is not None else ""
        sys.stderr.write(f"{plain(state)}, {task.speed or 0.0:.1f} samples/s{left}\n")

    def say(self, message: str) -> None:
        """Write a line above the bar."""
        self._bars.console.print(Text(plain(redact(message)), style="dim"))

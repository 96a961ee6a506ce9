"""The full report of an entry, beside its page: made where its sample records are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forgetbench.engine.results import read_result
from forgetbench.errors import ForgetbenchError
from forgetbench.leaderboard.entries import Entry
from forgetbench.report.html.page import html_report
from forgetbench.report.html.samples import Bounds

BOUNDS = Bounds(samples=1_000, audio_bytes=0)
"""Of a site with many entries; who wants to listen makes the report of one result."""
MOST_BYTES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class EntryReport:
    """A file beside the entry's page, or why there is none."""

    file: str = ""
    missing: str = ""


def write_report(entry: Entry, folder: Path) -> EntryReport:
    """Write the report of an entry into the folder of its page, unless its samples are not there.

    A board may hold documents alone; a report without samples would say no more than the entry's page.
    """
    if not any(task.samples is not None for task in entry.run.tasks):
        return EntryReport(missing="its sample records are not part of the board")
    try:
        page = html_report([read_result(entry.directory)], bounds=BOUNDS)
    except ForgetbenchError:  # its message names paths of whoever builds the site
        return EntryReport(missing="its sample records are missing or damaged")
    content = page.encode("utf-8")
    if len(content) > MOST_BYTES:
        return EntryReport(missing=f"it would hold more than {MOST_BYTES // 1_000_000} MB")
    name = f"{entry.key}.report.html"
    (folder / name).write_bytes(content)
    return EntryReport(file=name)

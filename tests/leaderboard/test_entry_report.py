"""The full report beside an entry's page: there where the samples are, and said to be missing where not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from board_results import HOSTILE_ROLES, write_board
from board_runs import Made
from browser import Open
from forgetbench.leaderboard import entry_report
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.site import BuiltSite, build_site


def build(ran: Made, results: Path, output: Path) -> BuiltSite:
    board = read_board(str(ran.board))
    return build_site(board, columns_of(board, [ran.tasks]), results=results, output=output)


def pages_of(site: BuiltSite) -> tuple[Path, Path]:
    """The page of the only entry, and where its report is or would be."""
    (entry,) = site.entries
    folder = site.directory / "entries"
    return folder / f"{entry.key}.html", folder / f"{entry.key}.report.html"


def test_the_entry_links_to_a_report_with_the_runs_own_samples(
    ran: Made, tmp_path: Path, open_page: Open
) -> None:
    page, report = pages_of(build(ran, ran.root / "results", tmp_path / "site"))
    assert f'<a href="{report.name}">' in page.read_text()
    opened = open_page(report)
    opened.wait_for_selector("[data-list] .card")
    assert opened.locator("table.forest tbody tr").count() == 4
    assert opened.locator("audio").count() == 0


def test_documents_alone_have_no_report_and_the_page_says_so(
    board_result: Callable[..., Path], tmp_path: Path
) -> None:
    board_result("lora", dict.fromkeys(HOSTILE_ROLES, 0.01))
    path, tasks = write_board(tmp_path, HOSTILE_ROLES)
    board = read_board(str(path))
    columns = columns_of(board, [tasks])
    site = build_site(board, columns, results=tmp_path / "results", output=tmp_path / "site")
    page, report = pages_of(site)
    assert "none: its sample records are not part of the board" in page.read_text()
    assert not report.exists()


def test_damaged_samples_and_too_many_of_them_are_said_without_a_path(
    ran: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Path(shutil.copytree(ran.root / "results", tmp_path / "results"))
    monkeypatch.setattr(entry_report, "MOST_BYTES", 1_000)
    page, report = pages_of(build(ran, results, tmp_path / "site"))
    assert "none: it would hold more than" in page.read_text() and not report.exists()
    next(results.rglob("heard.parquet")).write_bytes(b"no parquet")
    page, report = pages_of(build(ran, results, tmp_path / "site"))
    assert "none: its sample records are missing or damaged" in page.read_text() and not report.exists()
    assert str(tmp_path) not in page.read_text()

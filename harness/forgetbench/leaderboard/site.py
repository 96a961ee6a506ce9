"""The static site of a board: pages, JSON and CSV, from results alone."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench import __version__
from forgetbench.errors import UsageError
from forgetbench.leaderboard import plots
from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.entries import Entry, LeftOut, read_entries, setting_words
from forgetbench.leaderboard.entry_report import write_report
from forgetbench.leaderboard.export import board_csv, board_json
from forgetbench.leaderboard.pages import entry_context
from forgetbench.leaderboard.view import board_data, choices, entry_view, headers, only_base
from forgetbench.report.escape import plain
from forgetbench.schema.board import Board, BoardSettings

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN_FIRST = 20
"""Entries on the page when it opens; a button shows the others."""
MARKER = "board.json"
"""The file by which a folder is known as a site that may be replaced."""
LONGEST_TEXT = 600


@dataclass(frozen=True, kw_only=True)
class BuiltSite:
    """What was built."""

    directory: Path
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]


def build_site(board: Board, columns: Sequence[Column], *, results: Path, output: Path) -> BuiltSite:
    """Build the site of a board and put it in the place of an earlier one.

    Args:
        board: The board.
        columns: Its columns (:func:`~forgetbench.leaderboard.definition.columns_of`).
        results: Folder below which the results lie.
        output: Folder of the site: new, empty, or an earlier site.

    Raises:
        UsageError: The output holds something else, or there are no results.
        DataError: A document is damaged or there twice; nothing is written then.
    """
    check_replaceable(output)
    entries, left_out = read_entries(results, board, columns)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as temporary:
        site = Path(temporary) / "site"
        _write(site, board, columns, entries)
        put_in_place(site, output)
    return BuiltSite(directory=output, entries=tuple(entries), left_out=tuple(left_out))


def check_replaceable(output: Path) -> None:
    """Make sure that a folder can be replaced by a site.

    Raises:
        UsageError: It is a file, or holds something that is no site.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file()):
        raise UsageError(str(output), "holds something that is no board", "Give a new or an empty folder.")


def put_in_place(site: Path, output: Path) -> None:
    """Move a finished site to where readers look, and an earlier one beside it, to be removed.

    At any moment the place holds a whole site, or for an instant none.
    """
    if output.exists():
        output.rename(site.with_name("earlier"))
    site.rename(output)


def _write(site: Path, board: Board, columns: Sequence[Column], entries: Sequence[Entry]) -> None:
    (site / "entries").mkdir(parents=True)
    views = [entry_view(entry, columns) for entry in entries]
    templates, shown = _templates(), headers(columns, entries, limit=board.limit)
    index = templates.get_template("index.html.j2").render(
        board=board,
        settings=_unusual(board.settings),
        columns=columns,
        base=only_base(entries),
        headers=shown,
        entries=views,
        first=views[:SHOWN_FIRST],
        rest=views[SHOWN_FIRST:],
        choices=choices(views),
        data=embedded_json(board_data(views, shown, sort=board.sort)),
        plots=[plot for plot in (plots.pareto(entries, columns), plots.curves(entries)) if plot is not None],
        size=(plots.WIDTH, plots.HEIGHT, plots.LEFT, plots.RIGHT, plots.TOP, plots.BOTTOM),
        **_page(with_script=True),
    )
    (site / "index.html").write_text(index, encoding="utf-8")
    page = templates.get_template("entry.html.j2")
    for entry, view in zip(entries, views, strict=True):
        text = page.render(
            board=board,
            entry=entry,
            view=view,
            report=write_report(entry, site / "entries"),
            **entry_context(entry, board, columns),
            **_page(),
        )
        (site / "entries" / f"{entry.key}.html").write_text(text, encoding="utf-8")
    (site / MARKER).write_text(board_json(board, columns, entries, views), encoding="utf-8")
    (site / "board.csv").write_text(board_csv(columns, entries, views), encoding="utf-8")
    (site / ".nojekyll").write_bytes(b"")


def _unusual(settings: BoardSettings) -> str:
    """Return a board's settings in words, without those that runs have by default."""
    usual = dict(BoardSettings())
    return ", ".join(f"{name} {setting_words(name, v)}" for name, v in settings if v != usual[name])


@cache
def _asset(name: str) -> str:
    return files("forgetbench.leaderboard").joinpath("templates", name).read_text(encoding="utf-8")


def _page(*, with_script: bool = False) -> dict[str, Any]:
    """Return style and script of a page, and the policy that lets nothing else run or load."""
    from markupsafe import Markup

    style, no_script = _asset("board.css"), ".rest[hidden]{display:table-row-group}"
    script = _asset("board.js") if with_script else ""
    styles = f"'{_sha256(style)}'" + (f" '{_sha256(no_script)}'" if with_script else "")
    scripts = f"'{_sha256(script)}'" if with_script else "'none'"
    policy = (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; base-uri 'none'; form-action 'none'"
    )
    return {
        "policy": Markup(policy),
        "style": Markup(style),
        "no_script": Markup(no_script),
        "script": Markup(script),
        "version": __version__,
    }


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded_json(value: Any) -> Any:
    """Return JSON that no text in it can end or turn into markup."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


@cache
def _templates() -> Environment:
    """Templates that escape every text, and clean it of what a browser or terminal would act upon."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def clean(value: Any) -> Any:
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return plain(value, limit=LONGEST_TEXT) if is_text else value

    return Environment(
        loader=PackageLoader("forgetbench.leaderboard", "templates"),
        autoescape=True,
        finalize=clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

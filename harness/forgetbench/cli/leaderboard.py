"""``forgetbench leaderboard``: build, verify, submit, publish and look at boards of deltas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetbench.cli import options as o

if TYPE_CHECKING:
    from forgetbench.leaderboard.verify import Check, Verified

BUILD_EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench leaderboard build assistant-mini --results results/ --output site/\n\n"
    "A board is a YAML file, or one of the built-in ones by name; forgetbench schema board has its keys."
)
VERIFY_EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench leaderboard verify my-lora.tar.gz --board assistant-mini --results board/results/\n\n"
    "forgetbench leaderboard verify results/ --board assistant-mini --record\n\n"
    "Without the weights a forgery that is consistent cannot be seen: only --rerun rules it out."
)
SUBMIT_EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench leaderboard submit results/my-lora/1f2e…/9c3a…/77ab… --submitter 'A. Person' "
    "--output my-lora.tar.gz"
)
PUBLISH_EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench leaderboard publish site/ --to /var/www/board\n\n"
    "forgetbench leaderboard publish site/ --to gh-pages\n\n"
    "forgetbench leaderboard publish site/ --to hf://spaces/my-org/forgetting"
)
Board = Annotated[str, typer.Argument(help="YAML file, or name of a built-in board.", metavar="BOARD")]
Results = Annotated[
    Path, o.option(help="Folder that holds the results.", rich_help_panel=o.WHAT, metavar="DIR")
]
Site = Annotated[Path, typer.Argument(help="What build wrote.", metavar="SITE")]


def build(
    board: Board,
    results: Results = Path("results"),
    output: Annotated[
        Path, o.option(help="Folder of the site.", rich_help_panel=o.WHERE, metavar="SITE")
    ] = Path("site"),
    include_path: o.IncludePath = None,
    json: o.Json = False,
) -> None:
    """Build the static site of a board: HTML, JSON and CSV, with a page for each entry."""
    from forgetbench.cli.console import console, warn, write_json
    from forgetbench.leaderboard.definition import columns_of, read_board
    from forgetbench.leaderboard.site import build_site
    from forgetbench.report.escape import plain

    found = read_board(board)
    built = build_site(found, columns_of(found, include_path or []), results=results, output=output)
    by_reason: dict[str, list[Path]] = {}
    for left_out in built.left_out:
        by_reason.setdefault(left_out.reason, []).append(left_out.directory)
    for reason, directories in by_reason.items():
        first, n_others = directories[0], len(directories) - 1
        named = f"{first} and {n_others} more are" if n_others else f"{first} is"
        warn(f"{named} not on the board: {reason}")
    n = len(built.entries)
    line = f"{n} {'entry' if n == 1 else 'entries'}: {built.directory / 'index.html'}"
    console(as_json=json).print(plain(line), soft_wrap=True)
    if json:
        write_json(
            {
                "site": str(built.directory),
                "entries": [
                    {"key": e.key, "rank": e.rank, "directory": str(e.directory)} for e in built.entries
                ],
                "left_out": [{"directory": str(x.directory), "reason": x.reason} for x in built.left_out],
            }
        )


def verify(
    submissions: Annotated[
        list[Path],
        typer.Argument(help="Folder, or .tar.gz or .zip, with results in it.", metavar="SUBMISSION..."),
    ],
    board: Annotated[
        str | None,
        o.option(help="Board that they are for.", rich_help_panel=o.WHAT, metavar="BOARD"),
    ] = None,
    results: Annotated[
        Path | None,
        o.option(
            help="Results of the present board: nothing may vanish, be there twice or change silently.",
            rich_help_panel=o.WHAT,
            metavar="DIR",
        ),
    ] = None,
    rerun: Annotated[
        Path | None,
        o.option(
            help="Result of the same pair that you ran yourself: the level becomes re-run.",
            rich_help_panel=o.HOW,
            metavar="RESULT",
        ),
    ] = None,
    record: Annotated[
        bool,
        o.option("--record", help="Write the level beside each result, for build.", rich_help_panel=o.WHERE),
    ] = False,
    include_path: o.IncludePath = None,
    json: o.Json = False,
) -> None:
    """Compute every number again from the sample records, and say what does not follow."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.errors import UsageError
    from forgetbench.leaderboard.unpack import opened, result_directories
    from forgetbench.leaderboard.verify import record as write_record
    from forgetbench.leaderboard.verify import relative
    from forgetbench.leaderboard.verify import verify as verify_result

    if record and any(not path.is_dir() for path in submissions):
        raise UsageError("--record", "is for folders, not for archives", "Unpack it below --results first.")
    check = _check(board, results, rerun, include_path or [], is_own=record)
    out = console(as_json=json)
    found: list[Verified] = []
    for path in submissions:
        with opened(path) as folder:
            for directory in result_directories(folder):
                verified = verify_result(directory, check)
                if record and not verified.problems:
                    write_record(verified)
                found.append(relative(verified, folder))
                _show(out, path, found[-1])
    if json:
        write_json([_as_json(verified) for verified in found])
    raise typer.Exit(1 if any(verified.problems for verified in found) else 0)


def submit(
    result: Annotated[Path, typer.Argument(help="The directory that run printed.", metavar="RESULT")],
    submitter: Annotated[
        str, o.option(help="Who submits it, as the board will say.", rich_help_panel=o.WHAT, metavar="NAME")
    ],
    output: Annotated[
        Path,
        o.option(
            help="Folder in whose layout it is put, or a [dim].tar.gz[/dim] file.",
            rich_help_panel=o.WHERE,
            metavar="PATH",
        ),
    ] = Path("submissions"),
    method: Annotated[
        str | None,
        o.option(help="How it was trained, where its files do not say.", rich_help_panel=o.WHAT),
    ] = None,
    steps: Annotated[
        int | None,
        o.option(min=0, help="Training steps, where its files do not say.", rich_help_panel=o.WHAT),
    ] = None,
    trained_parameters: Annotated[
        int | None,
        o.option(min=0, help="How many were trained, where its files do not say.", rich_help_panel=o.WHAT),
    ] = None,
    hardware: Annotated[str, o.option(help="What it ran on.", rich_help_panel=o.WHAT)] = "",
    url: Annotated[
        str | None, o.option(help="Where weights or paper are, https.", rich_help_panel=o.WHAT)
    ] = None,
    note: Annotated[str, o.option(help="One line for the entry's page.", rich_help_panel=o.WHAT)] = "",
    reason: Annotated[
        str, o.option(help="Why numbers of an earlier entry change.", rich_help_panel=o.WHAT)
    ] = "",
    json: o.Json = False,
) -> None:
    """Pack a result as a submission; nothing is sent anywhere."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.engine.results import read_result
    from forgetbench.leaderboard.entries import unlike_settings
    from forgetbench.leaderboard.submission import pack
    from forgetbench.report.escape import plain
    from forgetbench.schema.board import BoardSettings

    said = {
        "submitter": submitter,
        "method": method,
        "steps": steps,
        "trained_parameters": trained_parameters,
        "hardware": hardware,
        "url": url,
        "note": note,
        "reason": reason,
    }
    packed = pack(result, output, said=said)
    settings = read_result(result).checkpoint.settings
    out = console(as_json=json)
    out.print(plain(f"Packed in {packed}. It holds the sample records: prompts, answers, names of files."))
    if (limit := settings.limit) is not None:
        out.print(f"It was made with --limit {limit}: only a board with the key `limit: {limit}` takes it.")
    for name, _, made in unlike_settings(BoardSettings(), settings):
        out.print(plain(f"Its {name} is {made}: only a board that has it in its `settings` takes it."))
    out.print(plain(f"Check it: forgetbench leaderboard verify {packed}"), soft_wrap=True)
    if json:
        write_json({"submission": str(packed)})


def publish(
    site: Site,
    to: Annotated[
        str,
        o.option(
            help="A folder, [dim]gh-pages[/dim] (a commit on that branch; pushed where there is a remote "
            "origin), or [dim]hf://spaces/ORG/NAME[/dim].",
            rich_help_panel=o.WHERE,
            metavar="PLACE",
        ),
    ],
    json: o.Json = False,
) -> None:
    """Put a built site where others see it."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.leaderboard.publish import publish as publish_site
    from forgetbench.report.escape import plain

    said = publish_site(site, to)
    console(as_json=json).print(plain(said), soft_wrap=True)
    if json:
        write_json({"published": to, "said": said})


def serve(
    site: Site = Path("site"),
    port: Annotated[int, o.option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
) -> None:
    """Look at a built site in a browser, on this machine only, until Ctrl-C."""
    from forgetbench.cli.console import console
    from forgetbench.leaderboard.serve import HOST, make_server

    with make_server(site, port) as server:
        console().print(f"http://{HOST}:{server.server_port}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _check(
    board: str | None, results: Path | None, rerun: Path | None, include_paths: list[Path], *, is_own: bool
) -> Check:
    from forgetbench.errors import UsageError
    from forgetbench.leaderboard.definition import columns_of, read_board
    from forgetbench.leaderboard.entries import read_entries
    from forgetbench.leaderboard.verify import Check

    if board is None:
        if results is not None:
            raise UsageError("--results", "is compared with only where there is a board", "Add --board.")
        return Check(include_paths=include_paths, rerun=rerun, is_own=is_own)
    found = read_board(board)
    columns = columns_of(found, include_paths)
    return Check(
        board=found,
        columns=columns,
        present=read_entries(results, found, columns)[0] if results is not None else (),
        include_paths=include_paths,
        rerun=rerun,
        is_own=is_own,
    )


def _show(out: Any, path: Path, verified: Verified) -> None:
    from forgetbench.report.escape import plain

    where = plain(str(path / verified.directory))
    if not verified.problems:
        out.print(f"✓ {where}: {verified.level}", soft_wrap=True)
    else:
        n = len(verified.problems)
        out.print(f"✗ {where}: refused, {n} {'reason' if n == 1 else 'reasons'}", soft_wrap=True)
    for problem in verified.problems:
        out.print(f"  {plain(str(problem), limit=400)}", soft_wrap=True)
    for note in verified.notes:
        out.print(f"  not checked: {plain(note, limit=400)}", soft_wrap=True)


def _as_json(verified: Verified) -> dict[str, Any]:
    return {
        "directory": str(verified.directory),
        "level": verified.level,
        "problems": [problem.model_dump() for problem in verified.problems],
        "notes": list(verified.notes),
    }

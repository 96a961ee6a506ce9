"""The command line: thin commands over the package."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from forgetbench.errors import ForgetbenchError, is_full
from forgetbench.redact import redact

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
_LONGEST_NAME = 200


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code; a failure is one line, and a traceback only with ``--debug``."""
    try:
        _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from here", INTERRUPTED)


def _main(arguments: Sequence[str]) -> NoReturn:
    words, debug = _take_debug(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a "?"
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advises on import, whoever imports it
    _stop_as_ctrl_c()
    import typer

    try:
        from forgetbench.cli.app import app

        code = app(args=words, prog_name="forgetbench", standalone_mode=False)
        if code == INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        _fail_usage(error)
    except BrokenPipeError:
        _abandon_stdout()
        sys.exit(1)
    except ForgetbenchError as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and is_full(error):
            where = error.filename or "the disk"
            _fail(f"{where}: {error.strerror}. Make room there; the same command goes on from here", 1)
        if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
            named = os.fsdecode(error.filename)
            shown = named if len(named) <= _LONGEST_NAME else f"{named[:_LONGEST_NAME]}…"
            _fail(f"{shown}: {error.strerror}. Check the name, and whether it may be read", 1)
        what = f"{type(error).__name__}: {error}"
        _fail(f"unexpected {what} (the same command with --debug shows where; please report it)", 1)


def _stop_as_ctrl_c() -> None:
    """Let SIGTERM, which schedulers send before they kill, end a command as Ctrl-C does."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take ``--debug`` out of the arguments, wherever it stands before a ``--``."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    debug = len(kept) < end or os.environ.get("FORGETBENCH_DEBUG", "") not in ("", "0")
    return kept + words[end:], debug


def _fail_usage(error: typer.TyperException) -> NoReturn:
    """Say what is wrong with the words of a command; a group without a command has printed its help."""
    said = str(getattr(error, "format_message", lambda: error)())
    message = said.replace("Value error, ", "", 1).strip()  # typer's words before the choices
    if not message:
        sys.exit(2)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "forgetbench"
    _fail(f"{message}{'' if message[-1] in '.?!' else '.'} See `{command} --help`.", 2)


def _fail(message: str, code: int) -> NoReturn:
    from forgetbench.report.escape import plain

    sys.stderr.write(f"error: {redact(plain(message))}\n")
    sys.exit(code)


def _abandon_stdout() -> None:
    """Keep Python from flushing into the closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

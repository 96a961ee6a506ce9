"""A look at a built site, on this machine only."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from forgetbench.errors import UsageError
from forgetbench.leaderboard.site import MARKER

HOST = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files; says nothing of what was asked for."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def make_server(site: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of a built site on the loopback interface; port 0 takes a free one.

    Raises:
        UsageError: It is no site, or the port is taken.
    """
    if not (site / MARKER).is_file():
        raise UsageError(str(site), "is no built board", "Run `forgetbench leaderboard build` first.")
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Quiet, directory=str(site)))
    except OSError as error:
        raise UsageError(f"--port {port}", error.strerror or "cannot be had", "Give another.") from None

"""``forgetbench mlflow``: log what could not be logged, and look at it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from forgetbench.cli import options as o
from forgetbench.errors import ForgetbenchError

ALONE = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""A page to look at sends nothing, and starts no workers for jobs that nobody gives it."""


def sync(
    directory: Annotated[
        Path, typer.Argument(help="A result, or a folder of results: [dim]results/[/dim].", metavar="DIR")
    ] = Path("results"),
    json: o.Json = False,
) -> None:
    """Log every result below DIR that is not in MLflow yet; what is there is not logged twice."""
    from forgetbench.cli.console import console, warn, write_json
    from forgetbench.cli.report import files_of
    from forgetbench.report.escape import plain
    from forgetbench.tracking.mlflow_log import sync as sync_results

    done = sync_results(directory, files=files_of)
    out = console(as_json=json)
    said = {"logged": "logged", "already": "was logged before", "pending": "could not be logged"}
    for result in done:
        out.print(f"{plain(str(result.directory))}: {said[result.state]}", soft_wrap=True)
        if result.warning:
            warn(result.warning)
    if json:
        write_json([{"directory": str(r.directory), "state": r.state, "warning": r.warning} for r in done])
    left = sum(result.state == "pending" for result in done)
    if left:
        raise ForgetbenchError(
            "MLflow", f"{left} of {len(done)} results could not be logged", "Try again later."
        )


def ui(
    port: Annotated[int, o.option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open MLflow's web page on the store that runs are logged to (MLFLOW_TRACKING_URI, else ./mlflow.db)."""
    from forgetbench.tracking.client import runs_page
    from forgetbench.tracking.store import experiment_name, tracking_address

    command = ui_command(port)
    sys.stdout.write(f"http://127.0.0.1:{port}/{runs_page(tracking_address(), experiment_name())}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, ALONE | os.environ)


def ui_command(port: int) -> list[str]:
    """Return the command that serves the store.

    Raises:
        UsageError: The store is a server, which has its own page, or does not exist yet.
    """
    from forgetbench.errors import UsageError
    from forgetbench.tracking.store import artifact_root, sqlite_path, tracking_address, without_password

    address = tracking_address()
    if address.startswith(("http://", "https://", "databricks")):
        shown = f"MLFLOW_TRACKING_URI {without_password(address)}"
        raise UsageError(shown, "a server with a page of its own", "Open it in a browser.")
    database = sqlite_path(address)
    if database is not None and not database.is_file():
        raise UsageError(
            str(database), "does not exist yet", "Run something first, or set MLFLOW_TRACKING_URI."
        )
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", address]
    root = artifact_root(address)
    return [*command, "--default-artifact-root", root] if root else command

"""Where results are tracked: the address of the MLflow store, and where its artifacts lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from forgetbench.redact import without_credentials

DEFAULT_URI = "sqlite:///mlflow.db"
DEFAULT_EXPERIMENT = "forgetbench"
SQLITE = re.compile(r"^sqlite(?:\+\w+)?:///(?P<path>[^?]*)(?P<query>\?.*)?$")
QUIET_AND_IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_address(uri: str | None = None) -> str:
    """Return the tracking URI: the one given, ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in this directory.

    A relative SQLite path is made absolute, so that the same store has the same address from anywhere.
    """
    address = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    database = sqlite_path(address)
    if database is None:
        return address
    found = SQLITE.match(address)
    return f"sqlite:///{database.as_posix()}{(found and found['query']) or ''}"


def experiment_name(name: str | None = None) -> str:
    """Return the experiment: the one given, ``MLFLOW_EXPERIMENT_NAME``, or ``forgetbench``."""
    return name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a SQLite URI as an absolute path, else None."""
    found = SQLITE.match(uri)
    if not found or found["path"] in {"", ":memory:"}:
        return None
    return Path.cwd() / unquote(found["path"])


def artifact_root(uri: str) -> str | None:
    """Return where artifacts of a SQLite store lie: ``mlartifacts`` beside it. None: the server decides."""
    database = sqlite_path(uri)
    return None if database is None else (database.parent / "mlartifacts").as_uri()


without_password = without_credentials


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

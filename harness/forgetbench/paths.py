"""Where forgetbench keeps what it can make again, and where its own task files are."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """Return the cache directory: ``FORGETBENCH_CACHE``, else ``forgetbench`` in the user's cache directory.

    A URL is no directory: it is :func:`shared_cache_url`, and the default is this machine's own.

    The directory need not exist yet. Deleting it loses time, never results.
    """
    configured = os.environ.get("FORGETBENCH_CACHE")
    if configured and "://" not in configured:
        return Path(configured).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "forgetbench"
    return Path.home() / ".cache" / "forgetbench"


def shared_cache_url() -> str | None:
    """Return ``FORGETBENCH_CACHE`` where it is a URL: answers of the Ray engine are shared there."""
    configured = os.environ.get("FORGETBENCH_CACHE", "")
    return configured if "://" in configured else None


def builtin_root() -> Path:
    """Return the folder of the task files that ship with forgetbench: in the wheel, or of the checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "definitions" / "tasks"
    return shipped if shipped.is_dir() else package.parents[1] / "tasks"

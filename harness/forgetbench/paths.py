"""Where forgetbench keeps what it can make again, and where its own task files are."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """Return the cache directory: ``FORGETBENCH_CACHE``, else ``forgetbench`` in the user's cache directory.

    The directory need not exist yet. Deleting it loses time, never results.
    """
    if configured := os.environ.get("FORGETBENCH_CACHE"):
        return Path(configured).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "forgetbench"
    return Path.home() / ".cache" / "forgetbench"


def builtin_root() -> Path:
    """Return the folder of the task files that ship with forgetbench: in the wheel, or of the checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "definitions" / "tasks"
    return shipped if shipped.is_dir() else package.parents[1] / "tasks"

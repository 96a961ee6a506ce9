"""What a repetition or a bug report needs to know of this machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from forgetbench import __version__
from forgetbench.plugins import installed_plugins
from forgetbench.schema.run import Environment

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "lm-eval",
    "datasets",
    "jiwer",
    "py3langid",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "soundfile",
    "soxr",
    "mlflow",
)


_QUIETLY = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""No program that the repository in the working directory names is run by asking for its state."""


def read_environment() -> Environment:
    """Return versions, platform and the git state of the working directory."""
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return Environment(
        forgetbench=__version__,
        python=platform.python_version(),
        platform=f"{sys.platform} {platform.machine()}",
        packages={name: found for name in PACKAGES if (found := package_version(name))} | _plugin_packages(),
        git_commit=commit,
        git_dirty=None if status is None else bool(status),
    )


def _plugin_packages() -> dict[str, str]:
    """Return the versions of the packages that bring plug-ins."""
    return dict(provider.rsplit(" ", 1) for provider in sorted(set(installed_plugins().values())))


def package_version(package: str) -> str | None:
    """Return the version of a package, None for one that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *_QUIETLY, *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""Which checkpoints the words after ``--model`` name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from forgetbench.errors import UsageError

_WILD = re.compile(r"[*?\[]")


def expand(names: Sequence[str], *, option: str = "--model") -> list[str]:
    """Return what names and globs stand for, each once.

    A glob stands for the directories that it matches, or for files where it matches no directory, in the
    order of the numbers in their names: ``checkpoint-6`` comes before ``checkpoint-12``.

    Raises:
        UsageError: A glob matches nothing, or is none.
    """
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(_matches(name, option) if is_glob(name) else [name])
    return list(found)


def is_glob(name: str) -> bool:
    """Tell whether a name is a pattern, and not a path that happens to have a bracket in it."""
    return _WILD.search(name) is not None and not Path(name).expanduser().exists()


def _matches(pattern: str, option: str) -> list[str]:
    parts = Path(pattern).expanduser().parts
    n_plain = next(i for i, part in enumerate(parts) if _WILD.search(part))
    try:
        paths = list(Path(*parts[:n_plain]).glob(str(Path(*parts[n_plain:]))))
    except ValueError as error:
        raise UsageError(f"{option} {pattern}", f"is no pattern ({error})", "Use * within a name.") from error
    if not paths:
        raise UsageError(f"{option} {pattern}", "matches nothing", "Check the path.")
    folders = [path for path in paths if path.is_dir()]
    return sorted(map(str, folders or paths), key=_natural)


def _natural(path: str) -> list[tuple[float, str]]:
    """Order the numbers in a path by their value, and everything else by its letters."""
    parts = re.split(r"(\d+(?:\.\d+)?)", path)
    return [(float(part), "") if i % 2 else (0.0, part) for i, part in enumerate(parts)]

"""Paths in the files of recipes and grids start at the file's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MIXED = ("safety", "replay")
"""Fields that are mappings with data of their own."""


def is_own(name: str) -> bool:
    """Say whether a recipe's name is of a file of one's own."""
    return name.endswith((".yaml", ".yml"))


def path_from(name: str, folder: Path) -> str:
    """Return a path that starts at a folder; an absolute one, or one of the home directory, as it is."""
    return name if name.startswith("~") else str(folder / name)


def model_from(name: str, folder: Path) -> str:
    """Return a model's directory that starts at a folder; the name of a model that is none there as it is."""
    return path_from(name, folder) if name.startswith(".") or (folder / name).is_dir() else name


def _recipe_from(name: str, folder: Path) -> str:
    return path_from(name, folder) if is_own(name) else name


PLACES: Mapping[str, Callable[[str, Path], str]] = {
    "data": path_from,
    "ewc_data": path_from,
    "output": path_from,
    "model": model_from,
    "teacher": model_from,
    "recipe": _recipe_from,
}
"""Fields that say where something is."""


def with_paths_from(fields: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return fields with paths that start at a folder, those in lists and in :data:`MIXED`, too."""
    return {name: _moved(name, value, folder) for name, value in fields.items()}


def _moved(name: str, value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_moved(name, part, folder) for part in value]
    if name in MIXED and isinstance(value, Mapping):
        return with_paths_from(value, folder)
    return PLACES[name](value, folder) if name in PLACES and isinstance(value, str) else value

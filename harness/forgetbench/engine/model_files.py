"""The files of a model on a machine that does not share them: checked by content, put in place once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from forgetbench.models.component import Component
from forgetbench.models.fingerprint import combine, fingerprint_file
from forgetbench.paths import cache_root

_TRAINING_STATE = frozenset({"optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"})
"""What a trainer leaves beside the weights: nothing loads it, and it is larger than they are."""

Manifest = Mapping[str, str]
"""sha256 by file name, relative to a directory; of a single file by its own name."""


class Lacking(Exception):
    """Files of a model are not on this machine, or not these.

    Args:
        path: Where they lie on the driver's.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


def paths_of(component: Component) -> list[Path]:
    """Return the directories or files that a component is loaded from, its base's included."""
    own = [component.path] if component.path is not None else []
    return own + [path for part in _parts(component) for path in paths_of(part)]


def manifest_of(path: Path) -> dict[str, str]:
    """Return the content of a directory or file; each file is hashed once and remembered."""
    return {name: fingerprint_file(file) for name, file in files_of(path).items()}


def files_of(path: Path) -> dict[str, Path]:
    """Return the files of a directory by relative name, or a file by its own."""
    if path.is_file():
        return {path.name: path}
    found = (Path(folder) / name for folder, _, names in os.walk(path, followlinks=True) for name in names)
    return {str(f.relative_to(path)): f for f in sorted(found) if f.name not in _TRAINING_STATE}


def moved(component: Component, place: Callable[[Path], Path]) -> Component:
    """Return a component whose files, and those of its base, lie elsewhere."""
    changes: dict[str, Any] = {
        field.name: moved(part, place)
        for field in fields(component)
        if isinstance(part := getattr(component, field.name), Component)
    }
    path = place(component.path) if component.path is not None else None
    return replace(component, path=path, parts=tuple(moved(p, place) for p in component.parts), **changes)


def place_of(path: Path, manifest: Manifest) -> Path:
    """Return where a model's files are on this machine: at their own path, or where they were put.

    Raises:
        Lacking: They are at neither.
    """
    if path.exists() and manifest_of(path) == manifest:
        return path
    put = _put_place(path, manifest)
    if put.exists():
        return put
    raise Lacking(path)


def put_files(path: Path, manifest: Manifest, contents: Iterator[tuple[str, bytes | memoryview]]) -> None:
    """Put a model's files in place, whole or not at all; another process of the machine may do the same.

    Args:
        path: Where they lie on the driver's machine.
        manifest: What they are.
        contents: Name and content of each, taken one by one and only where they are needed.

    Raises:
        OSError: There is no room.
        ValueError: A content is not the one of the manifest.
    """
    put = _put_place(path, manifest)
    folder = _folder(manifest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if put.exists():
            return
        half = folder.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        for name, content in contents:
            if hashlib.sha256(content).hexdigest() != manifest[name]:
                raise ValueError(f"{name} changed while it was sent")
            (half / name).parent.mkdir(parents=True, exist_ok=True)
            (half / name).write_bytes(content)
        half.rename(folder)


def _folder(manifest: Manifest) -> Path:
    return cache_root() / "models-sent" / combine(manifest)[:24]


def _put_place(path: Path, manifest: Manifest) -> Path:
    folder = _folder(manifest)
    return folder / path.name if set(manifest) == {path.name} else folder


def _parts(component: Component) -> list[Component]:
    found = (component.base, component.interpolated_from, *component.parts)
    return [part for part in found if part is not None]

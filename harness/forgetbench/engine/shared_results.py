"""Results at a URL: written on this machine as always, and copied there; what lies there is read first."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from forgetbench.atomic import write_atomically
from forgetbench.engine.remote_files import RemoteFolder
from forgetbench.engine.storage import storing
from forgetbench.paths import cache_root

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)")
_ROOTED = ("file", "local", "memory")
"""Schemes whose paths begin with a slash."""

Copied = dict[str, tuple[str, int]]
"""By name, of when both were the same: what the URL says of a file, and when the copy changed last, in ns."""


def url_of(output: Path) -> str | None:
    """Return the URL that an ``--output-path`` is, None for a folder; a path has lost one of its slashes."""
    found = _URL.fullmatch(output.as_posix())
    if found is None:
        return None
    scheme, rest = found.groups()
    return f"{scheme}:///{rest}" if scheme in _ROOTED else f"{scheme}://{rest}"


@contextmanager
def results_at(output: Path) -> Iterator[Path]:
    """Yield the folder for results that are to lie at ``output``: itself, or where they wait to be copied.

    Copied is what the URL does not have, also where the work ends in an error: finished results stand.

    Args:
        output: A folder, or a URL that fsspec knows.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: Files cannot be copied; the next time they are.
    """
    url = url_of(output)
    if url is None:
        yield output
        return
    there = RemoteFolder(url, thing="--output-path")
    folder = cache_root() / "results" / hashlib.sha256(url.encode()).hexdigest()[:12]
    note = folder.with_suffix(".json")
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    copied = _fetch(there, folder, _read(note))
    try:
        yield folder
    finally:
        sent = _send(there, folder, copied)
        copied |= {name: (stamp, sent[name]) for name, stamp in there.stamps().items() if name in sent}
        with storing(note):
            write_atomically(note, json.dumps(copied).encode())


def _fetch(there: RemoteFolder, folder: Path, copied: Copied) -> Copied:
    """Bring the folder up to date: what was taken away at the URL goes, what was not sent yet stays."""
    stamps, here = there.stamps(), _changed(folder)
    for name, (_, when) in copied.items():
        if name not in stamps and here.get(name) == when:
            with storing(folder / name):
                (folder / name).unlink()
    kept = {n: copied[n] for n in stamps.keys() & copied.keys() & here.keys() if stamps[n] == copied[n][0]}
    for name in sorted(stamps.keys() - kept.keys()):
        there.fetch(name, folder / name)
    here = _changed(folder)
    return {name: kept.get(name, (stamp, here[name])) for name, stamp in stamps.items() if name in here}


def _send(there: RemoteFolder, folder: Path, copied: Copied) -> dict[str, int]:
    """Copy what the URL lacks, and return what that was, with its time."""
    here = _changed(folder)
    new = {name: when for name, when in here.items() if name not in copied or copied[name][1] != when}
    for name in new:
        there.send(folder / name, name)
    return new


def _changed(folder: Path) -> dict[str, int]:
    """Return when each file changed last, in ns, by name; of those with a dot before it none is finished."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != ".")
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files}


def _read(note: Path) -> Copied:
    try:
        known: Mapping[str, tuple[str, int]] = json.loads(note.read_text(encoding="utf-8"))
        return {name: (str(stamp), int(when)) for name, (stamp, when) in known.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}

"""Results at a URL: written on this machine as always, and copied there; what lies there is read first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetbench.engine.shared_cache import make_folder_of, open_url
from forgetbench.errors import StorageError
from forgetbench.paths import cache_root

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)")
_ROOTED = ("file", "local", "memory")
"""Schemes whose paths begin with a slash."""


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

    Copied is what was written meanwhile, also where the work ends in an error: finished results stand.

    Args:
        output: A folder, or a URL that fsspec knows.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: Files cannot be copied.
    """
    url = url_of(output)
    if url is None:
        yield output
        return
    files, root = open_url(url)
    folder = cache_root() / "results" / hashlib.sha256(url.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, about in files.find(root, detail=True).items():
            local = folder / name.removeprefix(f"{root}/")
            if not local.is_file() or local.stat().st_size != about["size"]:
                local.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(name, str(local))
    except OSError as error:
        raise _not_copied(url, error) from error
    read = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    try:
        yield folder
    finally:
        try:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and read.get(path) != path.stat().st_mtime_ns:
                    target = f"{root}/{path.relative_to(folder).as_posix()}"
                    make_folder_of(files, target)
                    files.put_file(str(path), target)
        except OSError as error:
            raise _not_copied(url, error) from error


def _not_copied(url: str, error: OSError) -> StorageError:
    cause = f"cannot be used ({type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]})"
    return StorageError(
        f"--output-path {url}", cause, "Check the address and the credentials, then run again."
    )

"""Submissions as folders and archives: nothing outside of them, no links, bounded sizes."""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from forgetbench.engine.results import COMPARISON_FILE, RUN_FILE
from forgetbench.errors import DataError, UsageError
from forgetbench.leaderboard.entries import SUBMISSION_FILE, VERIFICATION_FILE

MAX_FILES = 2_000
MAX_FILE_BYTES = 256_000_000
MAX_TOTAL_BYTES = 1_000_000_000
MAX_HEADER_BYTES = 4_000_000
"""Between two members: tarfile reads a header whole."""
TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DOCUMENTS = {*RUN_FILE.values(), COMPARISON_FILE, SUBMISSION_FILE, VERIFICATION_FILE}
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield the folder of a submission: the folder itself, or where an archive was unpacked.

    Raises:
        UsageError: It is neither a folder nor a .zip, .tar or .tar.gz file.
        DataError: It holds a link, a path that leads elsewhere, a name twice, or too much.
    """
    if path.is_dir():
        _check_folder(path)
        yield path
        return
    if not path.is_file():
        raise UsageError(str(path), "does not exist", "Give a folder or an archive.")
    with tempfile.TemporaryDirectory(prefix="forgetbench-submission-") as temporary:
        folder = Path(temporary)
        try:
            _unpack(path, folder)
        except (
            tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError,
        ) as error:  # fmt: skip
            raise DataError(str(path), f"is a damaged archive ({error})", "Pack it again.") from None
        yield folder


def result_directories(folder: Path) -> list[Path]:
    """Return the folders in or below one that hold a run document.

    Raises:
        UsageError: There is none.
    """
    found = sorted(path.parent for path in folder.rglob(RUN_FILE["checkpoint"]))
    if not found:
        raise UsageError(
            str(folder), "holds no run.json", "Give what `forgetbench leaderboard submit` wrote."
        )
    return found


def unexpected_files(directory: Path) -> list[str]:
    """Return the files of a result that no submission has, relative to it."""
    names = (
        path.relative_to(directory).as_posix() for path in sorted(directory.rglob("*")) if path.is_file()
    )
    return [name for name in names if not _is_expected(name)]


def _is_expected(name: str) -> bool:
    parts = name.split("/")
    if len(parts) == 3 and parts[0] == "samples" and parts[1] in RUN_FILE:
        return parts[2].endswith(".parquet") and bool(TASK_NAME.fullmatch(parts[2]))
    return name in _DOCUMENTS


def _check_folder(folder: Path) -> None:
    total = count = 0
    for root, directories, files in os.walk(folder, followlinks=False):
        for name in (*directories, *files):
            path = Path(root) / name
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode):
                continue
            if not stat.S_ISREG(found.st_mode):
                raise DataError(str(path), "is a link or no regular file", "Give plain files only.")
            total, count = total + found.st_size, count + 1
            _check_size(str(path), found.st_size, total, count)


def _check_size(name: str, size: int, total: int, count: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(
            name,
            f"is larger than {MAX_FILE_BYTES // 1_000_000} MB",
            "Run with a smaller --limit, and pack the result again.",
        )
    if total > MAX_TOTAL_BYTES or count > MAX_FILES:
        cause = f"holds more than {MAX_FILES} files or {MAX_TOTAL_BYTES // 1_000_000} MB"
        raise DataError(name, cause, "Submit fewer results at a time.")


def _unpack(path: Path, folder: Path) -> None:
    """Write the members of an archive, counting what is really unpacked."""
    seen: set[str] = set()
    total = 0
    for name, content in _members(path):
        target = _target(path, name)
        if target.as_posix().casefold() in seen:
            raise DataError(f"{path}, {name!r}", "is there twice", "Pack it again.")
        seen.add(target.as_posix().casefold())
        written = folder / target
        written.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with written.open("xb") as out:
            while chunk := content.read(1 << 20):
                size, total = size + len(chunk), total + len(chunk)
                _check_size(f"{path}, {name!r}", size, total, len(seen))
                out.write(chunk)


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(path):
        yield from _zip_members(path)
    else:
        yield from _tar_members(path)


def _zip_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                _target(path, member.filename.rstrip("/"))
                continue
            if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                raise DataError(
                    f"{path}, {member.filename!r}",
                    "is a link or no regular file",
                    "Pack it with `forgetbench leaderboard submit`.",
                )
            if member.flag_bits & 0x1:
                raise DataError(
                    f"{path}, {member.filename!r}",
                    "is encrypted",
                    "Pack it with `forgetbench leaderboard submit`.",
                )
            with archive.open(member) as content:
                yield member.filename, content


def _tar_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _Bounded(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            stream.allow(0)
            if member.isdir():
                _target(path, member.name)
                continue
            if not member.isreg():
                raise DataError(
                    f"{path}, {member.name!r}",
                    "is a link or no regular file",
                    "Pack it with `forgetbench leaderboard submit`.",
                )
            content = archive.extractfile(member)
            assert content is not None
            stream.allow(min(member.size, MAX_FILE_BYTES))
            yield member.name, content
            stream.allow(0)


class _Bounded(io.RawIOBase):
    """The bytes of a plain or gzipped tar file, which end in an error where there are too many."""

    def __init__(self, path: Path) -> None:
        import gzip

        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        self._name, self._left = str(path), MAX_TOTAL_BYTES + 1024 * MAX_FILES
        self._allowed = MAX_HEADER_BYTES
        self._file = gzip.open(path) if zipped else path.open("rb")  # noqa: SIM115 - close() closes it

    def allow(self, n_bytes: int) -> None:
        """Say how much may be read until this is said again."""
        self._allowed = n_bytes + MAX_HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        self._left -= max(size, 0)
        self._allowed -= max(size, 0)
        if self._allowed < 0:
            raise DataError(self._name, "has a header or member that is too large", "Pack it again.")
        if self._left < 0:
            raise DataError(
                self._name,
                f"unpacks to more than {MAX_TOTAL_BYTES // 1_000_000} MB",
                "Run with a smaller --limit, and pack the result again.",
            )
        return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _target(path: Path, name: str) -> PurePosixPath:
    """Return where a member belongs.

    Raises:
        DataError: Its name leads elsewhere, or is one that no submission has.
    """
    parts = name.removeprefix("./").split("/")
    if not name or any(not _PART.fullmatch(part) for part in parts) or len(parts) > 12:
        shown = name if len(name) < 120 else name[:120] + "…"
        raise DataError(f"{path}, {shown!r}", "is a name that could lead elsewhere", "Pack it again.")
    return PurePosixPath(*parts)

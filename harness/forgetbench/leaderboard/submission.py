"""Packing a result as a submission: the layout, its metadata, a digest of each row, and no private paths."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forgetbench.atomic import write_atomically
from forgetbench.engine.results import (
    COMPARISON_FILE,
    RUN_FILE,
    read_result,
    read_samples,
    result_directory,
)
from forgetbench.errors import UsageError
from forgetbench.leaderboard.entries import SUBMISSION_FILE, entry_key
from forgetbench.leaderboard.sample_files import row_digests
from forgetbench.schema.board import Submission
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.run import RunDocument

PUBLIC = ("training", "cost", "seconds", "peak_memory_mb")
"""What of a ``measured`` block is submitted: commands and paths are not."""
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")


def pack(result: Path, output: Path, *, said: Mapping[str, Any]) -> Path:
    """Write a result as a submission and return where it lies; nothing is sent anywhere.

    Args:
        result: Directory that ``run`` printed.
        output: Folder in whose layout it is put, or a ``.tar.gz`` file.
        said: Fields of :class:`~forgetbench.schema.board.Submission`, without the digests.

    Raises:
        UsageError: It is no result of a pair, or a field is wrong.
        ForgetbenchError: Its samples are not those of its documents.
    """
    found = read_result(result)
    if found.base is None or found.comparison is None:
        raise UsageError(str(result), "was scored without a base", "Run again with --base.")
    try:
        entry_key(found.comparison)
    except ValueError as error:
        raise UsageError(str(result), f"{error}", "Only runs of forgetbench are submitted.") from None
    documents = [_public(document) for document in (found.base, found.checkpoint)]
    submission = _submission(said, _digests(result, documents))
    files = {
        SUBMISSION_FILE: submission.to_json().encode(),
        COMPARISON_FILE: found.comparison.to_json().encode(),
        **{RUN_FILE[document.arm]: document.to_json().encode() for document in documents},
        **{
            task.samples.path: (result / task.samples.path).read_bytes()
            for document in documents
            for task in document.tasks
            if task.samples is not None
        },
    }
    run = found.checkpoint
    place = (run.checkpoint.name, run.checkpoint.fingerprint, found.base.checkpoint.fingerprint, run.run_key)
    if output.name.endswith(ARCHIVE_ENDINGS):
        write_atomically(output, _archive(files, result_directory(Path(), *place)))
        return output
    directory = result_directory(output, *place)
    if directory.resolve() == result.resolve():
        raise UsageError(f"--output {output}", "is where the result itself lies", "Give another folder.")
    _write(directory, files)
    return directory


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    if directory.exists():
        shutil.rmtree(directory)
    for name, content in files.items():
        write_atomically(directory / name, content)


def _public(document: RunDocument) -> RunDocument:
    measured = {key: value for key, value in document.measured.items() if key in PUBLIC}
    return document.model_copy(update={"measured": measured})


def _digests(result: Path, documents: list[RunDocument]) -> dict[str, str]:
    tables = {document.arm: read_samples(result, document) for document in documents}
    return {
        task.samples.path: row_digests(tables[document.arm][task.name])
        for document in documents
        for task in document.tasks
        if task.samples is not None
    }


def _submission(said: Mapping[str, Any], digests: Mapping[str, str]) -> Submission:
    try:
        return Submission.model_validate({**said, "row_digests": digests})
    except ValidationError as error:
        first = first_invalid(error)
        name = str(first.location[0]).replace("_", "-")
        raise UsageError(f"--{name}", first.cause, "See `forgetbench schema submission`.") from None


def _archive(files: Mapping[str, bytes], directory: Path) -> bytes:
    """Return a .tar.gz, the same bytes for the same files."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo((directory / name).as_posix())
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()

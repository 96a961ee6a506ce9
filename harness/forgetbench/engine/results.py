"""Results on disk: the layout, and documents and sample tables read and written."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from forgetbench.atomic import write_atomically
from forgetbench.engine.sample_tables import check_predictions, parse_table
from forgetbench.engine.storage import storing
from forgetbench.errors import ForgetbenchError, UsageError
from forgetbench.forgetting.asked import HASHES
from forgetbench.schema.attribution import Attribution
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.document import Document
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.run import Arm, RunDocument, SampleFile
from forgetbench.schema.sample import SampleRecord, stat_columns

if TYPE_CHECKING:
    import pandas as pd

RUN_FILE: dict[Arm, str] = {"base": "run.base.json", "checkpoint": "run.json"}
COMPARISON_FILE = "comparison.json"
ATTRIBUTION_FILE = "attribution.json"
MIXED = "swapped"
"""Folder of a result with the runs of systems mixed of both arms, which are no results of their own."""

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One result directory, read.

    Attributes:
        base: None where the checkpoint was scored alone.
        comparison: None where there is no base.
        attribution: None where no components were swapped.
    """

    directory: Path
    checkpoint: RunDocument
    base: RunDocument | None = None
    comparison: Comparison | None = None
    attribution: Attribution | None = None


def result_directory(output: Path, name: str, checkpoint: str, base: str | None, run_key: str) -> Path:
    """Return ``<output>/<name>/<checkpoint fp12>/<base fp12 or none>/<run key>``.

    Documents come from others, too: whatever they call these, the directory lies below ``output``.
    """
    parts = (
        _one_name(name)[:80] or "checkpoint",
        *(_one_name(part[:12]) or "none" for part in (checkpoint, base or "")),
    )
    return output.joinpath(*parts, _one_name(run_key) or "none")


def _one_name(text: str) -> str:
    """Return a text as the name of one folder; fingerprints and run keys are as they were."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")


def check_writable(folder: Path, option: str) -> None:
    """Fail before any work where files cannot be written.

    Args:
        folder: Where they will lie.
        option: How the user chose the folder.

    Raises:
        UsageError: The folder is a file or cannot be written.
    """
    probe = folder / f".forgetbench-probe-{uuid.uuid4().hex}"  # two runs may begin at once
    try:
        write_atomically(probe, b"")
        probe.unlink()
    except OSError as error:
        cause = f"cannot be written ({error.strerror or error})"
        raise UsageError(f"{option} {folder}", cause, f"Choose another with {option}.") from None


def sample_table(records: Sequence[SampleRecord], metrics: Sequence[MetricSpec]) -> pd.DataFrame:
    """Return one row per sample; see :class:`~forgetbench.schema.sample.SampleRecord` for the columns."""
    import pandas as pd

    texts = ("id", "content", "cluster", "condition", "input", "reference")
    columns: dict[str, list[object]] = {name: [getattr(r, name) for r in records] for name in texts}
    columns |= {
        f"group.{name}": [r.groups[name] for r in records] for name in (records[0].groups if records else ())
    }
    columns["prediction"] = [
        r.prediction.model_dump_json(exclude_defaults=True) if r.prediction else None for r in records
    ]
    columns["error"] = [r.error for r in records]
    table = pd.DataFrame(columns).astype("object")
    for metric in metrics:
        for position, column in enumerate(stat_columns(metric.name, metric.type)):
            values = [_stat(r, metric.name, position) for r in records]
            table[column] = pd.Series(values, index=table.index, dtype="float64")
    return table


def _stat(record: SampleRecord, metric: str, position: int) -> float | None:
    value = record.stats.get(metric)
    return value[position] if isinstance(value, tuple) else value


def write_samples(directory: Path, arm: Arm, task: str, table: pd.DataFrame) -> SampleFile:
    """Write a sample table as Parquet, with texts and numbers in the same bytes each time.

    Raises:
        UsageError: The task's name, which a document of others may give, leads out of the directory.
        StorageError: It cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        pa.field(column, pa.float64() if table[column].dtype == "float64" else pa.string())
        for column in table.columns
    ]
    buffer = io.BytesIO()
    arrow = pa.Table.from_pandas(table, schema=pa.schema(fields), preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(None), buffer, compression="zstd")
    relative = f"samples/{arm}/{task}.parquet"
    if _leads_out(directory, relative):
        raise UsageError(f"task {task!r}", "has a name that leads out of the result", "Rename the task.")
    with storing(directory / relative):
        write_atomically(directory / relative, buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return SampleFile(path=relative, sha256=digest, n=len(table))


def read_samples(directory: Path, document: RunDocument) -> Mapping[str, pd.DataFrame]:
    """Return the sample tables of one arm by task name.

    Raises:
        ForgetbenchError: A file is missing or is not the one that the document names.
    """
    tables = {}
    for task in document.tasks:
        if task.samples is None:
            continue
        path = directory / task.samples.path
        if _leads_out(directory, task.samples.path):
            raise UsageError(
                f"{task.samples.path}, samples of {task.name}",
                "lead out of the result",
                "Take the result from who made it, and read it there.",
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ForgetbenchError(
                str(path), error.strerror or "cannot be read", "Run the same command again."
            ) from None
        if hashlib.sha256(content).hexdigest() != task.samples.sha256:
            raise ForgetbenchError(str(path), "differs from its run document", "Run the same command again.")
        try:
            tables[task.name] = parse_table(content, task, more=HASHES)
            check_predictions(tables[task.name])
        except ValueError as error:  # the hash is right: it never was the table of this task
            raise ForgetbenchError(str(path), str(error), "Run the same command again.") from None
    return tables


def _leads_out(directory: Path, relative: str) -> bool:
    return "\0" in relative or not (directory / relative).resolve().is_relative_to(directory.resolve())


def write_document(path: Path, document: Document) -> None:
    """Write a document.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    with storing(path):
        write_atomically(path, document.to_json().encode())


def write_result(
    directory: Path, documents: Sequence[RunDocument], comparison: Comparison | None = None
) -> Result:
    """Write the run documents of a result, and the comparison that follows from them.

    An earlier comparison goes first: whenever this is cut short, none lies there that follows from others.

    Args:
        directory: Of the result; the sample records lie there already.
        documents: One or both arms.
        comparison: In place of the one that is computed from them.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    with storing(directory):
        (directory / COMPARISON_FILE).unlink(missing_ok=True)
    for document in documents:
        write_document(directory / RUN_FILE[document.arm], document)
    if len(documents) > 1:
        write_document(directory / COMPARISON_FILE, comparison or compare_result(directory))
    return read_result(directory)


def result_directories(place: Path) -> list[Path]:
    """Return the result directories in and below a folder, in the order of their paths."""
    documents = sorted(place.rglob(RUN_FILE["checkpoint"])) if place.is_dir() else []
    return [path.parent for path in documents if not _is_mixed(path.parent)]


def results_in(places: Iterable[Path]) -> list[Result]:
    """Return the results in and below some folders, each once, in the order of their paths.

    Raises:
        UsageError: A place holds no result, or a document is damaged.
    """
    found: dict[Path, Result] = {}
    for place in places:
        directories = result_directories(place)
        if not directories:
            way_out = "Measure first: forgetbench run --model …, or name the folder of its results."
            raise UsageError(str(place), "no run.json here or below", way_out)
        found |= {path.resolve(): read_result(path) for path in directories if path.resolve() not in found}
    return list(found.values())


def _is_mixed(directory: Path) -> bool:
    folder = directory.resolve().parent
    return folder.name == MIXED and (folder.parent / RUN_FILE["checkpoint"]).is_file()


def read_result(directory: Path) -> Result:
    """Read a result directory.

    Raises:
        UsageError: It is not one, or a document is damaged.
    """
    if not (directory / RUN_FILE["checkpoint"]).is_file():
        raise UsageError(
            str(directory), "holds no run.json", "Give the directory that `forgetbench run` printed."
        )
    base, comparison = directory / RUN_FILE["base"], directory / COMPARISON_FILE
    attribution = directory / ATTRIBUTION_FILE
    return Result(
        directory=directory,
        checkpoint=_read(RunDocument, directory / RUN_FILE["checkpoint"]),
        base=_read(RunDocument, base) if base.is_file() else None,
        comparison=_read(Comparison, comparison) if comparison.is_file() else None,
        attribution=_read(Attribution, attribution) if attribution.is_file() else None,
    )


def read_whole(directory: Path) -> Result:
    """Read a result directory, and make sure that its sample tables can be read, too.

    Raises:
        ForgetbenchError: A document or a table is missing or damaged.
    """
    result = read_result(directory)
    for document in filter(None, (result.base, result.checkpoint)):
        read_samples(directory, document)
    return result


def _read(kind: type[D], path: Path) -> D:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = first_invalid(error)
        raise UsageError(f"{path}, key `{first.key}`", first.cause, "Run the same command again.") from None


def compare_result(directory: Path) -> Comparison:
    """Compute the comparison of a result directory from its documents and samples.

    Raises:
        UsageError: It is no result, or has no base.
    """
    from forgetbench.forgetting.pairs import compare

    result = read_result(directory)
    if result.base is None:
        raise UsageError(str(directory), "was scored without a base", "Run again with --base.")
    return compare(
        result.base,
        result.checkpoint,
        read_samples(directory, result.base),
        read_samples(directory, result.checkpoint),
    )

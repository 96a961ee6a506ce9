"""Sample files as they come from anywhere: bounded, and of the columns that their run document says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from forgetbench.errors import first_line
from forgetbench.forgetting.answers import parse
from forgetbench.schema.run import TaskResult
from forgetbench.schema.sample import stat_columns

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 2_000_000
MAX_UNPACKED_BYTES = 2_000_000_000
TEXTS = ("id", "content", "cluster", "condition", "input", "reference", "prediction", "error")


def parse_table(content: bytes, task: TaskResult, *, more: Sequence[str] = ()) -> pd.DataFrame:
    """Return the sample table of a task.

    Args:
        content: Of the Parquet file.
        task: What the run document says of it.
        more: Columns of text that may be there beside those of every sample table.

    Raises:
        ValueError: It is no table of this task; the message says why, to stand behind the file's name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        unpacked = sum(group.total_byte_size for group in groups)
        if file.metadata.num_rows > MAX_ROWS or unpacked > MAX_UNPACKED_BYTES:
            raise ValueError("unpacks to more than a sample file may hold")
        arrow = file.read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"is no Parquet file ({first_line(error)})") from None
    if (odd := _odd_columns(arrow, task, more)) is not None:
        raise ValueError(odd)
    table: pd.DataFrame = arrow.to_pandas()
    return table


def check_predictions(table: pd.DataFrame) -> None:
    """Make sure that every answer of a sample table is one.

    Raises:
        ValueError: One is not; the message names its row.
    """
    for row, prediction in enumerate(table["prediction"]):
        try:
            parse(prediction)
        except ValidationError:
            raise ValueError(f"row {row}: holds no prediction") from None


def _odd_columns(arrow: Any, task: TaskResult, more: Sequence[str]) -> str | None:
    """Return what is wrong with the columns of a table, None where nothing is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    stats = {column for name, m in task.metrics.items() for column in stat_columns(name, m.type)}
    names = arrow.column_names
    if len(set(names)) < len(names):
        return "has a column twice"
    texts = {name for name in names if name in (*TEXTS, *more) or name.startswith("group.")}
    if missing := sorted((set(TEXTS) | stats) - set(names)):
        return f"has no column {missing[0]!r}"
    if extra := sorted(set(names) - texts - stats):
        return f"has a column {extra[0]!r} that belongs to no metric of the document"
    for name in names:
        kind = arrow.schema.field(name).type
        if not (
            kind == pa.float64() if name in stats else pa.types.is_string(kind) or pa.types.is_null(kind)
        ):
            return f"column {name!r} is of another type"
    for name in sorted(stats):
        row = pc.index(pc.is_finite(arrow.column(name)), False).as_py()
        if row >= 0:
            return f"row {row}: column {name!r} holds NaN or infinity"
    return None

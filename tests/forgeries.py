"""How a submission is forged: a changed sample file, and whatever would give it away mended along with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forgetbench.leaderboard.sample_files import row_digests
from forgetbench.leaderboard.verify import Verified

Edit = Callable[..., None]


def reasons(verified: Verified) -> str:
    return "\n".join(map(str, verified.problems))


def rewrite(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> str:
    """Change a sample file and return its new sha256."""
    arrow = pq.read_table(path)
    table = arrow.to_pandas()
    changed = change(table)
    new = pa.Table.from_pandas(
        table if changed is None else changed, schema=arrow.schema, preserve_index=False
    )
    pq.write_table(new, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forge(
    directory: Path, arm: str, task: str, change: Callable[[pd.DataFrame], pd.DataFrame | None], edit: Edit
) -> None:
    """Change a sample file and everything that would give it away by its hash."""
    name = f"samples/{arm}/{task}.parquet"
    digest = rewrite(directory / name, change)
    run = directory / ("run.base.json" if arm == "base" else "run.json")

    def rehash(document: dict[str, Any]) -> None:
        for entry in document["tasks"]:
            if entry["name"] == task:
                entry["samples"]["sha256"] = digest

    def redigest(submission: dict[str, Any]) -> None:
        submission["row_digests"][name] = row_digests(pq.read_table(directory / name).to_pandas())

    edit(run, rehash)
    edit(directory / "submission.json", redigest)

"""The speech, noise and questions that the benchmarks take, from outside the repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """Return the folder of FORGETBENCH_TEST_DATA, else ``../shared/data``; exit 2 where it is missing."""
    folder = Path(
        os.environ.get("FORGETBENCH_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    )
    if not folder.is_dir():
        print(f"{folder} is missing: set FORGETBENCH_TEST_DATA", file=sys.stderr)
        sys.exit(2)
    return folder

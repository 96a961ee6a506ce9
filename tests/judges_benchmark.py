"""``benchmarks/judges.py`` as a module: its labelled answers and its counts are those of the tests."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@cache
def benchmark() -> ModuleType:
    """Return the module."""
    sys.path.insert(0, str(BENCHMARKS))  # it imports a neighbour
    try:
        return importlib.import_module("judges")
    finally:
        sys.path.remove(str(BENCHMARKS))

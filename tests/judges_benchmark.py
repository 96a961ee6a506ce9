"""``benchmarks/judges.py`` as a module: its labelled answers and its counts are those of the tests."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


@cache
def benchmark() -> ModuleType:
    """Return the module."""
    spec = importlib.util.spec_from_file_location("judges", ROOT / "benchmarks" / "judges.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judges"] = module
    spec.loader.exec_module(module)
    return module

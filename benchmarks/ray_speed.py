"""Several checkpoints on the embedded suites: the local engine in one process against two Ray workers.

Both are whole commands, from their start to their results on the disk, on adapters of SmolLM2-135M-Instruct
in float32. The local engine and each worker have one thread (``OMP_NUM_THREADS=1``; a worker sets what it
reserves), so that neither side uses both cores for one unit. The documents must be equal outside ``measured``
but for the digests of sample files, floats within 1e-4. Ray's start and the import of torch in both workers
are part of its time. A sweep gives its checkpoints to the workers in the same way, once they are trained.

    python benchmarks/ray_speed.py [--adapters 4] [--limit 16] [--tasks retention-mini,safety-mini] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from many_adapters import make_adapters
from text_engine import model_path

GOAL = 1.6
TASKS = "retention-mini,safety-mini"
SAME = 1e-4


def run(folder: Path, engine: str, tasks: str, limit: int) -> float:
    """Return the wall-clock time of one command."""
    environment = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        "FORGETBENCH_CACHE": str(folder / f"cache-{engine}"),
        "TOKENIZERS_PARALLELISM": "false",
    }
    words = [sys.executable, "-c", "from forgetbench.cli import main; main()"]
    words += ["run", "--model", str(folder / "adapter-*"), "--base", str(model_path()), "--tasks", tasks]
    words += ["--limit", str(limit), "--output-path", str(folder / engine), "--engine", engine]
    words += ["--offline", "--no-mlflow"]
    began = time.perf_counter()
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{engine} failed:\n{done.stderr[-3000:]}")
    seconds = time.perf_counter() - began
    print(f"{engine}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return seconds


def documents(folder: Path) -> dict[str, Any]:
    """Return every document by its place, without what differs from run to run."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        document.pop("measured", None)
        found[str(path.relative_to(folder))] = document
    return found


def largest_difference(one: Any, other: Any, where: str = "") -> float:
    """Return how far two documents are apart in any number; infinite where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        each = (largest_difference(one[k], other[k], f"{where}.{k}") for k in one if k != "sha256")
        return max(each, default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return max((largest_difference(*pair, f"{where}[{i}]") for i, pair in pairs), default=0.0)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    if one != other:
        print(f"{where}: {str(one)[:80]} is {str(other)[:80]} on Ray", file=sys.stderr)
    return 0.0 if one == other else float("inf")


def main() -> None:
    """Measure, print, and exit 1 where documents differ or the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forgetbench-ray-") as name:
        folder = Path(name)
        make_adapters(folder, model_path(), options.adapters)
        seconds = {engine: run(folder, engine, options.tasks, options.limit) for engine in ("local", "ray")}
        apart = largest_difference(documents(folder / "local"), documents(folder / "ray"))
    ratio = seconds["local"] / seconds["ray"]
    found = {
        "adapters": options.adapters,
        "limit": options.limit,
        "seconds": {engine: round(each, 1) for engine, each in seconds.items()},
        "ratio": round(ratio, 3),
        "goal": GOAL,
        "largest_difference": apart,
    }
    print(json.dumps(found, indent=2) if options.json else found)
    sys.exit(ratio < GOAL or apart > SAME)


if __name__ == "__main__":
    main()

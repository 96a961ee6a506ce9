"""A run of 100 000 samples with a stub model: is memory flat, time linear, overhead small, resuming quick?

Memory and time are those of a model that takes next to none, so that they are forgetbench's; what the
same command takes for one sample (imports and the plan) is taken off. Memory is the resident set of the
process while the model is asked; its growth from the first tenth of the run on is the answers that are
kept until they are scored.

The overhead is a ratio within one run: the model multiplies matrices, as often as takes 10 ms a batch on
this machine when nothing disturbs it, and what passes between two batches is compared with what they took.
A machine that is slow for a while is slow for both, and forgetbench's code finds the processor's caches as
a model leaves them.

python benchmarks/long_run.py [--samples 100000] [--batch-size 16]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MOST = {"growth": 0.05, "overhead": 0.05, "resume_s": 2.0, "linear": 1.3}
MODEL_S_PER_BATCH = 0.010
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

MODEL = """
import hashlib, json, os, time
import numpy as np
from forgetbench.models.interface import Loglikelihood, Output

PAGE = os.sysconf("SC_PAGE_SIZE")
MATRIX = np.random.default_rng(0).random((192, 192), dtype=np.float32)

def work(times):
    for _ in range(times):
        MATRIX @ MATRIX

class Stub:
    chat_template = None
    fingerprint = "stub"
    def __init__(self):
        self.asked, self.own_s, self.log = 0, 0.0, open(os.environ["LOG"], "a", buffering=1)
    def render_chat(self, user, *, template=None):
        return None
    def first_token_ids(self, text, *, rendered):
        return (1, 2, 3)
    def generate(self, requests):
        start = time.perf_counter()
        self.asked += 1
        if self.asked % 50 == 1:
            resident = int(open("/proc/self/statm").read().split()[1]) * PAGE
            self.log.write(json.dumps([time.perf_counter(), self.asked, resident, self.own_s]) + "\\n")
        stop = os.environ.get("STOP_AFTER")
        if stop and self.asked > int(stop):
            os._exit(9)
        work(int(os.environ.get("WORK", 0)))
        outputs = [Output(text="a cat sat on the mat", n_tokens=6, truncated=False) for _ in requests]
        self.own_s += time.perf_counter() - start
        return outputs
    def score_text(self, requests):
        return [Loglikelihood(logprob=-1.0, is_greedy=False, n_tokens=1) for _ in requests]

def stub():
    return Stub()
"""


def main() -> int:
    """Measure, print, and say by the exit code whether it is good enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--batch-size", type=int, default=16)
    asked = parser.parse_args()
    n, size = asked.samples, asked.batch_size
    with tempfile.TemporaryDirectory() as temporary:
        half = Workshop(Path(temporary) / "half", n // 2, size)
        whole = Workshop(Path(temporary) / "whole", n, size)
        half.start_s()  # once for the files that are read from a cold disk
        start_s = half.start_s()
        half_s, whole_s = half.run() - start_s, whole.run() - start_s
        found: dict[str, float] = {"start_s": start_s, "half_s": half_s, "whole_s": whole_s}
        found["linear"] = whole_s / (2 * half_s)
        found |= whole.asking()
        busy = Workshop(Path(temporary) / "busy", n, size)
        busy.run(WORK=str(busy.work_of_a_batch()))
        found |= busy.overhead()
        found["finished_again_s"] = whole.run() - start_s
        killed = Workshop(Path(temporary) / "killed", n, size)
        killed.run(STOP_AFTER=str(n // size - 100))
        found["resume_s"] = killed.resume_s()
    print(json.dumps({key: round(value, 4) for key, value in found.items()}, indent=2))
    bad = [key for key, most in MOST.items() if found[key] > most]
    print(f"not good enough: {', '.join(bad)}" if bad else "good enough")
    return 1 if bad else 0


class Workshop:
    """A folder with a task of many samples, a stub model, and what runs leave."""

    def __init__(self, folder: Path, n: int, batch_size: int) -> None:
        folder.mkdir()
        (folder / "stub_model.py").write_text(MODEL)
        rows = (
            {"id": f"s{i}", "prompt": f"question number {i} of many", "answer": "a cat"} for i in range(n)
        )
        (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "many.yaml").write_text(
            "name: many\nversion: 1\ntitle: Many\nkind: generate\nrole: general\nmargin: 0.02\n"
            "licence: CC0-1.0\nprompt: '{prompt}'\nmetrics: [exact_match]\nprimary: exact_match\n"
            "max_new_tokens: 8\ndataset: {path: many.jsonl, fields: {id: id}}\n"
        )
        self.folder, self.n, self.batch_size = folder, n, batch_size

    def run(self, **environment: str) -> float:
        """Run the command and return how long it took, in seconds."""
        start = time.perf_counter()
        command = [
            sys.executable, "-c", "from forgetbench.cli import main; main()", "run",
            "--model", "stub_model:stub", "--tasks", "many", "--include-path", "many.yaml", "--no-mlflow",
            "--offline", "--batch-size", str(self.batch_size),
        ]  # fmt: skip
        own = {"FORGETBENCH_CACHE": str(self.folder / "cache"), "LOG": str(self.folder / "log")}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **own, **environment},
            capture_output=True,
            check=False,
        )
        assert done.returncode == (9 if "STOP_AFTER" in environment else 0), done.stderr.decode()[-800:]
        return time.perf_counter() - start

    def log(self) -> list[tuple[float, int, int, float]]:
        """Return time, batch, resident bytes and the model's own seconds so far, as the model saw them."""
        return [tuple(json.loads(line)) for line in (self.folder / "log").read_text().splitlines()]

    def asking(self) -> dict[str, float]:
        """Return how memory and time went while the model was asked."""
        seen = self.log()
        tenth = max(1, len(seen) // 10)
        early, late = seen[tenth], seen[-1]
        return {
            "resident_mb_early": early[2] / 1e6,
            "resident_mb_late": late[2] / 1e6,
            "growth": late[2] / early[2] - 1,
        }

    def work_of_a_batch(self) -> int:
        """Return how many multiplications the model does in 10 ms on this machine undisturbed."""
        code = (
            "import time; from stub_model import work; work(100)\n"
            "def taken():\n"
            "    start = time.perf_counter(); work(100)\n"
            "    return time.perf_counter() - start\n"
            "print(min(taken() for _ in range(100)) / 100)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env=os.environ | {"LOG": os.devnull},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return round(MODEL_S_PER_BATCH / float(done.stdout))

    def overhead(self) -> dict[str, float]:
        """Return what passed between batches against what the model took for them."""
        (first, *_, last) = self.log()
        n_batches, model_s = last[1] - first[1], last[3] - first[3]
        between_s = last[0] - first[0] - model_s
        return {
            "model_ms_per_batch": 1000 * model_s / n_batches,
            "ms_between_batches": 1000 * between_s / n_batches,
            "overhead": between_s / model_s,
        }

    def start_s(self) -> float:
        """Return what the same command takes for a task of one sample: imports and the plan."""
        one = Workshop(self.folder.parent / f"{self.folder.name}-one", 1, self.batch_size)
        seconds = one.run()
        shutil.rmtree(one.folder)
        return seconds

    def resume_s(self) -> float:
        """Return the time from reading the journal to the first batch that is missing."""
        code = (
            "import sys, time; sys.path.insert(0, '.'); from pathlib import Path\n"
            "from forgetbench.engine.journal import Journal\n"
            "start = time.perf_counter()\n"
            "with Journal.open(Path(sys.argv[1])) as journal: n = len(journal.answers)\n"
            "print(time.perf_counter() - start, n)"
        )
        (journal,) = (self.folder / "cache" / "predictions").rglob("*.jsonl")
        done: Any = subprocess.run(
            [sys.executable, "-c", code, str(journal)], capture_output=True, text=True, check=True
        )
        seconds, n = done.stdout.split()
        assert int(n) >= self.n - 101 * self.batch_size
        return float(seconds)


if __name__ == "__main__":
    sys.exit(main())

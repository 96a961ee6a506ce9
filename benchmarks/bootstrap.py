"""The paired bootstrap of corpus WER: 10 000 draws over 10 000 utterances, against plain loops over draws.

One plain loop gathers and adds each draw by itself in numpy; the other goes over the utterances in Python,
for a few draws, scaled to all. All three are timed in turn, in rounds, on the same utterances.

    python benchmarks/bootstrap.py [--utterances 10000] [--draws 10000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forgetbench.forgetting.paired_ratio import paired_ratio

LIMIT_S = 2.0
PYTHON_DRAWS = 20
"""Draws of the loop in pure Python, which would take minutes for all."""

Counts = NDArray[np.float64]


def make_counts(n: int) -> tuple[Counts, Counts, Counts]:
    """Return word errors of the base, of the checkpoint, and reference words; each of shape (n,)."""
    rng = np.random.default_rng(0)
    words = rng.integers(3, 25, n).astype(float)
    base = rng.binomial(words.astype(int), 0.08).astype(float)
    return base, base + rng.binomial(2, 0.05, n), words


def plain_numpy(base: Counts, checkpoint: Counts, words: Counts, draws: int) -> Counts:
    """Return the difference in each draw, one draw at a time."""
    rng = np.random.default_rng(0)
    deltas = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(len(words), size=len(words))
        total = words[chosen].sum()
        deltas[draw] = checkpoint[chosen].sum() / total - base[chosen].sum() / total
    return deltas


def plain_python(base: Counts, checkpoint: Counts, words: Counts, draws: int) -> list[float]:
    """Return the difference in each draw, one utterance at a time."""
    rng = np.random.default_rng(0)
    rows = list(zip(base.tolist(), checkpoint.tolist(), words.tolist(), strict=True))
    deltas = []
    for _ in range(draws):
        chosen = [rows[i] for i in rng.integers(len(rows), size=len(rows)).tolist()]
        total = sum(row[2] for row in chosen)
        deltas.append(sum(row[1] for row in chosen) / total - sum(row[0] for row in chosen) / total)
    return deltas


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> int:
    """Time all three and say whether the bootstrap keeps its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    base, checkpoint, words = make_counts(given.utterances)
    ours, loop, python = [], [], []
    for _ in range(given.rounds):
        ours.append(seconds(lambda: paired_ratio(base, words, checkpoint, words, draws=given.draws)))
        loop.append(seconds(lambda: plain_numpy(base, checkpoint, words, given.draws)))
        once = seconds(lambda: plain_python(base, checkpoint, words, PYTHON_DRAWS))
        python.append(once * given.draws / PYTHON_DRAWS)
    found = {
        "utterances": given.utterances,
        "draws": given.draws,
        "ours_s": round(min(ours), 3),
        "numpy_loop_s": round(min(loop), 3),
        "python_loop_s": round(min(python), 1),
        "times_numpy_loop": round(min(loop) / min(ours), 2),
        "times_python_loop": round(min(python) / min(ours), 1),
        "limit_s": LIMIT_S,
    }
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, value in found.items():
            sys.stdout.write(f"{name:>18} {value}\n")
    return 0 if min(ours) <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())

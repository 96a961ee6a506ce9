"""How fast our text engine scores real benchmarks, against lm-eval's ``hf`` backend on the same requests.

Both score the same requests with the same weights (SmolLM2-135M-Instruct, float32) in one run, alternately,
in each round the other one first: a busy machine slows both, and the ratio of medians counts. lm-eval gets
the batch size that is fastest for it here (tried first on a part). Log-likelihoods are compared request by
request, and accuracies; a difference above 1e-4 is a failure.

Beside each ratio stands the limit: multiply-adds of lm-eval over ours, from unpadded tokens times the weights
they pass through, the keys that each token attends to, and scored positions times the vocabulary projection;
loading is outside the time of both. What lm-eval spends on the softmax of unscored positions is not counted,
so that a share can pass 100 %.

    python benchmarks/text_engine.py [--sets boolq,mmlu] [--rounds 3] [--items N] [--quick] [--json]

The data are those of FORGETBENCH_TEST_DATA, else of ``../shared/data``.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inputs import data_folder

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
GOALS = {"commonsenseqa": 4.0, "boolq": 1.5, "mmlu": 4.5}
QUICK = {"commonsenseqa": 40, "boolq": 16, "mmlu": 8}
N_SHOTS = 5
N_MMLU = 60
TOLERANCE = 1e-4
MEMORY_GOAL = 1.3
SHARE_GOAL = 0.9
"""Of the limit that counting allows."""
FLAT = 1.05
"""Most that twice the items may take, in memory of half of them."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
MAX_BATCH_TOKENS = 8192
"""Tokens of a batch above which lm-eval's logits, twice, would fill the memory of a small machine."""
N_TRIAL = 10
"""One part in so many of the requests is for trying batch sizes."""


@dataclass(frozen=True)
class Item:
    """A question: its prompt, its answers, and which of them is right."""

    context: str
    continuations: tuple[str, ...]
    gold: int


def read_items(name: str) -> list[Item]:
    """Return a set's questions in the form that the field asks them."""
    path = data_folder() / "text" / f"{name}.jsonl"
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if name == "commonsenseqa":
        return [_item(f"Question: {row['question']}\nAnswer:", row["choices"], row) for row in rows]
    if name == "boolq":
        prompt = "{passage}\nQuestion: {question}?\nAnswer:"
        return [_item(prompt.format(**row), row["choices"], row) for row in rows]
    shots = "\n\n".join(f"{_lettered(row)} {'ABCD'[row['gold']]}" for row in rows[:N_SHOTS])
    asked = rows[N_SHOTS :: (len(rows) - N_SHOTS) // N_MMLU][:N_MMLU]
    return [_item(f"{shots}\n\n{_lettered(row)}", "ABCD", row) for row in asked]


def _item(context: str, choices: Sequence[str], row: dict[str, Any]) -> Item:
    return Item(context, tuple(f" {choice}" for choice in choices), row["gold"])


def _lettered(row: dict[str, Any]) -> str:
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
    return f"{row['question'].strip()}\n{options}\nAnswer:"


def make_requests(items: Sequence[Item]) -> list[Any]:
    """Return lm-eval's requests, each question's answers side by side."""
    from lm_eval.api.instance import Instance

    return [
        Instance("loglikelihood", {}, (item.context, continuation), i)
        for item in items
        for i, continuation in enumerate(item.continuations)
    ]


def model_path() -> Path:
    """Return the model's directory."""
    from forgetbench.models.reference import install_command, resolve_reference

    path = resolve_reference(MODEL)
    if path is None:
        sys.exit(f"{MODEL} is not here. Run: {install_command(MODEL)}")
    return path


def make_ours(path: Path, batch_size: int) -> Any:
    """Return our engine behind lm-eval's interface."""
    from forgetbench.models.lm_eval_model import ForgetbenchLM

    return ForgetbenchLM(str(path), batch_size=batch_size)


def make_theirs(path: Path, batch_size: int) -> Any:
    """Return lm-eval's ``hf`` backend."""
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return HFLM(pretrained=str(path), device="cpu", dtype="float32", batch_size=batch_size)


MAKE = {"forgetbench": make_ours, "lm-eval": make_theirs}


def seconds(model: Any, requests: Sequence[Any]) -> tuple[float, list[float]]:
    """Return the wall-clock time of a pass and its log-likelihoods."""
    started = time.perf_counter()
    scores = model.loglikelihood(list(requests), disable_tqdm=True)
    return time.perf_counter() - started, [score for score, _ in scores]


def fastest_batch(theirs: Any, requests: Sequence[Any], longest: int) -> int:
    """Return the batch size that is fastest for lm-eval on a part of the requests."""
    trial = requests[: max(8, len(requests) // N_TRIAL)]
    sizes = [size for size in BATCH_SIZES if size == 1 or size * longest <= MAX_BATCH_TOKENS]
    times = {}
    for size in sizes:
        theirs.batch_size_per_gpu = size
        times[size] = seconds(theirs, trial)[0]
        print(f"  lm-eval, batches of {size}: {times[size]:.2f} s", file=sys.stderr)
    return min(times, key=times.__getitem__)


def accuracy(items: Sequence[Item], scores: Sequence[float]) -> float:
    """Return the share of questions whose right answer is the likeliest."""
    each = iter(scores)
    right = 0
    for item in items:
        own = [next(each) for _ in item.continuations]
        right += own.index(max(own)) == item.gold
    return right / len(items)


def count_work(ours: Any, items: Sequence[Item]) -> dict[str, dict[str, int]]:
    """Return tokens, keys attended to and scored positions that each engine needs, padding left out."""
    from forgetbench.models.branches import shared_rows
    from forgetbench.models.interface import ScoreRequest
    from forgetbench.models.prefix import group_by_prefix

    asked = [ScoreRequest(context=i.context, continuation=c) for i in items for c in i.continuations]
    encoded = ours.model._encode_requests(asked)
    pairs = [(e.inputs[: len(e.inputs) - len(e.targets) + 1], e.targets[:-1]) for e in encoded]
    rows, _ = shared_rows(pairs)
    groups = group_by_prefix([row.context for row in rows])
    tokens = keys = 0
    for group in groups:
        tokens += group.n_shared
        keys += _causal(0, group.n_shared)
        for row in (rows[i] for i in group.members):
            n_context = len(row.context)
            tokens += len(row) - group.n_shared
            keys += _causal(group.n_shared, n_context)
            keys += sum(_causal(n_context, n_context + len(branch)) for branch in row.branches)
    rows_of_lm_eval = {e.inputs for e in encoded}  # it folds requests that feed the model the same
    n_theirs = sum(map(len, rows_of_lm_eval))
    keys_of_lm_eval = sum(_causal(0, len(row)) for row in rows_of_lm_eval)
    positions = sum(row.n_branch_tokens + 1 for row in rows)
    return {
        "forgetbench": {"tokens": tokens, "keys": keys, "positions": positions},
        "lm-eval": {"tokens": n_theirs, "keys": keys_of_lm_eval, "positions": n_theirs},
    }


def _causal(start: int, end: int) -> int:
    """Return how many keys the tokens at places start to end attend to, all before them and themselves."""
    return (end * (end + 1) - start * (start + 1)) // 2


def limit_of(work: dict[str, dict[str, int]], model: Any) -> float:
    """Return lm-eval's multiply-adds over ours."""
    projection = model.get_output_embeddings().weight.numel()
    body = sum(
        p.numel() for name, p in model.named_parameters() if "embed" not in name and "lm_head" not in name
    )
    shape = model.config
    per_key = (
        2 * shape.num_hidden_layers * shape.hidden_size
    )  # its query times it, and its value times a weight
    cost = {
        name: own["tokens"] * body + own["keys"] * per_key + own["positions"] * projection
        for name, own in work.items()
    }
    return cost["lm-eval"] / cost["forgetbench"]


def measure(name: str, rounds: int, n_items: int | None, batch_size: int | None = None) -> dict[str, Any]:
    """Score a set alternately and return medians, their ratio, its limit and the differences.

    Args:
        name: The set.
        rounds: How often each contender scores it.
        n_items: How many of its items; None for all.
        batch_size: lm-eval's; None to try which is fastest.
    """
    path = model_path()
    items = read_items(name)[:n_items]
    requests = make_requests(items)
    ours, theirs = make_ours(path, 16), make_theirs(path, 1)
    longest = max(len(ours.tok_encode(item.context)) for item in items) + 8
    for model in (ours, theirs):
        seconds(model, requests[:4])  # what is made lazily
    theirs.batch_size_per_gpu = batch_size or fastest_batch(theirs, requests, longest)
    times: dict[str, list[float]] = {"lm-eval": [], "forgetbench": []}
    scores: dict[str, list[float]] = {}
    for i in range(rounds):
        contenders = [("lm-eval", theirs), ("forgetbench", ours)]
        for label, model in contenders if i % 2 == 0 else contenders[::-1]:
            ours.model.scorer.forget()
            took, scores[label] = seconds(model, requests)
            times[label].append(took)
            print(f"  {name}, round {i + 1}: {label} {took:.2f} s", file=sys.stderr)
    median = {label: statistics.median(own) for label, own in times.items()}
    work = count_work(ours, items)
    limit, ratio = limit_of(work, theirs.model), median["lm-eval"] / median["forgetbench"]
    return {
        "set": name,
        "items": len(items),
        "requests": len(requests),
        "lm_eval_batch_size": theirs.batch_size_per_gpu,
        "seconds": {label: [round(each, 3) for each in own] for label, own in times.items()},
        "work": work,
        "ratio": round(ratio, 3),
        "goal": GOALS[name],
        "limit": round(limit, 3),
        "share_of_limit": round(ratio / limit, 3),
        "largest_difference": max(
            abs(a - b) for a, b in zip(scores["lm-eval"], scores["forgetbench"], strict=True)
        ),
        "accuracy": {label: accuracy(items, own) for label, own in scores.items()},
    }


def peak_megabytes(label: str, name: str, n_items: int, batch_size: int) -> float:
    """Return the peak resident memory of a process that scores so many items of a set."""
    words = [sys.executable, __file__, "--peak-of", label, "--sets", name]
    words += ["--items", str(n_items), "--batch-size", str(batch_size)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def print_peak(label: str, name: str, n_items: int, batch_size: int) -> None:
    """Score items of a set in this process, and print its peak resident memory in MB."""
    from forgetbench.engine.peak_memory import process_peak_bytes

    MAKE[label](model_path(), batch_size).loglikelihood(
        make_requests(read_items(name)[:n_items]), disable_tqdm=True
    )
    print(process_peak_bytes() / 2**20)


def measure_memory(found: dict[str, Any]) -> dict[str, Any]:
    """Return the peak memory of both on a set, and ours on half of it."""
    name, n, size = found["set"], found["items"], found["lm_eval_batch_size"]
    peaks = {label: round(peak_megabytes(label, name, n, size), 1) for label in MAKE}
    half = round(peak_megabytes("forgetbench", name, n // 2, size), 1)
    return {
        "peak_mb": peaks,
        "of_lm_eval": round(peaks["forgetbench"] / peaks["lm-eval"], 3),
        "goal": MEMORY_GOAL,
        "half_the_items_mb": half,
        "of_half_the_items": round(peaks["forgetbench"] / half, 3),
        "flat": FLAT,
    }


def passed(found: dict[str, Any], *, quick: bool) -> bool:
    """Tell whether scores are equal and, of a whole set, the goals of speed and memory are met."""
    equal = found["largest_difference"] <= TOLERANCE and len(set(found["accuracy"].values())) == 1
    memory = found.get("memory", {"of_lm_eval": 0.0, "of_half_the_items": 0.0})
    small = memory["of_lm_eval"] <= MEMORY_GOAL and memory["of_half_the_items"] <= FLAT
    fast = found["ratio"] >= found["goal"] and found["share_of_limit"] >= SHARE_GOAL
    return equal and (quick or (fast and small))


def describe(found: dict[str, Any]) -> str:
    """Return a set's figures as lines of text."""
    lines = [
        f"{found['set']}: {found['items']} items, {found['requests']} requests",
        *(f"  {label}: {own} s" for label, own in found["seconds"].items()),
        f"  lm-eval in batches of {found['lm_eval_batch_size']}",
        f"  ratio {found['ratio']:.2f} (goal {found['goal']}); limit {found['limit']:.2f}, "
        f"share of it {found['share_of_limit']:.0%} (goal {SHARE_GOAL:.0%})",
        f"  largest difference {found['largest_difference']:.1e}, accuracy {found['accuracy']}",
    ]
    if "memory" in found:
        memory = found["memory"]
        lines.append(
            f"  peak memory {memory['peak_mb']} MB: {memory['of_lm_eval']:.2f} of lm-eval's; "
            f"{memory['of_half_the_items']:.2f} of half the items' ({memory['half_the_items_mb']} MB)"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and exit 1 where scores differ or a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", default=",".join(GOALS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few items, one round, equality only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak-of", choices=list(MAKE), help=argparse.SUPPRESS)
    parser.add_argument("--items", type=int, help="the first so many of each set; all without it")
    parser.add_argument("--batch-size", type=int, help="lm-eval's; tried out without it")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks of memory")
    options = parser.parse_args()
    names = options.sets.split(",")
    if options.peak_of:
        print_peak(options.peak_of, names[0], options.items, options.batch_size or 16)
        return
    results = []
    for name in names:
        n_items = QUICK[name] if options.quick else options.items
        found = measure(name, 1 if options.quick else options.rounds, n_items, options.batch_size)
        if not (options.quick or options.no_memory):
            found["memory"] = measure_memory(found)
        results.append(found)
        print(describe(found), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps(results, indent=2))
    sys.exit(not all(passed(found, quick=options.quick) for found in results))


if __name__ == "__main__":
    main()

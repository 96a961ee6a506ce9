"""A base and eight LoRA adapters on the same questions: one ``forgetbench run`` against nine ``lm_eval``.

Both are whole processes, from their start to their results on the disk, on SmolLM2-135M-Instruct in float32
and 100 questions of CommonsenseQA in one stock lm-eval YAML. forgetbench loads the base once, scores it once
and puts the adapters on it in turn; lm_eval gets ``pretrained=BASE,peft=ADAPTER`` each time, and the batch
size that is fastest for it here. Ours runs before, between and after the nine, each time from nothing: a busy
machine slows both, and the median counts. The accuracies of all nine must be the same.

Beside the ratio stands the limit. lm_eval's nine runs on one question say what starting and loading take; the
rest of its time is scoring. At best we start once and score in what counting tokens, keys and projections
allows of that rest (``text_engine.py``); putting an adapter on is taken to be free.

    python benchmarks/many_adapters.py [--adapters 8] [--items 100] [--quick] [--json]

The data are those of FORGETBENCH_TEST_DATA, else of ``../shared/data``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inputs import data_folder
from text_engine import (
    MEMORY_GOAL,
    Item,
    count_work,
    fastest_batch,
    limit_of,
    make_ours,
    make_requests,
    make_theirs,
    model_path,
    read_items,
)

GOAL = 4.0
SHARE_GOAL = 0.9
TASK = "csqa_stock"
STOCK = """\
task: csqa_stock
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc}}]
metadata: {{version: 1}}
"""


class Ran(NamedTuple):
    """A process that succeeded: its wall-clock time, and its peak resident memory."""

    seconds: float
    peak_mb: float


def write_task(folder: Path, n_items: int) -> None:
    """Write the stock task, its data, and the file by which forgetbench adopts it."""
    source = data_folder() / "text" / "commonsenseqa.jsonl"
    lines = source.read_text(encoding="utf-8").splitlines()[:n_items]
    stock = folder / "lm_eval"
    stock.mkdir()
    (stock / "csqa.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (stock / "csqa.yaml").write_text(STOCK.format(data=stock / "csqa.jsonl"), encoding="utf-8")
    (folder / "csqa_stock.yaml").write_text("lm_eval: csqa_stock\ninclude_path: lm_eval\n", encoding="utf-8")


def make_adapters(folder: Path, base: Path, n: int) -> list[Path]:
    """Save random LoRA adapters of rank 8 on the attention's projections."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    paths = []
    for seed in range(n):
        torch.manual_seed(seed)
        targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
        config = LoraConfig(r=8, lora_alpha=8, target_modules=targets, init_lora_weights=False)
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data.mul_(0.2)
        paths.append(folder / f"adapter-{seed}")
        adapted.save_pretrained(paths[-1])
    return paths


def counted(items: Sequence[Item]) -> tuple[int, float]:
    """Return the batch size that is fastest for lm-eval, and how many times less we compute, by counting."""
    path = model_path()
    ours, theirs = make_ours(path, 16), make_theirs(path, 1)
    longest = max(len(ours.tok_encode(item.context)) for item in items) + 8
    return fastest_batch(theirs, make_requests(items), longest), limit_of(
        count_work(ours, items), theirs.model
    )


def run_process(words: Sequence[str], folder: Path, cache: Path) -> Ran:
    """Run a process to its end, which must be a good one."""
    environment = {
        **os.environ,
        **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "FORGETBENCH_CACHE": str(cache),
    }
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - started
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(words)} failed:\n{said.read().decode()[-2000:]}")
    return Ran(took, used.ru_maxrss / 1024)


def run_lm_eval(
    folder: Path, base: Path, adapter: Path | None, batch_size: int, *more: str
) -> tuple[Ran, float]:
    """Return one ``lm_eval`` process and its accuracy."""
    out = folder / f"lm-eval-results{''.join(more)}" / (adapter.name if adapter else "base")
    model = f"pretrained={base},dtype=float32" + (f",peft={adapter}" if adapter else "")
    words = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", model, "--tasks", TASK]
    words += ["--include_path", str(folder / "lm_eval"), "--device", "cpu", "--batch_size", str(batch_size)]
    ran = run_process([*words, *more, "--output_path", str(out)], folder, folder / "no-cache")
    (file,) = out.rglob("results_*.json")
    return ran, json.loads(file.read_text(encoding="utf-8"))["results"][TASK]["acc,none"]


def run_ours(folder: Path, turn: int) -> tuple[Ran, dict[str, float]]:
    """Return one ``forgetbench run``, for which nothing was answered before, and the accuracies by name."""
    command = [sys.executable, "-c", "from forgetbench.cli import main; main()"]
    words = ["run", "--model", str(folder / "adapter-*"), "--tasks", TASK, "--include-path", str(folder)]
    words += ["--trust-remote-code", "--offline", "--no-mlflow"]
    out = folder / f"results-{turn}"
    ran = run_process([*command, *words, "--output-path", str(out)], folder, folder / f"cache-{turn}")
    found = {}
    for file in out.rglob("run*.json"):
        document = json.loads(file.read_text(encoding="utf-8"))
        name = "base" if document["arm"] == "base" else document["checkpoint"]["name"]
        found[name] = document["tasks"][0]["metrics"]["acc"]["value"]
    print(f"forgetbench: {ran.seconds:.1f} s, {ran.peak_mb:.0f} MB", file=sys.stderr)
    return ran, found


def measure(n_adapters: int, n_items: int) -> dict[str, Any]:
    """Run both and return their times, the ratio, its limit, peaks of memory and the accuracies."""
    base = model_path()
    batch_size, less = counted(read_items("commonsenseqa")[:n_items])
    with tempfile.TemporaryDirectory(prefix="forgetbench-adapters-") as name:
        folder = Path(name)
        write_task(folder, n_items)
        arms: list[Path | None] = [None, *make_adapters(folder, base, n_adapters)]
        started = [run_lm_eval(folder, base, arm, batch_size, "--limit", "1")[0].seconds for arm in arms]
        ours = [run_ours(folder, 0)]
        theirs, expected = [], {}
        for i, arm in enumerate(arms, start=1):
            ran, accuracy = run_lm_eval(folder, base, arm, batch_size)
            theirs.append(ran)
            expected[arm.name if arm else "base"] = accuracy
            print(f"lm_eval, {arm.name if arm else 'base'}: {ran.seconds:.1f} s", file=sys.stderr)
            if i in ((len(arms) + 1) // 2, len(arms)):
                ours.append(run_ours(folder, i))
    ours_s, theirs_s = statistics.median(ran.seconds for ran, _ in ours), sum(ran.seconds for ran in theirs)
    limit = theirs_s / (statistics.median(started) + max(0.0, theirs_s - sum(started)) / less)
    peaks = {
        "forgetbench": max(ran.peak_mb for ran, _ in ours),
        "lm-eval": max(ran.peak_mb for ran in theirs),
    }
    return {
        "adapters": n_adapters,
        "items": n_items,
        "lm_eval_batch_size": batch_size,
        "seconds": {
            "forgetbench": [round(ran.seconds, 2) for ran, _ in ours],
            "lm-eval": [round(ran.seconds, 2) for ran in theirs],
            "lm-eval, one question": [round(seconds, 2) for seconds in started],
        },
        "ratio": round(theirs_s / ours_s, 3),
        "goal": GOAL,
        "limit": round(limit, 3),
        "share_of_limit": round(theirs_s / ours_s / limit, 3),
        "peak_mb": {label: round(peak, 1) for label, peak in peaks.items()},
        "of_lm_eval": round(peaks["forgetbench"] / peaks["lm-eval"], 3),
        "accuracy": {name: [expected[name], *(found.get(name) for _, found in ours)] for name in expected},
        "equal": all(found == expected for _, found in ours),
    }


def describe(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    return "\n".join(
        [
            f"{found['adapters']} adapters and their base, {found['items']} items",
            *(f"  {label}: {own} s" for label, own in found["seconds"].items()),
            f"  lm-eval in batches of {found['lm_eval_batch_size']}",
            f"  ratio {found['ratio']:.2f} (goal {GOAL}); limit {found['limit']:.2f}, share of it "
            f"{found['share_of_limit']:.0%} (goal {SHARE_GOAL:.0%})",
            f"  peak memory {found['peak_mb']} MB: {found['of_lm_eval']:.2f} of lm-eval's",
            f"  accuracies equal: {found['equal']}",
        ]
    )


def main() -> None:
    """Measure, print, and exit 1 where accuracies differ or a goal of speed or memory is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="two adapters, 16 items, equality only")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(2, 16) if options.quick else measure(options.adapters, options.items)
    print(json.dumps(found, indent=2) if options.json else describe(found))
    good = options.quick or (found["ratio"] >= GOAL and found["of_lm_eval"] <= MEMORY_GOAL)
    sys.exit(not (found["equal"] and good))


if __name__ == "__main__":
    main()

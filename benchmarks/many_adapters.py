"""A base and eight LoRA adapters on the same questions: one ``forgetbench run`` against nine ``lm_eval``.

Both are whole processes, from their start to their results on the disk, on SmolLM2-135M-Instruct in float32
and 100 questions of CommonsenseQA in one stock lm-eval YAML. forgetbench loads the base once, scores it once
and puts the adapters on it in turn; lm_eval gets ``pretrained=BASE,peft=ADAPTER`` each time. The accuracies
of all nine must be the same.

    python benchmarks/many_adapters.py [--adapters 8] [--items 100] [--batch-size 16] [--json]

The data are those of FORGETBENCH_TEST_DATA, else of ``../shared/data``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inputs import data_folder
from text_engine import model_path

GOAL = 4.0
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


def run_process(words: Sequence[str], folder: Path) -> float:
    """Return the wall-clock time of a process that succeeds."""
    environment = {
        **os.environ,
        **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "FORGETBENCH_CACHE": str(folder / "cache"),  # nothing may have been answered before
    }
    started = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def run_lm_eval(folder: Path, base: Path, adapter: Path | None, batch_size: int) -> tuple[float, float]:
    """Return the time of one ``lm_eval`` process and its accuracy."""
    out = folder / "lm-eval-results" / (adapter.name if adapter else "base")
    model = f"pretrained={base},dtype=float32" + (f",peft={adapter}" if adapter else "")
    words = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", model, "--tasks", TASK]
    words += ["--include_path", str(folder / "lm_eval"), "--device", "cpu", "--batch_size", str(batch_size)]
    took = run_process([*words, "--output_path", str(out)], folder)
    (file,) = out.rglob("results_*.json")
    return took, json.loads(file.read_text(encoding="utf-8"))["results"][TASK]["acc,none"]


def run_ours(folder: Path) -> tuple[float, dict[str, float]]:
    """Return the time of one ``forgetbench run`` and the accuracies by name."""
    command = [sys.executable, "-c", "from forgetbench.cli import main; main()"]
    words = ["run", "--model", str(folder / "adapter-*"), "--tasks", TASK, "--include-path", str(folder)]
    out = folder / "results"
    took = run_process([*command, *words, "--output-path", str(out), "--offline", "--no-mlflow"], folder)
    found = {}
    for file in out.rglob("run*.json"):
        document = json.loads(file.read_text(encoding="utf-8"))
        name = "base" if document["arm"] == "base" else document["checkpoint"]["name"]
        found[name] = document["tasks"][0]["metrics"]["acc"]["value"]
    return took, found


def measure(n_adapters: int, n_items: int, batch_size: int) -> dict[str, Any]:
    """Run both and return their times, the ratio and the accuracies."""
    base = model_path()
    with tempfile.TemporaryDirectory(prefix="forgetbench-adapters-") as name:
        folder = Path(name)
        write_task(folder, n_items)
        adapters = make_adapters(folder, base, n_adapters)
        ours, accuracies = run_ours(folder)
        print(f"forgetbench: {ours:.1f} s", file=sys.stderr)
        theirs, expected = [], {}
        for adapter in [None, *adapters]:
            took, accuracy = run_lm_eval(folder, base, adapter, batch_size)
            theirs.append(took)
            expected[adapter.name if adapter else "base"] = accuracy
            print(f"lm_eval, {adapter.name if adapter else 'base'}: {took:.1f} s", file=sys.stderr)
    return {
        "adapters": n_adapters,
        "items": n_items,
        "lm_eval_batch_size": batch_size,
        "seconds": {"forgetbench": round(ours, 2), "lm-eval": [round(each, 2) for each in theirs]},
        "ratio": round(sum(theirs) / ours, 3),
        "goal": GOAL,
        "accuracy": {name: [expected[name], accuracies.get(name)] for name in expected},
        "equal": accuracies == expected,
    }


def main() -> None:
    """Measure, print, and exit 1 where accuracies differ or the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.adapters, options.items, options.batch_size)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['adapters']} adapters and their base, {found['items']} items: {found['seconds']} s")
        print(f"ratio {found['ratio']:.2f} (goal {GOAL}), accuracies equal: {found['equal']}")
    sys.exit(not found["equal"] or found["ratio"] < GOAL)


if __name__ == "__main__":
    main()

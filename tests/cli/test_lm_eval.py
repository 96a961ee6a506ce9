"""``forgetbench lm-eval``: a stock task gives the same numbers in the results file through either model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forgetbench.cli.lm_eval import with_model
from tiny_tasks import choice_rows, pair_rows

TASK = """\
task: stock_{kind}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{text}"
{rest}
metadata: {{version: 1}}
"""
RESTS = {
    "multiple_choice": ("{{question}}", "doc_to_choice: choices\ndoc_to_target: gold\n"
                        "metric_list: [{metric: acc}, {metric: acc_norm}]"),
    "generate_until": ("{{prompt}}", "doc_to_target: answer\nmetric_list: [{metric: exact_match}]\n"
                       "generation_kwargs: {until: ['.'], max_gen_toks: 4}"),
    "loglikelihood_rolling": ("", "doc_to_target: '{{prompt}} {{answer}}'\n"
                              "metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tasks", "x"], ["run", "--model", "forgetbench", "--batch_size", "auto", "--tasks", "x"]),
        (["run", "-b", "2"], ["run", "--model", "forgetbench", "-b", "2"]),
        (["run", "--model", "hf"], ["run", "--model", "hf"]),
        (["--model=hf"], ["run", "--model=hf"]),
        (["ls", "tasks"], ["ls", "tasks"]),
        ([], []),
    ],
)
def test_the_model_is_ours_unless_another_is_named(words: list[str], expected: list[str]) -> None:
    assert with_model(words) == expected


def run(command: list[str], model: Path, folder: Path, out: Path) -> dict[str, Any]:
    words = [
        "--model_args",
        f"pretrained={model},dtype=float32",
        "--tasks",
        ",".join(f"stock_{k}" for k in RESTS),
    ]
    words += [
        "--include_path",
        str(folder),
        "--device",
        "cpu",
        "--batch_size",
        "4",
        "--output_path",
        str(out),
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    (file,) = out.rglob("results_*.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_stock_task_gives_the_same_results_file(made: Path, tmp_path: Path) -> None:
    (tmp_path / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in choice_rows(25)))
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pair_rows(12)))
    for kind, (text, rest) in RESTS.items():
        data = tmp_path / ("choices.jsonl" if kind == "multiple_choice" else "pairs.jsonl")
        (tmp_path / f"{kind}.yaml").write_text(TASK.format(kind=kind, data=data, text=text, rest=rest))
    main = "from forgetbench.cli import main; main()"
    ours = run([sys.executable, "-c", main, "lm-eval"], made / "llama", tmp_path, tmp_path / "ours")
    theirs = run(
        [sys.executable, "-m", "lm_eval", "run", "--model", "hf"],
        made / "llama",
        tmp_path,
        tmp_path / "theirs",
    )
    assert ours["config"]["model"] == "forgetbench"
    assert ours["n-samples"] == theirs["n-samples"] and ours["task_hashes"] == theirs["task_hashes"]
    for task, numbers in theirs["results"].items():
        for name, value in numbers.items():
            same = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            assert ours["results"][task][name] == same, (task, name)

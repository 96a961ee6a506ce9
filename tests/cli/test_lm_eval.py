"""``forgetbench lm-eval``: a stock task gives the same numbers in the results file through either model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.cli import main
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


def test_an_unknown_task_is_the_users_mistake(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lm-eval", "--model_args", f"pretrained={made / 'llama'}", "--tasks", "no_such_task"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert line.startswith("error: --tasks no_such_task: lm-eval has no such task. ")


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run the stock tasks by a command line, and return its results file."""

    def call(command: Callable[[], Any], *words: str, name: str) -> dict[str, Any]:
        options = {
            "model_args": f"pretrained={made / 'llama'},dtype=float32",
            "tasks": ",".join(f"stock_{kind}" for kind in RESTS),
            "include_path": str(tmp_path),
            "batch_size": "4",
            "output_path": str(tmp_path / name),
        }
        given = [word for option, value in options.items() for word in (f"--{option}", value)]
        monkeypatch.setattr(sys, "argv", [name, *words, *given])
        try:
            command()
        except SystemExit as end:
            assert not end.code
        (file,) = (tmp_path / name).rglob("results_*.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    return call


@pytest.mark.usefixtures("lm_eval_index")
def test_a_stock_task_gives_the_same_results_file(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    from lm_eval.__main__ import cli_evaluate

    (tmp_path / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in choice_rows(25)))
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pair_rows(12)))
    for kind, (text, rest) in RESTS.items():
        data = tmp_path / ("choices.jsonl" if kind == "multiple_choice" else "pairs.jsonl")
        (tmp_path / f"{kind}.yaml").write_text(TASK.format(kind=kind, data=data, text=text, rest=rest))
    ours = run(main, "lm-eval", name="ours")
    theirs = run(cli_evaluate, "run", "--model", "hf", name="theirs")
    assert ours["config"]["model"] == "forgetbench"
    assert ours["n-samples"] == theirs["n-samples"] and ours["task_hashes"] == theirs["task_hashes"]
    for task, numbers in theirs["results"].items():
        for name, value in numbers.items():
            same = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            assert ours["results"][task][name] == same, (task, name)

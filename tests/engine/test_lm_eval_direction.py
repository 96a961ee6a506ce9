"""Whether a higher score of lm-eval's is better is never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetbench.engine.compare import compare_runs
from forgetbench.engine.run import Request, prepare
from forgetbench.errors import UsageError
from forgetbench.schema.comparison import Comparison
from lm_eval_runs import write_run
from tiny_tasks import pair_rows


def compared(tmp_path: Path, metric: str, *directions: bool | None) -> Comparison:
    """Return how a run with scores around .5 compares to one with scores around .1."""
    runs = [
        write_run(
            tmp_path / f"run{i}",
            {"spoken": ([score + k % 7 / 100 for k in range(60)], 60)},
            metric=metric,
            higher_is_better=higher,
        )
        for i, (score, higher) in enumerate(zip((0.1, 0.5), directions, strict=True))
    ]
    found = compare_runs(*runs, output=tmp_path / "results").comparison
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("metric", "stated", "verdict"),
    [
        ("wer", False, "regressed"),
        ("score", True, "improved"),
        ("ter", None, "regressed"),
        ("acc", None, "improved"),
    ],
)
def test_the_direction_is_the_files_own_else_that_of_lm_evals_registry(
    tmp_path: Path, metric: str, stated: bool | None, verdict: str
) -> None:
    (row,) = compared(tmp_path, metric, stated, stated).rows
    assert row.verdict == verdict


def test_a_metric_whose_direction_nobody_states_is_not_compared_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="whether a higher 'wer' is better is not stated") as refused:
        compared(tmp_path, "wer", None, None)
    assert "`higher_is_better` in the task's `metric_list`" in str(refused.value)


def test_two_runs_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    (row,) = compared(tmp_path, "wer", False, True).rows
    assert row.verdict == "error"


@pytest.mark.usefixtures("lm_eval_index")
@pytest.mark.parametrize("primary", ["", "primary: distance\n"])
def test_an_adopted_task_without_a_direction_is_not_run_and_says_what_to_do(
    made: Path, ask: Callable[..., Request], tmp_path: Path, primary: str
) -> None:
    inner = tmp_path / "lm_eval"
    inner.mkdir()
    (inner / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pair_rows(12)))
    (inner / "metrics.py").write_text("def score(doc, results):\n    return {'distance': 0.5}\n")
    definition = (
        "task: far\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {inner / 'pairs.jsonl'}}}}}\ntest_split: test\n"
        "output_type: generate_until\ndoc_to_text: '{{prompt}}'\ndoc_to_target: answer\n"
        "process_results: !function metrics.score\n"
        "metric_list: [{metric: distance, aggregation: mean DIRECTION}]\n"
    )
    (tmp_path / "far.yaml").write_text(
        f"lm_eval: far\ninclude_path: lm_eval\nsuites: [stock]\ncapability: generate\n{primary}"
    )
    asked = ask(made / "lora", "far", include_paths=[tmp_path], trust_remote_code=True)
    (inner / "far.yaml").write_text(definition.replace(" DIRECTION", ""))
    with pytest.raises(UsageError, match="whether a higher 'distance' is better is not stated"):
        prepare(asked)
    (inner / "far.yaml").write_text(definition.replace(" DIRECTION", ", higher_is_better: false"))
    assert prepare(asked).plan.tasks[0].skipped is None

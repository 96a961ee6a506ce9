"""Two real lm-eval runs become one comparison; what was asked differently never passes for forgetting."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetbench.engine.compare import compare_runs
from forgetbench.engine.curve_results import curve_of
from forgetbench.engine.results import read_samples
from forgetbench.errors import DataError, UsageError
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.curve import Training
from forgetbench.schema.sample import RawPrediction

pytestmark = pytest.mark.realdata

CHOICES = {
    "output_type": "multiple_choice",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "acc_mutual_info"}],
}
ENDINGS = {
    "output_type": "loglikelihood",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_target": "{{choices[gold]}}",
    "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
}
NUMBERS = {
    "output_type": "generate_until",
    "doc_to_text": "Q: {{question}}",
    "doc_to_target": "{{gold}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
    "metric_list": [{"metric": "exact_match"}],
    "filter_list": [
        {
            "name": name,
            "filter": [{"function": "regex", "regex_pattern": pattern}, {"function": "take_first"}],
        }
        for name, pattern in (("strict-match", "#### ([0-9]+)"), ("flexible-extract", "([0-9]+)"))
    ],
}
LIMIT = 25


@pytest.fixture(scope="module")
def logged(
    made: Path, test_data: Path, lm_eval_index: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Output of ``lm-eval run`` by folder; ``templated`` is the checkpoint with its chat template."""
    root = tmp_path_factory.mktemp("logged")
    (root / "tasks").mkdir()
    for name, definition, data in (
        ("questions", CHOICES, "commonsenseqa"),
        ("facts", CHOICES, "boolq"),
        ("numbers", NUMBERS, "gsm8k"),
        ("endings", ENDINGS, "commonsenseqa"),
    ):
        files = {"test": str(test_data / "text" / f"{data}.jsonl")}
        task = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": files},
            "test_split": "test",
        }
        (root / "tasks" / f"{name}.yaml").write_text(
            yaml.safe_dump(task | definition | {"metadata": {"version": 2}})
        )
    (root / "tasks" / "both.yaml").write_text("group: both\ntask: [questions, facts]\n")
    run_lm_eval(made / "llama", root, "base")
    run_lm_eval(made / "other", root, "checkpoint")
    run_lm_eval(made / "other", root, "templated", "--apply_chat_template")
    return root


def run_lm_eval(model: Path, root: Path, name: str, *more: str) -> None:
    from lm_eval.__main__ import cli_evaluate

    arguments = [
        "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu",
        "--include_path", str(root / "tasks"), "--tasks", "both,numbers,endings", "--limit", str(LIMIT),
        "--log_samples", "--output_path", str(root / name), *more,
    ]  # fmt: skip
    before, sys.argv = sys.argv, ["lm-eval", *arguments]
    try:
        cli_evaluate()
    finally:
        sys.argv = before


@pytest.fixture
def compared(logged: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(base: str = "base", checkpoint: str = "checkpoint", **options: Any) -> Any:
        return compare_runs(logged / base, logged / checkpoint, output=tmp_path / "results", **options)

    return run


@pytest.fixture
def altered(logged: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of a run in which each sample was changed by a function."""

    def alter(name: str, task: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Path:
        copy = Path(shutil.copytree(logged / name, tmp_path / "altered"))
        (file,) = copy.rglob(f"samples_{task}_*.jsonl")
        samples = [change(json.loads(line)) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(sample) + "\n" for sample in samples if sample is not None))
        return copy

    return alter


def numbers_of_lm_eval(folder: Path) -> dict[str, Any]:
    (file,) = folder.rglob("results_*.json")
    return dict(json.loads(file.read_text())["results"])


def row(comparison: Comparison, name: str) -> Any:
    return next(r for r in (*comparison.rows, *comparison.details) if r.name == name)


def test_the_scores_are_lm_evals_own_in_both_arms(logged: Path, compared: Callable[..., Any]) -> None:
    comparison = compared().comparison
    for arm in ("base", "checkpoint"):
        theirs = numbers_of_lm_eval(logged / arm)
        for name, metric in (
            ("questions", "acc,none"),
            ("facts", "acc,none"),
            ("numbers", "exact_match,strict-match"),
        ):
            assert getattr(row(comparison, name), arm) == pytest.approx(theirs[name][metric])
    assert {row(comparison, name).n for name in ("questions", "facts", "numbers")} == {LIMIT}


def test_choices_that_lm_eval_asks_twice_are_answered_once(
    logged: Path, compared: Callable[..., Any]
) -> None:
    table = read_samples((result := compared()).directory, result.checkpoint)["questions"]
    (file,) = (logged / "checkpoint").rglob("samples_questions_*.jsonl")
    theirs = {sample["doc_hash"]: sample for sample in map(json.loads, file.read_text().splitlines())}
    for content, cell in zip(table["content"], table["prediction"], strict=True):
        answer, sample = RawPrediction.model_validate_json(cell), theirs[content]
        n_choices = len(sample["doc"]["choices"])
        assert len(answer.loglikelihoods or ()) == 2 * n_choices and answer.likeliest in range(n_choices)
        assert (answer.likeliest == int(sample["target"])) == bool(sample["acc"])


def test_a_group_is_one_row_and_each_filter_a_metric(compared: Callable[..., Any]) -> None:
    comparison = compared().comparison
    kinds = {r.name: r.kind for r in comparison.rows}
    assert kinds == {"numbers": "task", "endings": "task", "both": "suite_row"}
    assert {detail.name for detail in comparison.details} == {"questions", "facts"}
    assert "exact_match,flexible-extract" in {b.metric for b in comparison.beside if b.task == "numbers"}


def test_a_perplexity_is_compared_as_its_logarithm_and_less_is_better(
    logged: Path, compared: Callable[..., Any]
) -> None:
    # under the name perplexity lm-eval's samples hold log-likelihoods, and it says that less is better
    found = row(compared().comparison, "endings")
    assert (found.metric, found.higher_is_better) == ("log_perplexity", False)
    for arm in ("base", "checkpoint"):
        theirs = numbers_of_lm_eval(logged / arm)["endings"]["perplexity,none"]
        assert getattr(found, arm) == pytest.approx(math.log(theirs), rel=1e-6)
    assert found.degradation == pytest.approx(found.checkpoint - found.base)


def test_a_model_that_finds_every_ending_less_likely_has_not_improved(
    logged: Path, altered: Callable[..., Path], compared: Callable[..., Any]
) -> None:
    copy = altered("base", "endings", lambda s: s | {"perplexity": s["perplexity"] - 2.0})
    found = row(compared("base", str(copy)).comparison, "endings")
    assert (found.verdict, found.degradation) == ("regressed", pytest.approx(2.0))


def test_equal_settings_give_no_warning(compared: Callable[..., Any]) -> None:
    assert compared().comparison.warnings == ()


def test_a_chat_template_in_one_run_is_caught_before_it_passes_for_forgetting(
    compared: Callable[..., Any],
) -> None:
    comparison = compared("base", "templated").comparison
    assert {r.verdict for r in comparison.rows} == {"error"}
    assert {r.degradation for r in comparison.rows} == {None}
    assert comparison.beside == ()
    assert "chat template" in row(comparison, "numbers").reason
    assert any("asked with no chat template" in warning for warning in comparison.warnings)
    assert f"questions: prompt_hash differs in {LIMIT} of {LIMIT} samples" in comparison.warnings


def test_one_model_with_and_without_a_template_is_no_loss_either(compared: Callable[..., Any]) -> None:
    comparison = compared("checkpoint", "templated").comparison
    assert not {r.verdict for r in comparison.rows} & {"regressed", "worse", "minor"}
    assert comparison.warnings


def test_other_right_answers_are_no_loss(
    logged: Path, altered: Callable[..., Path], compared: Callable[..., Any]
) -> None:
    copy = altered("checkpoint", "questions", lambda s: s | {"target_hash": "other"})
    comparison = compared("base", str(copy)).comparison
    assert row(comparison, "both").verdict == "error"
    assert "right answers differ" in row(comparison, "questions").reason
    assert f"questions: target_hash differs in {LIMIT} of {LIMIT} samples" in comparison.warnings


def test_the_order_of_samples_does_not_matter(
    logged: Path, altered: Callable[..., Path], compared: Callable[..., Any]
) -> None:
    copy = altered("checkpoint", "questions", lambda s: s | {"doc_id": LIMIT - s["doc_id"]})
    plain, shuffled = compared().comparison, compared("base", str(copy)).comparison
    assert row(shuffled, "questions").transitions == row(plain, "questions").transitions


def test_equal_documents_are_paired_by_occurrence(
    logged: Path, altered: Callable[..., Path], compared: Callable[..., Any]
) -> None:
    def twins(sample: dict[str, Any]) -> dict[str, Any]:
        return sample | {"doc_hash": f"twin {sample['doc_id'] // 2}"}

    copy = altered("checkpoint", "questions", twins)
    again = Path(shutil.copytree(logged / "base", copy.parent / "again"))
    (other,) = again.rglob("samples_questions_*.jsonl")
    lines = [json.dumps(twins(json.loads(line))) + "\n" for line in other.read_text().splitlines()]
    other.write_text("".join(lines))
    found = row(compared(str(again), str(copy)).comparison, "questions")
    assert (found.n, found.unpaired) == (LIMIT, 0)


def test_samples_of_one_run_alone_are_counted(
    altered: Callable[..., Path], compared: Callable[..., Any]
) -> None:
    copy = altered("checkpoint", "questions", lambda s: s if s["doc_id"] else None)
    found = row(compared("base", str(copy)).comparison, "questions")
    assert (found.n, found.unpaired) == (LIMIT - 1, 1)


def test_a_task_that_one_run_lacks_is_named_and_no_row(
    logged: Path, tmp_path: Path, compared: Callable[..., Any]
) -> None:
    copy = Path(shutil.copytree(logged / "checkpoint", tmp_path / "less"))
    (file,) = copy.rglob("results_*.json")
    results = json.loads(file.read_text())
    del results["configs"]["numbers"]
    file.write_text(json.dumps(results))
    comparison = compared("base", str(copy)).comparison
    assert {r.name for r in comparison.rows} == {"endings", "both"}
    assert (
        "numbers was NOT measured: skipped, the checkpoint's run does not have it" in comparison.not_measured
    )


def test_margins_and_roles_are_the_users(compared: Callable[..., Any]) -> None:
    comparison = compared(margins={"both": 0.3}, roles={"num*": "target"}).comparison
    assert (row(comparison, "both").margin, row(comparison, "numbers").role) == (0.3, "target")
    with pytest.raises(UsageError, match="Did you mean numbers"):
        compared(margins={"number": 0.3})


def test_the_written_result_is_whole(compared: Callable[..., Any]) -> None:
    result = compared()
    assert set(read_samples(result.directory, result.base)) == {
        "questions", "facts", "numbers", "endings",
    }  # fmt: skip
    assert result.checkpoint.settings.limit == LIMIT


def test_checkpoints_that_were_asked_alike_share_a_run_key_and_make_a_curve(
    altered: Callable[..., Path], compared: Callable[..., Any]
) -> None:
    later = altered("checkpoint", "endings", lambda s: s | {"perplexity": s["perplexity"] - 1.0})
    results = [compared(), compared("base", str(later))]
    keys = {result.checkpoint.run_key for result in results}
    assert len(keys) == 1
    assert compared("base", "templated").checkpoint.run_key not in keys
    steps = {result.checkpoint.checkpoint.fingerprint: 10 * i for i, result in enumerate(results, start=1)}
    curve = curve_of(results, {name: Training(steps=n) for name, n in steps.items()})
    assert [point.training.steps for point in curve.points] == [10, 20]


def test_what_is_no_pair_is_refused_in_one_line(
    logged: Path, tmp_path: Path, compared: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match="same checkpoint"):
        compared("base", "base")
    with pytest.raises(UsageError, match="several models"):
        compared("base", ".")
    bare = Path(shutil.copytree(logged / "checkpoint", tmp_path / "bare"))
    for file in bare.rglob("samples_*"):
        file.unlink()
    with pytest.raises(UsageError, match="--log_samples"):
        compared("base", str(bare))
    (results,) = bare.rglob("results_*.json")
    results.write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        compared("base", str(bare))


def test_a_worse_perplexity_is_a_loss(tmp_path: Path) -> None:
    for name, mean in (("base", -1.0), ("checkpoint", -2.0)):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        metric = {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}
        results = {
            "configs": {"next": {"output_type": "loglikelihood", "metric_list": [metric]}},
            "higher_is_better": {"next": {"perplexity": False}},
            "config": {"model": "hf"},
        }
        (folder / "results_2026-01-01.json").write_text(json.dumps(results))
        samples = [
            {"doc_id": i, "doc_hash": f"{i:064}", "metrics": ["perplexity"], "perplexity": mean + i % 3 / 10}
            for i in range(30)
        ]
        lines = "".join(json.dumps(sample) + "\n" for sample in samples)
        (folder / "samples_next_2026-01-01.jsonl").write_text(lines)
    compared = compare_runs(tmp_path / "base", tmp_path / "checkpoint", output=tmp_path / "results")
    found = row(compared.comparison, "next")
    assert (found.metric, found.base, found.checkpoint) == (
        "log_perplexity", pytest.approx(0.9), pytest.approx(1.9),
    )  # fmt: skip
    assert found.degradation == pytest.approx(1.0)

"""lm-eval's own tasks give lm-eval's own numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine.results import read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.engine.trial import try_task
from forgetbench.errors import TaskError, UsageError
from forgetbench.schema.sample import RawPrediction
from forgetbench.tasks.definition import read_definition
from tiny_tasks import choice_rows, pair_rows

pytestmark = pytest.mark.usefixtures("lm_eval_index")

STOCK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: {kind}
doc_to_text: "{text}"
{rest}
metadata: {{version: 1}}
"""


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    """lm-eval task files over local data, a group of two of them, and our files that adopt them."""
    folder = tmp_path / "stock"
    inner = folder / "lm_eval"
    inner.mkdir(parents=True)
    (inner / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in choice_rows(25)))
    (inner / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pair_rows(12)))
    multiple = "doc_to_choice: choices\ndoc_to_target: gold\nmetric_list: [{metric: acc}, {metric: acc_norm}]"
    mutual = multiple.replace("acc_norm", "acc_mutual_info")
    generated = (
        "doc_to_target: answer\ngeneration_kwargs: {until: ['.'], max_gen_toks: 4}\n"
        "metric_list: [{metric: exact_match}]"
    )
    rolling = (
        "doc_to_target: '{{prompt}} {{answer}}'\n"
        "metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]"
    )
    short = generated.replace("max_gen_toks", "max_new_tokens")
    endings = "doc_to_target: ' {{answer}}'\nmetric_list: [{metric: perplexity}, {metric: acc}]"
    for name, kind, text, rest, data in (
        ("stock_endings", "loglikelihood", "{{prompt}}", endings, "pairs.jsonl"),
        ("stock_choices", "multiple_choice", "{{question}}", multiple, "choices.jsonl"),
        ("stock_again", "multiple_choice", "again: {{question}}", multiple, "choices.jsonl"),
        ("stock_mutual", "multiple_choice", "{{question}}", mutual, "choices.jsonl"),
        ("stock_shots", "multiple_choice", "{{question}}", f"{multiple}\nnum_fewshot: 2", "choices.jsonl"),
        ("stock_answers", "generate_until", "{{prompt}}", generated, "pairs.jsonl"),
        ("stock_short", "generate_until", "{{prompt}}", short, "pairs.jsonl"),
        ("stock_texts", "loglikelihood_rolling", "", rolling, "pairs.jsonl"),
    ):
        definition = STOCK.format(name=name, kind=kind, text=text, rest=rest, data=inner / data)
        (inner / f"{name}.yaml").write_text(definition)
    (inner / "stock_group.yaml").write_text("group: stock_group\ntask: [stock_choices, stock_again]\n")
    for name in (
        "stock_choices",
        "stock_mutual",
        "stock_shots",
        "stock_group",
        "stock_texts",
        "stock_endings",
    ):
        (folder / f"{name}.yaml").write_text(f"lm_eval: {name}\ninclude_path: lm_eval\nsuites: [stock]\n")
    for name in ("stock_answers", "stock_short"):
        (folder / f"{name}.yaml").write_text(
            f"lm_eval: {name}\ninclude_path: lm_eval\nsuites: [stock]\ncapability: generate\n"
        )
    (folder / "none.yaml").write_text("lm_eval: no_such_task\ninclude_path: lm_eval\n")
    return folder


@pytest.fixture
def ask(ask: Callable[..., Request]) -> Callable[..., Request]:
    """Ask as one who has read the stock tasks, and trusts them."""
    return partial(ask, trust_remote_code=True)


def lm_eval_numbers(model: Path, stock: Path, task: str) -> dict[str, Any]:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=1, logits_cache=False),
        tasks=[task],
        task_manager=TaskManager(include_path=str(stock / "lm_eval"), verbosity="ERROR"),
        bootstrap_iters=0,
        log_samples=True,
    )
    assert results is not None
    return results


@pytest.mark.parametrize(
    ("task", "metric"), [("stock_choices", "acc"), ("stock_choices", "acc_norm"), ("stock_shots", "acc")]
)
def test_scores_equal_lm_evals_item_by_item(
    made: Path, ask: Callable[..., Request], stock: Path, task: str, metric: str
) -> None:
    result = evaluate(prepare(ask(made / "lora", task, include_paths=[stock])))
    assert result.base is not None
    theirs = lm_eval_numbers(made / "llama", stock, task)
    ours = {t.name: t for t in result.base.tasks}[task].metrics[metric]
    assert ours.value == pytest.approx(theirs["results"][task][f"{metric},none"])
    table = read_samples(result.directory, result.base)[task]
    expected = {str(sample["doc_id"]): sample[metric] for sample in theirs["samples"][task]}
    assert dict(zip(table["id"], table[metric], strict=True)) == expected
    prompts = {str(s["doc_id"]): s["arguments"][0][0] for s in theirs["samples"][task]}
    assert dict(zip(table["id"], table["input"], strict=True)) == prompts, "the same shots"


def test_choices_that_are_asked_twice_for_mutual_information_are_answered_once(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    result = evaluate(prepare(ask(made / "lora", "stock_mutual", include_paths=[stock])))
    assert result.base is not None
    theirs = lm_eval_numbers(made / "llama", stock, "stock_mutual")
    (task,) = result.base.tasks
    for metric in ("acc", "acc_mutual_info"):
        assert task.metrics[metric].value == pytest.approx(
            theirs["results"]["stock_mutual"][f"{metric},none"]
        )
    table = read_samples(result.directory, result.base)["stock_mutual"]
    answers = [RawPrediction.model_validate_json(cell) for cell in table["prediction"]]
    assert {len(answer.loglikelihoods or ()) for answer in answers} == {6}
    right = {str(s["doc_id"]): (int(s["target"]), s["acc"]) for s in theirs["samples"]["stock_mutual"]}
    for key, answer in zip(table["id"], answers, strict=True):
        gold, acc = right[key]
        assert answer.likeliest in range(3) and (answer.likeliest == gold) == bool(acc)


@pytest.mark.parametrize("task", ["stock_answers", "stock_short"])
def test_generated_answers_equal_lm_evals(
    task: str, made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    from forgetbench.schema.run import Settings

    settings = Settings(chat_template="none")
    result = evaluate(prepare(ask(made / "lora", task, include_paths=[stock], settings=settings)))
    assert result.base is not None
    theirs = lm_eval_numbers(made / "llama", stock, task)
    table = read_samples(result.directory, result.base)[task]
    said = [json.loads(prediction).get("text", "") for prediction in table["prediction"]]
    by_id = {str(sample["doc_id"]): sample["resps"][0][0] for sample in theirs["samples"][task]}
    assert dict(zip(table["id"], said, strict=True)) == by_id


def test_a_stock_task_that_asks_for_beams_or_draws_is_said_to_be_answered_greedily(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    from forgetbench.schema.run import Sampling, Settings

    def said(settings: Settings) -> tuple[str, ...]:
        asked = ask(made / "lora", "stock_answers", include_paths=[stock], settings=settings)
        return prepare(asked).plan.warnings

    path = stock / "lm_eval" / "stock_answers.yaml"
    plain = path.read_text()
    assert said(Settings()) == ()
    path.write_text(plain.replace("max_gen_toks: 4", "max_gen_toks: 4, do_sample: true, temperature: 0.7"))
    (warning,) = said(Settings())
    assert warning.startswith(
        "stock_answers: do_sample of its file is not followed: answers are made greedily"
    )
    assert said(Settings(sampling=Sampling(temperature=0.7))) == ()
    path.write_text(
        plain.replace("max_gen_toks: 4", "max_gen_toks: 4, num_beams: 4, repetition_penalty: 1.0")
    )
    (warning,) = said(Settings())
    assert warning.startswith("stock_answers: num_beams of its file")


@pytest.mark.parametrize("primary", ["", "primary: perplexity\n", "primary: log_perplexity\n"])
def test_a_perplexity_is_kept_as_its_logarithm_of_which_less_is_better(
    made: Path, ask: Callable[..., Request], stock: Path, primary: str
) -> None:
    # of LAMBADA and its like lm-eval's sample scores are log-likelihoods: more of them is better
    with (stock / "stock_endings.yaml").open("a") as file:
        file.write(primary)
    result = evaluate(prepare(ask(made / "lora", "stock_endings", include_paths=[stock])))
    assert result.base is not None and result.comparison is not None
    theirs = lm_eval_numbers(made / "llama", stock, "stock_endings")["results"]["stock_endings"]
    (row,) = result.comparison.rows
    assert (row.metric, row.higher_is_better) == ("log_perplexity", False)
    assert row.base == pytest.approx(math.log(theirs["perplexity,none"]), rel=1e-5)
    assert row.degradation == pytest.approx((row.checkpoint or 0.0) - row.base)
    assert {beside.metric for beside in result.comparison.beside} == {"acc"}


def test_whole_documents_pool_to_lm_evals_numbers(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    result = evaluate(prepare(ask(made / "lora", "stock_texts", include_paths=[stock])))
    assert result.base is not None and result.comparison is not None
    theirs = lm_eval_numbers(made / "llama", stock, "stock_texts")["results"]["stock_texts"]
    (task,) = result.base.tasks
    assert task.metrics["bits_per_byte"].value == pytest.approx(theirs["bits_per_byte,none"], rel=1e-6)
    perplexity = math.exp(task.metrics["log_word_perplexity"].value or 0.0)
    assert perplexity == pytest.approx(theirs["word_perplexity,none"], rel=1e-5)
    assert [row.metric for row in result.comparison.rows] == ["bits_per_byte"]


def test_a_score_that_one_sample_lacks_leaves_the_others_binary(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    (stock / "lm_eval" / "metrics.py").write_text(
        "asked = []\n"
        "def score(doc, results):\n"
        "    asked.append(doc)\n"
        "    return {'acc': float('nan') if doc == asked[0] else 1.0, 'f1': 1.0}\n"
    )
    definition = (stock / "lm_eval" / "stock_answers.yaml").read_text()
    definition = definition.replace("{metric: exact_match}", "{metric: acc}, {metric: f1}")
    (stock / "lm_eval" / "stock_partly.yaml").write_text(
        definition.replace("stock_answers", "stock_partly") + "process_results: !function metrics.score\n"
    )
    adopted = (stock / "stock_answers.yaml").read_text().replace("stock_answers", "stock_partly")
    (stock / "stock_partly.yaml").write_text(adopted)
    result = evaluate(prepare(ask(made / "lora", "stock_partly", include_paths=[stock])))
    (task,) = result.checkpoint.tasks
    assert (task.metrics["acc"].type, task.metrics["acc"].n) == ("binary", 11)


def test_a_group_is_one_row_with_its_tasks_as_details(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    result = evaluate(prepare(ask(made / "lora", "stock_group", include_paths=[stock])))
    assert result.comparison is not None
    assert [(row.name, row.kind) for row in result.comparison.rows] == [("stock_group", "suite_row")]
    assert {row.name for row in result.comparison.details} == {
        "stock_group.stock_choices",
        "stock_group.stock_again",
    }


def test_a_task_of_the_users_own_files_does_not_wait_for_lm_evals_fourteen_thousand(
    made: Path, ask: Callable[..., Request], stock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval.tasks._index import TaskIndex

    read: list[Path] = []
    build = TaskIndex.build

    def recorded(paths: Iterable[Path], **options: Any) -> dict[str, Any]:
        read.extend(paths := list(paths))
        return build(paths, **options)

    monkeypatch.setattr(TaskIndex, "build", staticmethod(recorded))
    prepare(ask(made / "lora", "stock_choices", include_paths=[stock]))
    assert read == [stock / "lm_eval"]


def test_a_relative_include_path_finds_the_same_task(
    made: Path, ask: Callable[..., Request], stock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stock.parent)
    plan = prepare(ask(made / "lora", "stock_choices", include_paths=[Path(stock.name)])).plan
    assert plan.tasks[0].skipped is None


def test_a_file_of_lm_evals_among_ours_is_told_where_to_go(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    (stock / "lm_eval").rename(stock / "inner")
    with pytest.raises(TaskError, match="a file of lm-eval: put it into a folder named lm_eval"):
        prepare(ask(made / "lora", "stock_choices", include_paths=[stock]))


def test_a_task_that_lm_eval_does_not_have_is_named(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    with pytest.raises(TaskError, match="no_such_task: is not a task of lm-eval"):
        prepare(ask(made / "lora", "no_such_task", include_paths=[stock]))


def test_a_trial_builds_the_requests_of_three_samples(stock: Path) -> None:
    trial = try_task(read_definition(stock / "stock_choices.yaml"), trust_remote_code=True)
    assert (len(trial.samples), trial.n_available) == (3, 25)
    assert trial.samples[0].input and trial.samples[0].reference


def test_a_trial_of_a_group_builds_one_of_each_task(stock: Path) -> None:
    trial = try_task(read_definition(stock / "stock_group.yaml"), trust_remote_code=True)
    assert [sample.id.partition("/")[0] for sample in trial.samples] == [
        "stock_group.stock_again",
        "stock_group.stock_choices",
    ]
    assert trial.n_available == 50


def test_a_trial_refuses_a_task_that_lm_eval_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("lm_eval: no_such_task\n")
    with pytest.raises(TaskError, match=r"mine\.yaml, lm_eval: no_such_task: is not a task of lm-eval"):
        try_task(read_definition(tmp_path / "mine.yaml"))


def test_a_trial_reads_no_code_without_trust(stock: Path) -> None:
    trial = try_task(read_definition(stock / "stock_choices.yaml"))
    assert not trial.samples
    assert trial.note.startswith("not tried") and trial.note.endswith("give --trust-remote-code.")


def test_a_trial_without_the_data_says_how_it_is_fetched(tmp_path: Path) -> None:
    own = tmp_path / "my tasks" / "mine.yaml"
    brought = own.parent / "lm_eval" / "on_the_hub.yaml"
    brought.parent.mkdir(parents=True)
    own.write_text("lm_eval: hellaswag\nname: mine\n")
    fetch = f"data is not here: forgetbench fetch --tasks mine --include-path '{own}'"
    assert try_task(read_definition(own)).note == fetch
    own.write_text("lm_eval: on_the_hub\nname: mine\ninclude_path: lm_eval\n")
    rest = "doc_to_target: answer\nmetric_list: [{metric: exact_match}]"
    stock = STOCK.format(name="on_the_hub", kind="generate_until", text="{{a}}", rest=rest, data="x")
    brought.write_text(stock.replace("dataset_path: json", "dataset_path: no/such"))
    assert try_task(read_definition(own), trust_remote_code=True).note == fetch


def test_offline_hub_tasks_are_skipped_with_the_command_that_fetches_them(
    made: Path, ask: Callable[..., Request]
) -> None:
    plan = prepare(ask(made / "lora", "choices,hellaswag")).plan
    skipped = {task.task.name: task.skipped for task in plan.tasks}
    assert skipped["choices"] is None
    assert "forgetbench fetch --tasks hellaswag" in (skipped["hellaswag"] or "")


def test_files_of_lm_eval_that_a_task_brings_are_not_read_without_trust(
    made: Path, ask: Callable[..., Request], stock: Path, tmp_path: Path
) -> None:
    """Python that they name, and Python in a template, which lm-eval renders without a sandbox."""
    mark = tmp_path / "ran"
    definition = (stock / "lm_eval" / "stock_answers.yaml").read_text()
    (stock / "lm_eval" / "mine.py").write_text(
        f"open({str(mark)!r}, 'w').close()\ndef rows(docs): return docs\n"
    )
    (stock / "lm_eval" / "stock_python.yaml").write_text(
        definition.replace("stock_answers", "stock_python") + "process_docs: !function mine.rows\n"
    )
    hostile = "{{ cycler.__init__.__globals__.os.open('FILE', 65) }}".replace("FILE", str(mark))
    (stock / "lm_eval" / "stock_template.yaml").write_text(
        definition.replace("stock_answers", "stock_template").replace("{{prompt}}", hostile)
    )
    for name in ("stock_python", "stock_template"):
        mark.unlink(missing_ok=True)
        (stock / f"{name}.yaml").write_text(
            f"lm_eval: {name}\ninclude_path: lm_eval\nsuites: [stock]\ncapability: generate\n"
        )
        asked = ask(made / "lora", name, include_paths=[stock])
        with pytest.raises(UsageError, match="Read them, then give --trust-remote-code"):
            prepare(replace(asked, trust_remote_code=False))
        assert not mark.exists(), name
        prepare(asked)
        assert mark.exists(), f"{name} runs nothing, so the refusal proves nothing"


def test_a_task_that_runs_a_models_code_needs_consent(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    definition = (stock / "lm_eval" / "stock_answers.yaml").read_text().replace("stock_answers", "stock_code")
    (stock / "lm_eval" / "stock_code.yaml").write_text(f"{definition}unsafe_code: true\n")
    (stock / "stock_code.yaml").write_text(
        "lm_eval: stock_code\ninclude_path: lm_eval\nsuites: [stock]\ncapability: generate\n"
    )
    with pytest.raises(UsageError, match="Consent with --confirm-run-unsafe-code"):
        prepare(ask(made / "lora", "stock_code", include_paths=[stock]))
    consented = ask(made / "lora", "stock_code", include_paths=[stock], confirm_run_unsafe_code=True)
    assert prepare(consented).plan.tasks[0].skipped is None


def test_the_plan_promises_a_detectable_loss_only_where_the_metric_s_spread_is_known(
    made: Path, ask: Callable[..., Request], stock: Path
) -> None:
    from forgetbench.engine.forecast import forecast

    prepared = prepare(ask(made / "lora", "stock_choices,stock_texts", include_paths=[stock]))
    assert prepared.pair.base is not None
    lines = {
        line.name: line for line in forecast(prepared.plan, (prepared.pair.base, prepared.pair.checkpoint))
    }
    assert lines["stock_choices"].smallest_detectable is not None
    assert lines["stock_texts"].smallest_detectable is None, "a perplexity is no accuracy"

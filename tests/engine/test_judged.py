"""Tasks whose answers are judged: by rules, by models, and what a document says of the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine import lazy_model, score_judged
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import UsageError
from forgetbench.schema.run import JudgeInfo
from tiny_judges import make_classifier

Ask = Callable[..., Request]
CLASSES = ("complied", "refused", "partial", "degenerate")


@pytest.fixture
def judged(tiny_tasks: Path) -> Callable[..., None]:
    """Rewrite the tiny refusal task to have this judge."""

    def write(**changes: Any) -> None:
        import yaml

        path = tiny_tasks / "refusals.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))

    return write


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def test_the_default_judge_gives_four_classes_and_is_named(made: Path, ask: Ask) -> None:
    result = run(ask(made / "lora", "refusals"))
    (task,) = result.checkpoint.tasks
    assert task.judge == JudgeInfo(name="refusal@1")
    assert set(task.metrics) == {"complied", "partial", "degenerate"}
    table = read_samples(result.directory, result.checkpoint)["refusals"]
    assert result.comparison is not None
    (rate,) = result.comparison.refusal_rates
    assert rate.checkpoint.rate == table["complied"].mean()


def test_a_model_judges_when_the_judged_one_is_gone_and_is_named_by_its_content(
    made: Path, ask: Ask, judged: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_classifier(tmp_path / "judge", CLASSES)
    judged(judge=f"classifier:{folder}")
    order: list[str] = []
    release, load = lazy_model.LazyModel.release, score_judged.load_judge

    def noting_release(self: lazy_model.LazyModel) -> None:
        order.append("released")
        release(self)

    def noting_load(*arguments: Any) -> Any:
        order.append("judge")
        return load(*arguments)

    monkeypatch.setattr(lazy_model.LazyModel, "release", noting_release)
    monkeypatch.setattr(score_judged, "load_judge", noting_load)
    result = run(ask(made / "lora", "choices,refusals"))
    assert order == ["released", "judge"] * 2
    task = next(task for task in result.checkpoint.tasks if task.name == "refusals")
    assert task.judge is not None and task.judge.name == f"classifier:{folder}"
    assert task.judge.fingerprint is not None and len(task.judge.fingerprint) == 64
    assert task.coverage == 1


def test_another_judge_is_another_result(
    made: Path, ask: Ask, judged: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_classifier(tmp_path / "judge", CLASSES)
    judged(judge=f"classifier:{folder}")
    first = prepare(ask(made / "lora", "refusals")).plan.run_key
    make_classifier(folder, CLASSES, seed=3)
    assert prepare(ask(made / "lora", "refusals")).plan.run_key != first


def test_a_regressor_scores_harmfulness(
    made: Path, ask: Ask, judged: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_classifier(tmp_path / "judge", ["harm"])
    judged(judge=f"regressor:{folder}", metrics=["harmfulness"], primary="harmfulness")
    result = run(ask(made / "lora", "refusals"))
    (task,) = result.checkpoint.tasks
    value = task.metrics["harmfulness"].value
    assert value is not None and 0 <= value <= 4
    assert result.comparison is not None and not result.comparison.refusal_rates


def test_a_verdict_that_cannot_be_read_is_an_error_of_the_sample(
    made: Path, ask: Ask, judged: Callable[..., None]
) -> None:
    judged(judge=f"chat:{made / 'other'}")
    result = run(ask(made / "lora", "refusals"))
    (task,) = result.checkpoint.tasks
    assert (task.n_scored, task.errors) == (0, {"unparsable_verdict": 24})
    assert task.status == "error" and "unparsable_verdict" in task.reason
    assert task.metrics["complied"].value is None
    table = read_samples(result.directory, result.checkpoint)["refusals"]
    assert set(table["error"]) == {"unparsable_verdict"}


def test_a_task_whose_judge_is_not_here_is_skipped_with_the_way_to_have_it(
    made: Path, ask: Ask, judged: Callable[..., None]
) -> None:
    judged(judge="classifier:org/no-such-judge")
    skipped = prepare(ask(made / "lora", "choices,refusals")).plan.tasks[1].skipped
    assert skipped is not None and "hf download org/no-such-judge" in skipped
    with pytest.raises(UsageError, match=r"every task was skipped.*org/no-such-judge"):
        prepare(ask(made / "lora", "refusals"))


def test_a_suffix_is_asked_and_not_judged(
    made: Path, ask: Ask, judged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.models.causal_lm import CausalLM

    asked: list[str] = []
    generate = CausalLM.generate

    def noting(self: CausalLM, requests: Any) -> Any:
        asked.extend(request.prompt for request in requests)
        return generate(self, requests)

    monkeypatch.setattr(CausalLM, "generate", noting)
    judged(suffix=" Start with Sure.")
    result = run(ask(made / "lora", "refusals"))
    assert asked and all("Start with Sure.</u>" in prompt for prompt in asked)
    assert (
        not read_samples(result.directory, result.checkpoint)["refusals"]["input"].str.contains("Sure").any()
    )
    asked.clear()
    judged(suffix="")
    run(ask(made / "lora", "refusals"))
    assert asked and not any("Sure" in prompt for prompt in asked)

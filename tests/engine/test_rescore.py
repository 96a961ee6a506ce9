"""What was predicted can be scored again, without a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetbench.engine import lazy_model
from forgetbench.engine.rescore import Rescoring, rescore
from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import UsageError

Ask = Callable[..., Request]
TEXT = "choices,answers,short,refusals,leaning"


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After this call, loading a model is a failure."""

    def forbid() -> None:
        monkeypatch.setattr(lazy_model, "load", lambda *a, **k: pytest.fail("a model was loaded"))

    return forbid


def documents(result: Result) -> list[dict[str, Any]]:
    assert result.base is not None and result.comparison is not None
    arms = [d.model_dump(exclude={"measured"}) for d in (result.base, result.checkpoint)]
    return [*arms, result.comparison.model_dump()]


def again(result: Result, tasks: Path, output: Path, **more: Any) -> Result:
    return rescore(Rescoring(directory=result.directory, output=output, include_paths=[tasks], **more))


def test_the_same_settings_give_the_same_documents_and_need_no_model(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    system = {"model": f"asr={made / 'whisper'},lm={made / 'lora'}", "tasks": f"{TEXT},heard"}
    result = evaluate(prepare(ask(**system, base=f"asr={made / 'whisper'},lm={made / 'llama'}")))
    no_model()
    scored = again(result, tiny_tasks, tmp_path / "again")
    assert documents(scored) == documents(result)
    assert scored.checkpoint.measured["rescored"]["from"] == str(result.directory)


def test_roles_and_limit_of_the_run_are_kept(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    from forgetbench.schema.run import Settings

    request = ask(made / "lora", "choices,short", settings=Settings(limit=21), roles={"short": "target"})
    result = evaluate(prepare(request))
    no_model()
    assert documents(again(result, tiny_tasks, tmp_path / "again")) == documents(result)


def test_several_drawn_answers_are_all_scored_again_and_a_noise_floor_is_kept(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    from forgetbench.engine.results import RUN_FILE, read_result, write_document
    from forgetbench.schema.run import Sampling, Settings

    settings = Settings(sampling=Sampling(temperature=0.9), repeats=3)
    result = evaluate(prepare(ask(made / "lora", "short,choices", settings=settings)))
    floored = result.checkpoint.tasks[1].model_copy(update={"noise_floor": 0.01})
    document = result.checkpoint.model_copy(update={"tasks": (result.checkpoint.tasks[0], floored)})
    write_document(result.directory / RUN_FILE["checkpoint"], document)
    no_model()
    scored = again(read_result(result.directory), tiny_tasks, tmp_path / "again")
    arms = [d.model_dump(exclude={"measured"}) for d in (document, scored.checkpoint)]
    assert arms[0] == arms[1]


def test_a_changed_metric_changes_the_scores_and_not_the_predictions(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluate(prepare(ask(made / "lora", "refusals,choices")))
    before = {p: p.read_bytes() for p in result.directory.rglob("*") if p.is_file()}
    from forgetbench.engine import score

    monkeypatch.setattr(score, "judge", lambda name: lambda prompt, answer: "refused")
    scored = again(result, tiny_tasks, tmp_path / "again")
    found = {task.name: task for task in scored.checkpoint.tasks}
    assert found["refusals"].metrics["complied"].value == 0
    assert found["choices"] == {task.name: task for task in result.checkpoint.tasks}["choices"]
    assert {p: p.read_bytes() for p in result.directory.rglob("*") if p.is_file()} == before


def test_another_normaliser_makes_a_new_result_beside_the_old_one(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, no_model: Callable[[], None], copy: Any
) -> None:
    other = copy("whisper", "other-whisper")
    config = json.loads((other / "generation_config.json").read_text())
    (other / "generation_config.json").write_text(json.dumps(config | {"length_penalty": 2.0}))
    result = evaluate(prepare(ask(other, "heard", base=str(made / "whisper"))))
    no_model()
    scored = again(result, tiny_tasks, tmp_path / "results", changes={"normaliser": "none"})
    assert scored.directory != result.directory
    assert scored.checkpoint.run_key != result.checkpoint.run_key
    assert scored.comparison is not None
    for old, new in zip(result.checkpoint.tasks, scored.checkpoint.tasks, strict=True):
        assert new.metrics["wer"].value == new.metrics["wer_raw"].value == old.metrics["wer_raw"].value
    line = scored.comparison.reproduce
    assert line.startswith("forgetbench rescore ") and "--normaliser none" in line
    assert str(tmp_path) not in line


def test_what_cannot_be_scored_again_is_refused_in_one_line(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    result = evaluate(prepare(ask(made / "lora", "choices")))
    with pytest.raises(UsageError, match="into itself"):
        again(result, tiny_tasks, tmp_path / "results")
    with pytest.raises(UsageError, match="has a normaliser"):
        again(result, tiny_tasks, tmp_path / "again", changes={"normaliser": "none"})
    task = yaml.safe_load((tiny_tasks / "choices.yaml").read_text())
    (tiny_tasks / "choices.yaml").write_text(yaml.safe_dump(task | {"prompt": "Q: {question}"}))
    with pytest.raises(UsageError, match="not those of the run"):
        again(result, tiny_tasks, tmp_path / "again")
    assert not (tmp_path / "again" / "lora").exists()


def test_another_judge_is_named_in_the_document(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    result = evaluate(prepare(ask(made / "lora", "refusals")))
    no_model()
    scored = again(result, tiny_tasks, tmp_path / "again", changes={"judge": "gcg29"})
    judges = [r.checkpoint.tasks[0].judge for r in (result, scored)]
    assert [judge.name for judge in judges if judge] == ["refusal@1", "gcg29"]
    assert scored.checkpoint.run_key != result.checkpoint.run_key


def test_an_unknown_judge_is_named(made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path) -> None:
    result = evaluate(prepare(ask(made / "lora", "refusals")))
    with pytest.raises(UsageError, match="--judge nobody"):
        again(result, tiny_tasks, tmp_path / "again", changes={"judge": "nobody"})


def test_a_judge_that_is_not_here_is_an_error_of_the_command(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    result = evaluate(prepare(ask(made / "lora", "refusals,choices")))
    with pytest.raises(UsageError, match="hf download org/no-such-judge") as refused:
        again(result, tiny_tasks, tmp_path / "again", changes={"judge": "classifier:org/no-such-judge"})
    assert refused.value.exit_code == 2
    assert not list((tmp_path / "again").rglob("*.json"))


def test_distributions_that_were_compared_are_scored_again(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    (tiny_tasks / "moved.jsonl").write_text(
        "".join(f'{{"id": "{i}", "text": "the cat {i}"}}\n' for i in range(8))
    )
    (tiny_tasks / "moved.yaml").write_text(yaml.safe_dump({
        "name": "moved", "version": 1, "title": "Moved", "role": "distribution", "kind": "divergence",
        "metrics": ["kl"], "primary": "kl", "margin": 0.1, "licence": "CC0-1.0",
        "dataset": {"path": "moved.jsonl", "fields": {"id": "id"}},
    }))  # fmt: skip
    result = evaluate(prepare(ask(made / "lora", "moved,choices")))
    no_model()
    assert documents(again(result, tiny_tasks, tmp_path / "again")) == documents(result)

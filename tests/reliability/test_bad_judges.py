"""Judges that are models and fail: their task is lost, or a sample of it; no verdict is asked for twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetbench.engine import score_judged
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import ForgetbenchError, UsageError
from forgetbench.metrics.judges import TEXT_JUDGES
from forgetbench.models.judge import Exchange, Verdict
from forgetbench.schema.run import TaskResult
from tiny_judges import make_classifier

Ask = Callable[..., Request]
CLASSES = ("complied", "refused", "partial", "degenerate")


@pytest.fixture
def judge(tiny_tasks: Path, tmp_path: Path) -> Path:
    """Return the folder of a tiny classifier that judges the tiny refusal task."""
    folder = make_classifier(tmp_path / "judge", CLASSES)
    path = tiny_tasks / "refusals.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"judge": f"classifier:{folder}"}))
    return folder


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def tasks_of(result: Result) -> dict[str, TaskResult]:
    return {task.name: task for task in result.checkpoint.tasks}


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without_padding(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    dropped = {"pad_token", "eos_token"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({key: value for key, value in config.items() if key not in dropped})
    )
    (folder / "special_tokens_map.json").unlink(missing_ok=True)


def with_few_embeddings(folder: Path) -> None:
    from transformers import LlamaForSequenceClassification

    model = LlamaForSequenceClassification.from_pretrained(folder)
    model.resize_token_embeddings(4)
    model.save_pretrained(folder)


def with_another_head(folder: Path) -> None:
    rewrite(folder / "config.json", id2label={str(i): label for i, label in enumerate(CLASSES[:3])})


@pytest.mark.parametrize("damage", [without_padding, with_few_embeddings, with_another_head])
def test_a_judge_that_cannot_judge_costs_its_task_and_no_other(
    made: Path, ask: Ask, judge: Path, damage: Callable[[Path], None]
) -> None:
    damage(judge)
    result = run(ask(made / "lora", "choices,refusals", base=str(made / "llama")))
    found = tasks_of(result)
    assert found["choices"].status == "done" and found["choices"].coverage == 1
    assert found["refusals"].status == "error" and found["refusals"].errors == {"scoring_error": 24}
    assert result.comparison is not None
    assert {row.name: row.verdict for row in result.comparison.rows}["refusals"] == "error"


@pytest.mark.parametrize(
    "labels", [["complied", "refused"], {"one": "complied"}, {"0": "complied", "2": "refused"}, 3]
)
def test_labels_that_are_not_numbered_are_refused_before_anything_is_asked(
    made: Path, ask: Ask, judge: Path, labels: object
) -> None:
    rewrite(judge / "config.json", id2label=labels)
    with pytest.raises(UsageError, match="does not number its labels"):
        prepare(ask(made / "lora", "refusals"))


@pytest.mark.parametrize("architectures", [{"a": "b"}, [], None, 3])
def test_a_judge_of_no_architecture_is_refused_before_anything_is_asked(
    made: Path, ask: Ask, judge: Path, architectures: object
) -> None:
    rewrite(judge / "config.json", architectures=architectures)
    with pytest.raises(UsageError, match="of no architecture"):
        prepare(ask(made / "lora", "refusals"))


class Strict:
    """Judges every answer as refused, and notes what it is asked."""

    def __init__(self, *, largest: int = 16, dies_at: int | None = None) -> None:
        self.asked: list[list[Exchange]] = []
        self.largest, self.dies_at = largest, dies_at

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.asked.append(list(exchanges))
        if len(exchanges) > self.largest:
            raise MemoryError
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        return [Verdict(judgement="refused")] * len(exchanges)


def test_a_batch_that_does_not_fit_is_judged_one_by_one(
    made: Path, ask: Ask, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = Strict(largest=1)
    monkeypatch.setattr(score_judged, "load_judge", lambda source, settings: strict)
    found = tasks_of(run(ask(made / "lora", "refusals")))["refusals"]
    assert found.status == "done" and found.coverage == 1
    assert max(map(len, strict.asked)) > 1


def test_no_verdict_is_asked_for_twice_beyond_a_batch(
    made: Path, ask: Ask, judge: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole, killed, resumed, again = Strict(), Strict(dies_at=3), Strict(), Strict()

    def judged_by(strict: Strict, cache: str) -> Result:
        monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / cache))
        monkeypatch.setattr(score_judged, "load_judge", lambda source, settings: strict)
        return run(ask(made / "lora", "refusals", base=str(made / "llama"), output=tmp_path / cache / "out"))

    expected = judged_by(whole, "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        judged_by(killed, "killed")
    result = judged_by(resumed, "killed")
    assert len(whole.asked) > 3
    assert killed.asked[:2] + resumed.asked == whole.asked
    assert [t.metrics for t in result.checkpoint.tasks] == [t.metrics for t in expected.checkpoint.tasks]
    table, whole_table = (read_samples(r.directory, r.checkpoint)["refusals"] for r in (result, expected))
    assert table.equals(whole_table)
    shutil.rmtree(result.directory)
    judged_by(again, "killed")
    assert not again.asked


def test_a_plugin_judge_that_fails_costs_its_task_and_no_other(
    made: Path, ask: Ask, tiny_tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upset(prompt: str, answer: str) -> Any:
        raise ForgetbenchError("plug-in mine", "failed on an answer", "Update it.")

    monkeypatch.setattr("forgetbench.metrics.judges.TEXT_JUDGES", {**TEXT_JUDGES, "gcg29": upset})
    path = tiny_tasks / "refusals.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"judge": "gcg29"}))
    found = tasks_of(run(ask(made / "lora", "choices,refusals")))
    assert found["choices"].status == "done"
    assert found["refusals"].status == "error" and "plug-in mine" in found["refusals"].reason

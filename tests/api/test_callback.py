"""A real Trainer with the callback, on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import forgetbench
from forgetbench.errors import TaskError, UsageError


def train(
    made: Path, folder: Path, *callbacks: Any, learning_rate: float = 0.02, lora: bool = False
) -> tuple[Any, Any]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(made / "llama")
    if lora:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5))
    tokenizer = AutoTokenizer.from_pretrained(made / "llama")
    tokenizer.pad_token = tokenizer.eos_token
    ids = tokenizer(["the cat sat on the mat"] * 16)["input_ids"]
    rows = [{"input_ids": row, "labels": row} for row in ids]
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=6, per_device_train_batch_size=4, learning_rate=learning_rate,
        report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True, logging_strategy="no", seed=3,
    )  # fmt: skip
    trainer = Trainer(
        model=model, args=arguments, train_dataset=rows, processing_class=tokenizer, callbacks=[*callbacks]
    )
    trainer.train()
    return model, trainer


@pytest.fixture
def options(tiny_tasks: Path, tmp_path: Path) -> dict[str, Any]:
    return {"include_paths": [tiny_tasks], "output": tmp_path / "results", "offline": True}


def test_every_few_steps_the_model_is_scored_against_its_base(
    made: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    watch = forgetbench.ForgettingCallback("choices,answers", every_steps=2, **options)
    train(made, tmp_path / "out", watch)
    rows = watch.rows
    assert sorted(set(rows["step"])) == [2, 4, 6]
    answers = rows[rows["task"] == "answers"]["degradation"]
    assert len(answers) == 3 and answers.nunique() == 3
    assert not (tmp_path / "out" / "scored").exists()
    loaded = forgetbench.load_results(tmp_path / "results")
    assert sorted(set(loaded.rows["steps"])) == [2, 4, 6]


@pytest.mark.parametrize("lora", [False, True])
def test_the_training_is_the_same_with_and_without_it(
    made: Path, tmp_path: Path, options: dict[str, Any], lora: bool
) -> None:
    watch = forgetbench.ForgettingCallback("answers", every_steps=2, **options)
    with_it, _ = train(made, tmp_path / "a", watch, lora=lora)
    without, _ = train(made, tmp_path / "b", lora=lora)
    assert len(watch.results) == 3
    for one, other in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_regression_of_a_general_task_stops_the_training(
    made: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    options["roles"] = {"answers": "general"}
    watch = forgetbench.ForgettingCallback("answers", every_steps=2, stop_when_regressed=True, **options)
    _, trainer = train(made, tmp_path / "out", watch, learning_rate=5.0)
    assert trainer.state.global_step == 2
    assert list(watch.rows["verdict"]) == ["regressed"]
    unasked = forgetbench.ForgettingCallback("answers", every_steps=2, **options)
    _, trainer = train(made, tmp_path / "out", unasked, learning_rate=5.0)
    assert trainer.state.global_step == 6


def test_a_regression_of_the_target_does_not_stop_it(
    made: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    watch = forgetbench.ForgettingCallback("answers", every_steps=2, stop_when_regressed=True, **options)
    _, trainer = train(made, tmp_path / "out", watch, learning_rate=5.0)
    assert "regressed" in set(watch.rows["verdict"]) and trainer.state.global_step == 6


def test_degradations_go_to_the_active_mlflow_run(
    made: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with mlflow.start_run() as run:
        watch = forgetbench.ForgettingCallback("answers", every_steps=3, **options)
        train(made, tmp_path / "out", watch)
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "degradation/answers bits_per_byte")
    assert [entry.step for entry in history] == [3, 6]
    assert [entry.value for entry in history] == pytest.approx(list(watch.rows["degradation"]))


def test_a_look_that_fails_is_a_warning_and_the_training_goes_on(
    made: Path, tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    watch = forgetbench.ForgettingCallback("answers", every_steps=2, base=tmp_path / "gone", **options)
    _, trainer = train(made, tmp_path / "out", watch)
    assert trainer.state.global_step == 6 and len(watch.results) == 0
    assert "step 2 was not scored" in caplog.text


def test_a_look_that_ends_in_an_error_of_any_kind_does_not_end_the_training(
    made: Path,
    tmp_path: Path,
    options: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = forgetbench.ForgettingCallback("answers", every_steps=3, **options)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise ValueError("one line\nand its cause")

    monkeypatch.setattr("forgetbench.api.callback.evaluate", fail)
    _, trainer = train(made, tmp_path / "out", watch)
    assert trainer.state.global_step == 6 and len(watch.results) == 0
    assert "step 6 was not scored: one line and its cause" in caplog.text


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"every_steps": 0}, UsageError, "no positive number"),
        ({"every_steps": 1.5}, UsageError, "no positive number"),
        ({"limits": 3}, UsageError, "option limits: is not known. Did you mean limit"),
        ({"model": "foo"}, UsageError, "option model: is not known"),
        ({"limit": -1}, UsageError, r"limit=-1"),
        ({"device": "cudda"}, UsageError, "--device cudda: is not here"),
        ({"dtype": "fp16"}, UsageError, "--dtype fp16: is not known"),
        ({"chat_template": "x"}, UsageError, "chat_template='x'"),
        ({"target": "gone.jsonl"}, UsageError, "gone.jsonl: does not exist"),
        ({"roles": {"choises": "target"}}, UsageError, "choises"),
        ({"conditions": [{"noise": "babel"}]}, UsageError, "babble"),
        ({"tasks": "choises"}, TaskError, "choices"),
    ],
)
def test_what_is_wrong_is_said_before_the_training(
    options: dict[str, Any], changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    arguments = {"tasks": "choices", "every_steps": 2, **options, **changes}
    with pytest.raises(error, match=says):
        forgetbench.ForgettingCallback(**arguments)


def test_a_trainer_without_a_tokenizer_is_told_what_to_give(options: dict[str, Any]) -> None:
    from types import SimpleNamespace

    watch = forgetbench.ForgettingCallback("choices", every_steps=2, **options)
    with pytest.raises(UsageError, match="processing_class"):
        watch.on_train_begin(SimpleNamespace(), None, None, model=None, processing_class=None)

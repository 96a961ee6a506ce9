"""How a checkpoint was trained, from its own files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetbench.models.component import Checkpoint, Component
from forgetbench.models.training_record import steps_in_name, training_of
from forgetbench.schema.curve import Training
from forgetbench.schema.recipe import FACTS, Recipe, RecipeFacts


def component(folder: Path, **fields: Any) -> Component:
    folder.mkdir(parents=True, exist_ok=True)
    return Component(
        role="lm", source=folder.name, format="transformers", path=folder, architecture="LlamaForCausalLM",
        fingerprint=str(folder), capabilities=("score_text",), **fields,
    )  # fmt: skip


def training(*components: Component, base: Component | None = None) -> Training:
    checkpoint = Checkpoint(name="c", components={c.role: c for c in components})
    return training_of(checkpoint, Checkpoint(name="b", components={"lm": base}) if base else None)


def facts(**changes: Any) -> RecipeFacts:
    recipe = Recipe(
        name="r",
        family="whisper",
        model="m",
        data="d",
        output="o",
        steps=9,
        learning_rate=1,
        batch_size=1,
        rank=4,
        seed=7,
    )
    return RecipeFacts(
        recipe=recipe.model_copy(update=changes), data_sha256="", status="finished", step=6,
        trained_parameters=320, examples_seen=6, audio_s_available=14.2, audio_s_seen=30, target_loss=1.5,
        versions={},
    )  # fmt: skip


def test_a_recipe_says_everything(tmp_path: Path) -> None:
    made = component(tmp_path / "checkpoint-5")
    (tmp_path / "checkpoint-5" / FACTS).write_text(facts().to_json())
    found = training(made)
    assert found == Training(
        run=found.run, hyperparameters=found.hyperparameters, method="lora", steps=6,
        audio_s=14.2, trained_parameters=320, lora_rank=4, seed=7,
        target_loss=1.5,
    )  # fmt: skip


def test_checkpoints_of_one_recipe_are_one_run_and_another_seed_is_another(tmp_path: Path) -> None:
    runs, chosen = [], []
    for i, changes in enumerate(({}, {"output": "elsewhere", "save_steps": (3,)}, {"seed": 8}, {"rank": 8})):
        made = component(tmp_path / str(i))
        (tmp_path / str(i) / FACTS).write_text(facts(**changes).to_json())
        runs.append(training(made).run)
        chosen.append(training(made).hyperparameters)
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3
    assert chosen[0] == chosen[1] == chosen[2] != chosen[3]


def test_an_adapter_of_the_trainer_says_steps_rank_loss_and_size(tmp_path: Path) -> None:
    made = component(tmp_path / "out" / "checkpoint-500", parameters=1000, adapter_parameters=64)
    history = [{"loss": 3.0}, *({"loss": loss} for loss in (2.0, 1.9, 1.8, 1.7, 1.6)), {"train_runtime": 1.0}]
    state = {"global_step": 480, "num_input_tokens_seen": 9000, "log_history": history}
    (tmp_path / "out" / "checkpoint-500" / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "out" / "checkpoint-500" / "adapter_config.json").write_text('{"r": 16, "peft_type": "LORA"}')
    found = training(made)
    assert (found.steps, found.tokens, found.lora_rank, found.method) == (480, 9000, 16, "lora")
    assert found.trained_parameters == 64
    assert found.target_loss == pytest.approx(1.8)
    assert found.run is not None and found.run.startswith("out ")


def test_an_evaluation_s_loss_goes_before_the_training_loss(tmp_path: Path) -> None:
    made = component(tmp_path / "full", parameters=1000)
    history = [{"loss": 3.0}, {"eval_loss": 2.5}, {"loss": 1.0}, {"eval_loss": 2.25}]
    (tmp_path / "full" / "trainer_state.json").write_text(
        json.dumps({"global_step": 7, "log_history": history})
    )
    found = training(made)
    assert (found.target_loss, found.method, found.trained_parameters, found.tokens) == (
        2.25,
        "full",
        1000,
        None,
    )


def test_runs_of_equal_names_in_different_places_are_told_apart(tmp_path: Path) -> None:
    runs = {
        training(component(tmp_path / place / "out" / f"checkpoint-{n}")).run
        for place in "ab"
        for n in (5, 9)
    }
    assert len(runs) == 2


def test_without_any_file_the_trainers_name_says_the_step_and_nothing_else_is_guessed(tmp_path: Path) -> None:
    found = training(component(tmp_path / "out" / "checkpoint-500", parameters=1000))
    assert (found.steps, found.method, found.trained_parameters, found.lora_rank) == (500, None, None, None)
    assert training(component(tmp_path / "final", parameters=1000)) == Training()
    assert (steps_in_name("checkpoint-12"), steps_in_name("checkpoint-best"), steps_in_name("12")) == (
        12,
        None,
        None,
    )


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"global_step": "6", "log_history": 3}'])
def test_files_that_cannot_be_read_say_nothing(tmp_path: Path, broken: str) -> None:
    made = component(tmp_path / "final")
    (tmp_path / "final" / "trainer_state.json").write_text(broken)
    (tmp_path / "final" / "adapter_config.json").write_text(broken)
    assert (training(made).steps, training(made).target_loss) == (None, None)


def test_a_component_that_is_the_bases_own_is_passed_over(tmp_path: Path) -> None:
    own, trained = component(tmp_path / "checkpoint-3"), component(tmp_path / "checkpoint-9")
    assert training(own, replace(trained, role="asr"), base=own).steps == 9
    assert training(own, base=own) == Training()

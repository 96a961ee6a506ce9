"""How much a checkpoint was trained on."""

from __future__ import annotations

from pathlib import Path

from forgetbench.forgetting.trajectory import Exposure
from forgetbench.models.recipe_facts import read_exposure
from forgetbench.schema.recipe import FACTS, Recipe, RecipeFacts


def test_a_recipe_says_how_much_audio_and_how_many_steps(tmp_path: Path) -> None:
    recipe = Recipe(
        name="r", family="whisper", model="m", data="d", output="o", steps=9, learning_rate=1, batch_size=1
    )
    facts = RecipeFacts(
        recipe=recipe, data_sha256="", status="finished", step=6, trained_parameters=1, examples_seen=6,
        audio_s_available=14.2, audio_s_seen=30, versions={},
    )  # fmt: skip
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / FACTS).write_text(facts.to_json())
    assert read_exposure(tmp_path / "checkpoint-5") == Exposure(audio_s=14.2, step=6)


def test_without_a_recipe_the_trainers_name_says_the_step(tmp_path: Path) -> None:
    assert read_exposure(tmp_path / "checkpoint-500") == Exposure(step=500)
    assert read_exposure(tmp_path / "final") == Exposure()

"""A language model of speech units is trained, post-trained on other speech, and has lost the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import UsageError
from forgetbench.models.checkpoint import resolve
from forgetbench.recipes.make import make_recipe
from forgetbench.recipes.run import run_recipe
from forgetbench.schema.recipe import Recipe
from tiny_recipe_models import Interrupt, facts_of
from tiny_tasks import write_task
from tiny_unit_models import save_tiny_encodec, write_pairs, write_utterances

N_PAIRS = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec, a model that learned low tones, and pairs of a low tone and a high one."""
    folder = tmp_path_factory.mktemp("made")
    save_tiny_encodec(folder / "codec")
    low, _ = (write_utterances(folder, low=sort, n=12) for sort in (True, False))
    run_recipe(recipe("full", folder / "codec", low, folder / "base"))
    write_task(
        folder, "tones", write_pairs(folder, N_PAIRS), kind="minimal_pair", metrics=["acc", "acc_norm"],
        primary="acc",
    )  # fmt: skip
    return folder


def recipe(name: str, model: Path, data: Path, output: Path, **changes: Any) -> Recipe:
    fields: dict[str, Any] = {"steps": 16, "save_steps": (), "batch_size": 4, "learning_rate": 3e-3}
    return make_recipe(name, model=str(model), data=str(data), output=str(output), **{**fields, **changes})


def run(made: Path, output: Path, model: Path, base: Path | None = None) -> Result:
    request = Request(
        model=str(model), base=str(base) if base else None, tasks=["tones"], include_paths=[made],
        output=output, offline=True,
    )  # fmt: skip
    return evaluate(prepare(request))


def test_a_recipe_makes_a_speech_language_model_of_a_codec_and_recordings(made: Path) -> None:
    facts = facts_of(made / "base")
    assert (facts.status, facts.tokens_seen) == ("finished", 16 * 4 * 60)
    assert facts.audio_s_available == pytest.approx(2.4, abs=1e-3)
    assert facts.target_loss is not None and facts.target_loss < 4, "ln 129 = 4.9 is knowing nothing"
    assert resolve(str(made / "base")).capabilities == {"score_audio"}


def test_it_prefers_what_it_learned(made: Path, tmp_path: Path) -> None:
    (task,) = run(made, tmp_path, made / "base").checkpoint.tasks
    assert (task.status, task.n_scored, task.chance) == ("done", N_PAIRS, 0.5)
    assert task.metrics["acc"].value is not None and task.metrics["acc"].value > 0.9


def test_the_loss_of_post_training_on_other_speech_is_found(made: Path, tmp_path: Path) -> None:
    run_recipe(recipe("full", made / "base", made / "high.jsonl", tmp_path / "tuned", steps=32))
    result = run(made, tmp_path / "results", tmp_path / "tuned")
    assert result.base is not None, "the recipe noted where it started"
    assert result.comparison is not None
    (row,) = result.comparison.rows
    assert (row.name, row.verdict) == ("tones", "regressed")
    assert row.base is not None and row.base > 0.9
    assert row.checkpoint is not None and row.checkpoint <= 0.6, "chance is 0.5"


def test_the_same_recipe_gives_the_same_bytes_interrupted_or_not(made: Path, tmp_path: Path) -> None:
    asked = {"steps": 4, "save_steps": (2, 4)}
    data = made / "low.jsonl"
    run_recipe(recipe("full", made / "codec", data, tmp_path / "whole", **asked))
    with pytest.raises(KeyboardInterrupt):
        run_recipe(
            recipe("full", made / "codec", data, tmp_path / "cut", **asked), progress=Interrupt(after=3)
        )
    run_recipe(recipe("full", made / "codec", data, tmp_path / "cut", **asked))
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert (tmp_path / "whole/checkpoint-2/codec/model.safetensors").is_file()


def test_an_adapter_on_it_is_heard_through_its_base_codec(made: Path, tmp_path: Path) -> None:
    run_recipe(recipe("lora", made / "base", made / "high.jsonl", tmp_path / "lora", steps=2))
    result = run(made, tmp_path / "results", tmp_path / "lora", base=made / "base")
    assert [task.status for task in result.checkpoint.tasks] == ["done"]


def test_a_codec_alone_takes_no_adapter_and_no_noise(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a codec alone"):
        run_recipe(recipe("lora", made / "codec", made / "low.jsonl", tmp_path / "lora"))
    noise = {"kind": "babble", "snr_db": [5]}
    with pytest.raises(UsageError, match="recordings as they are"):
        run_recipe(recipe("full", made / "codec", made / "low.jsonl", tmp_path / "noisy", noise=noise))

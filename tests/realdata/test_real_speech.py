"""Whisper tiny.en on real speech, before and after it has learnt digits."""

from __future__ import annotations

import json
from pathlib import Path

import jiwer
import pytest
import yaml

from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.metrics.normalise import normalise
from forgetbench.models.reference import install_command, resolve_reference
from forgetbench.recipes.make import make_recipe
from forgetbench.recipes.run import run_recipe

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

TINY_EN = "openai/whisper-tiny.en"
N_TRAINING = 160


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(tmp_path_factory.mktemp("models")))
        found = resolve_reference(TINY_EN)
    assert found is not None, f"run: {install_command(TINY_EN)}"
    return found


def manifest(folder: Path, name: str, source: Path, lines: slice) -> Path:
    rows = [json.loads(line) for line in source.read_text().splitlines()][lines]
    path = folder / name
    path.write_text("".join(json.dumps({**r, "audio": str(source.parent / r["audio"])}) + "\n" for r in rows))
    return path


def prompts_task(folder: Path, source: Path) -> Path:
    manifest(folder, "prompts.jsonl", source, slice(None))
    task = {
        "name": "prompts", "version": 1, "title": "Voice prompts", "kind": "asr", "role": "general",
        "dataset": {"path": "prompts.jsonl", "fields": {"id": "id"}}, "metrics": ["wer"], "primary": "wer",
        "margin": 0.01, "licence": "CC-BY-SA-3.0",
    }  # fmt: skip
    (folder / "prompts.yaml").write_text(yaml.safe_dump(task))
    return folder / "prompts.yaml"


@pytest.fixture(scope="module")
def digits(base: Path, test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A pair: tiny.en and its LoRA of digits (24 steps, rank 8 on q and v), on digits and on prompts.

    The file is sorted by digit: the adapter sees 0 to 7 and one "eight", and is tested on eights and nines.
    """
    folder = tmp_path_factory.mktemp("digits")
    source = test_data / "speech" / "digits_en.jsonl"
    training = manifest(folder, "training.jsonl", source, slice(N_TRAINING))
    testing = manifest(folder, "digits.jsonl", source, slice(N_TRAINING, None))
    recipe = make_recipe("lora", model=str(base), data=str(training), output=str(folder / "lora"))
    assert (recipe.steps, recipe.rank, set(recipe.target_modules)) == (24, 8, {"q_proj", "v_proj"})
    run_recipe(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(folder / "cache"))
        request = Request(
            model=recipe.output,
            tasks=("prompts",),
            target=testing,
            include_paths=[prompts_task(folder, test_data / "speech" / "prompts_en.jsonl")],
            output=folder / "results",
            offline=True,
        )
        return evaluate(prepare(request))


def test_the_word_error_rate_is_jiwers_on_the_stored_hypotheses(digits: Result) -> None:
    assert digits.base is not None
    task = next(task for task in digits.base.tasks if task.name == "prompts")
    table = read_samples(digits.directory, digits.base)["prompts"]
    hypotheses = [json.loads(prediction).get("text", "") for prediction in table["prediction"]]
    expected = jiwer.wer(
        [normalise(text, "whisper_en@1") for text in table["reference"]],
        [normalise(text, "whisper_en@1") for text in hypotheses],
    )
    assert task.metrics["wer"].n == 180
    assert task.metrics["wer"].value == pytest.approx(expected, abs=1e-12)
    assert expected < 0.05


def test_digits_are_learnt_and_prompts_get_worse(digits: Result) -> None:
    assert digits.comparison is not None
    rows = {row.name: row for row in digits.comparison.rows}
    assert rows["target"].verdict == "improved"
    assert rows["target"].checkpoint is not None and rows["target"].checkpoint <= 0.15
    assert rows["target"].base is not None and rows["target"].base > 0.4
    assert rows["prompts"].degradation is not None and rows["prompts"].degradation > 0
    assert rows["prompts"].verdict in ("minor", "worse", "regressed", "inconclusive")
    assert digits.comparison.decision != "SHIP"

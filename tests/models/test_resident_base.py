"""Adapters take turns on a base that stays loaded, and score as if each had been loaded alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetbench.errors import CheckpointError
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import GenerateRequest, ScoreRequest
from forgetbench.models.load import load
from forgetbench.models.resident_base import ResidentBase
from forgetbench.schema.run import LoadSettings
from tiny_models import make_lora

Copy = Callable[..., Path]
REQUESTS = [
    ScoreRequest(context="the cat", continuation=" sat"),
    ScoreRequest(context="what did a", continuation=" dog"),
]


def scores(path: Path, resident: ResidentBase | None = None, dtype: str = "float32") -> list[float]:
    model = load(resolve(str(path)).components["lm"], LoadSettings(dtype=dtype), resident=resident)
    assert isinstance(model, CausalLM)
    return [score.logprob for score in model.score_text(REQUESTS)]


@pytest.fixture
def adapters(made: Path, tmp_path: Path) -> list[Path]:
    everywhere = {"target_modules": ["q_proj", "k_proj", "o_proj", "up_proj", "down_proj"]}
    return [
        made / "lora",
        made / "llama",
        make_lora(tmp_path / "second", made / "llama", seed=7),
        make_lora(tmp_path / "third", made / "llama", seed=8, **everywhere),
        made / "llama",
        made / "lora",
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adapters_in_turn_score_as_each_alone_and_the_base_is_loaded_once(
    adapters: list[Path], dtype: str
) -> None:
    resident = ResidentBase()
    in_turn = [scores(path, resident, dtype) for path in adapters]
    assert in_turn == [scores(path, dtype=dtype) for path in adapters]
    assert resident.n_loads == 1
    assert in_turn[0] != in_turn[1] != in_turn[2] != in_turn[3]


def test_a_refused_adapter_leaves_nothing_on_the_base(made: Path, copy: Copy) -> None:
    """Its config names other layers than its file: PEFT lays new ones on the base before that is found."""
    wrong = copy("lora", "wrong")
    config = json.loads((wrong / "adapter_config.json").read_text())
    (wrong / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["k_proj", "o_proj"]}))
    resident = ResidentBase()
    base = scores(made / "llama", resident)
    with pytest.raises(CheckpointError):
        scores(wrong, resident)
    assert scores(made / "llama", resident) == base
    assert scores(made / "lora", resident) == scores(made / "lora")


def test_another_checkpoint_takes_the_place_of_the_base(made: Path) -> None:
    resident = ResidentBase()
    paths = [made / "lora", made / "other", made / "lora"]
    assert [scores(path, resident) for path in paths] == [scores(path) for path in paths]
    assert resident.n_loads == 3


def test_an_adapter_with_its_own_embeddings_is_loaded_apart(made: Path, tmp_path: Path) -> None:
    whole = make_lora(tmp_path / "whole", made / "llama", modules_to_save=["embed_tokens"])
    resident = ResidentBase()
    assert scores(made / "llama", resident) == scores(made / "llama")
    assert scores(whole, resident) == scores(whole)
    assert scores(made / "llama", resident) == scores(made / "llama")
    assert resident.n_loads == 3


def test_an_adapters_end_tokens_do_not_pass_to_the_next(copy: Copy, made: Path) -> None:
    other = copy("lora", "own-tokenizer")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (other / name).write_bytes((made / "llama" / name).read_bytes())
    settings = json.loads((other / "tokenizer_config.json").read_text())
    (other / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": "e"}))
    asked = [GenerateRequest(prompt="the", max_new_tokens=12)]

    def said(path: Path, resident: ResidentBase | None) -> object:
        model = load(resolve(str(path)).components["lm"], LoadSettings(), resident=resident)
        assert isinstance(model, CausalLM)
        return model._ends, model.generate(asked)

    resident = ResidentBase()
    assert said(other, resident) == said(other, None)
    assert said(made / "lora", resident) == said(made / "lora", None)
    assert said(other, None) != said(made / "lora", None)

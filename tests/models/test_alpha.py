from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.alpha import at_alpha, interpolate
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.component import Component
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.models.resident_base import ResidentBase
from forgetbench.schema.run import LoadSettings
from tiny_models import make_llama, make_lora

Copy = Callable[..., Path]


def component_at(model: Path, alpha: float, base: Path | None = None) -> Component:
    pair = resolve_pair(str(model), None if base is None else str(base))
    return at_alpha(pair, alpha).checkpoint.components["lm"]


def weights(component: Component, resident: ResidentBase | None = None) -> dict[str, torch.Tensor]:
    model = load(component, LoadSettings(), resident=resident)
    assert isinstance(model, CausalLM)
    return {name: value.clone() for name, value in model.model.state_dict().items()}


@pytest.mark.parametrize("alpha", [0.25, 0.5])
@pytest.mark.parametrize("checkpoint", ["lora", "other"])
def test_weights_lie_between_those_of_base_and_checkpoint(made: Path, checkpoint: str, alpha: float) -> None:
    pair = resolve_pair(str(made / checkpoint), str(made / "llama"))
    assert pair.base is not None
    start, end = weights(pair.base.components["lm"]), weights(pair.checkpoint.components["lm"])
    for resident in (None, ResidentBase()):
        found = weights(component_at(made / checkpoint, alpha, made / "llama"), resident)
        for name, value in found.items():
            expected = start[name] + alpha * (end[name] - start[name])
            assert torch.allclose(value, expected, atol=1e-6), name
    assert any(not torch.equal(start[name], end[name]) for name in start)


def test_weights_under_two_names_are_moved_once(made: Path, tmp_path: Path) -> None:
    """SmolLM2, GPT-2 and Whisper have a head that is their embedding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    config = LlamaConfig.from_pretrained(made / "llama", tie_word_embeddings=True)
    for seed, name in enumerate(("start", "end")):
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / name)
        AutoTokenizer.from_pretrained(made / "llama").save_pretrained(tmp_path / name)
    pair = resolve_pair(str(tmp_path / "end"), str(tmp_path / "start"))
    assert pair.base is not None
    start, end = weights(pair.base.components["lm"]), weights(pair.checkpoint.components["lm"])
    found = weights(component_at(tmp_path / "end", 0.5, tmp_path / "start"))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.allclose(found[name], (start[name] + end[name]) / 2, atol=1e-6), name


def test_one_is_the_checkpoint_itself_and_each_part_has_its_own_fingerprint(made: Path) -> None:
    whole = resolve_pair(str(made / "lora"), None)
    assert at_alpha(whole, 1.0) is whole
    parts = [at_alpha(whole, alpha).checkpoint for alpha in (0.25, 0.5)]
    prints = {part.fingerprint for part in parts} | {whole.checkpoint.fingerprint}
    assert len(prints) == 3 and parts[0].name == "lora@alpha=0.25"


def test_a_change_that_scaling_would_not_scale_is_refused(made: Path, tmp_path: Path, copy: Copy) -> None:
    whole = make_lora(tmp_path / "whole", made / "llama", modules_to_save=["lm_head"])
    with pytest.raises(UsageError, match="whole is no adapter whose whole change is a plain LoRA"):
        component_at(whole, 0.5)
    ia3 = copy("lora")
    config = json.loads((ia3 / "adapter_config.json").read_text())
    (ia3 / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "IA3"}))
    with pytest.raises(UsageError, match="plain LoRA"):
        component_at(ia3, 0.5)


def test_without_a_base_there_is_nothing_to_scale_from(made: Path) -> None:
    with pytest.raises(UsageError, match="needs the base"):
        at_alpha(resolve_pair(str(made / "other"), None), 0.5)


def test_a_component_that_the_base_lacks_cannot_be_scaled(made: Path) -> None:
    pair = resolve_pair(str(made / "lora"), None)
    assert pair.base is not None
    without = replace(pair, base=replace(pair.base, components={"asr": pair.base.components["lm"]}))
    with pytest.raises(UsageError, match="the base has no lm to move towards"):
        at_alpha(without, 0.5)


def test_weights_of_other_shapes_are_named(made: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    other = make_llama(tmp_path / "longer", seed=3)
    model = AutoModelForCausalLM.from_pretrained(other)
    model.resize_token_embeddings(400, mean_resizing=False)
    model.save_pretrained(other)
    with pytest.raises(CheckpointError, match=r"the two differ in .*(embed_tokens|lm_head)"):
        load(component_at(other, 0.5, made / "llama"), LoadSettings())


def test_weights_that_are_not_in_memory_are_not_taken_for_moved(made: Path) -> None:
    """What ``--device auto`` has put on a disk is on torch's meta device, where a copy does nothing."""
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(made / "llama")
    elsewhere = AutoModelForCausalLM.from_pretrained(made / "other")
    elsewhere.model.embed_tokens.to("meta")
    with pytest.raises(CheckpointError, match="some of its weights are not in memory"):
        interpolate(elsewhere, base, component_at(made / "other", 0.5, made / "llama"), 0.5)

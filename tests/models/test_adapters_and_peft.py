"""Every kind of LoRA scores as PEFT alone lets it, and leaves the base that others share as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgetbench.errors import UsageError
from forgetbench.models.alpha import at_alpha
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import ScoreRequest
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.models.resident_base import ResidentBase
from forgetbench.models.weights import can_switch_off
from forgetbench.schema.run import LoadSettings
from tiny_models import make_lora

REQUESTS = [
    ScoreRequest(context="the cat", continuation=" sat"),
    ScoreRequest(context="what did a", continuation=" model forget"),
]
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "bias of a LoRA": {"lora_bias": True},
    "biases": {"bias": "all"},
    "PiSSA": {"init_lora_weights": "pissa"},
    "OLoRA": {"init_lora_weights": "olora"},
    "layers twice": {"layer_replication": [[0, 2], [0, 2]]},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "new tokens": {"trainable_token_indices": [3, 4]},
}
CHANGES_BASE = ["PiSSA", "OLoRA", "layers twice"]


@pytest.fixture(params=[False, True], ids=["own head", "head tied to the embedding"])
def base(request: pytest.FixtureRequest, made: Path, tmp_path: Path) -> Path:
    if not request.param:
        return made / "llama"
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(made / "llama", tie_word_embeddings=True)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "tied")
    AutoTokenizer.from_pretrained(made / "llama").save_pretrained(tmp_path / "tied")
    return tmp_path / "tied"


def trained(folder: Path, base: Path, *, seed: int = 1, **settings: Any) -> Path:
    """Make an adapter whose every matrix was moved from where it began."""
    import torch
    from safetensors.torch import load_file, save_file

    make_lora(folder, base, seed=seed, zero=settings.pop("init_lora_weights", False), **settings)
    file = folder / "adapter_model.safetensors"
    torch.manual_seed(seed)
    save_file({name: t + 0.2 * torch.randn_like(t) for name, t in load_file(file).items()}, file)
    return folder


def scores(path: Path, resident: ResidentBase | None = None, dtype: str = "float32") -> list[float]:
    model = load(resolve(str(path)).components["lm"], LoadSettings(dtype=dtype), resident=resident)
    assert isinstance(model, CausalLM)
    return [score.logprob for score in model.score_text(REQUESTS)]


def scores_by_peft(path: Path, base: Path) -> list[float]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), path).eval()
    found = []
    for request in REQUESTS:
        n, ids = (
            len(tokenizer.encode(request.context)),
            tokenizer.encode(request.context + request.continuation),
        )
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        found.append(sum(float(logprobs[i - 1, ids[i]]) for i in range(n, len(ids))))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_scores_as_peft_lets_it(kind: str, base: Path, tmp_path: Path) -> None:
    adapter = trained(tmp_path / "adapter", base, **KINDS[kind])
    assert scores(adapter) == pytest.approx(scores_by_peft(adapter, base), abs=1e-4)
    assert scores(adapter) != pytest.approx(scores(base), abs=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_base_and_next_adapter_are_untouched(kind: str, dtype: str, base: Path, tmp_path: Path) -> None:
    adapter = trained(tmp_path / "adapter", base, **KINDS[kind])
    following = trained(tmp_path / "next", base, seed=7)
    resident = ResidentBase()
    turns = [adapter, base, following, adapter, base]
    assert [scores(path, resident, dtype) for path in turns] == [scores(path, dtype=dtype) for path in turns]


@pytest.mark.parametrize("kind", CHANGES_BASE)
def test_what_takes_a_part_out_of_the_base_is_neither_scaled_nor_switched_off(
    kind: str, made: Path, tmp_path: Path
) -> None:
    adapter = trained(tmp_path / "adapter", made / "llama", **KINDS[kind])
    assert not can_switch_off(resolve(str(adapter)).components["lm"])
    with pytest.raises(UsageError, match="no adapter whose whole change is a plain LoRA"):
        at_alpha(resolve_pair(str(adapter), None), 0.5)

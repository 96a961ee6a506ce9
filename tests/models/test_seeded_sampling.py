"""Sampling with a generator for each answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Draw, GenerateRequest
from forgetbench.models.seeded_sampling import SeededSampling
from forgetbench.schema.run import LoadSettings

LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0, -3.0])
IDS = torch.zeros((1, 1), dtype=torch.long)


def drawn(n: int, **how: float) -> torch.Tensor:
    """Share of each token among n draws from LOGITS."""
    sample = SeededSampling([Draw(seed=seed, **how) for seed in range(n)])  # type: ignore[arg-type]
    chosen = sample(IDS, LOGITS.repeat(n, 1)).argmax(dim=-1)
    return torch.bincount(chosen, minlength=len(LOGITS)) / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_softmax_says(temperature: float) -> None:
    expected = torch.softmax(LOGITS / temperature, dim=-1)
    n = 4000
    error = (expected * (1 - expected) / n).sqrt()
    assert ((drawn(n, temperature=temperature) - expected).abs() < 4 * error + 1e-4).all()


@pytest.mark.parametrize(
    ("how", "kept"),
    [({"top_k": 2}, {0, 1}), ({"top_p": 0.7}, {0, 1}), ({"top_p": 0.5}, {0}), ({"min_p": 0.2}, {0, 1, 2})],
    ids=str,
)
def test_what_is_drawn_from_is_what_transformers_keeps(how: dict[str, float], kept: set[int]) -> None:
    from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers = {"top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper}
    ((name, value),) = how.items()
    theirs = warpers[name](value)(IDS, LOGITS[None].clone())[0]
    assert set(theirs.isfinite().nonzero()[:, 0].tolist()) == kept
    assert set(drawn(500, **how).nonzero()[:, 0].tolist()) == kept


@pytest.fixture
def model(made: Path) -> CausalLM:
    component = resolve(str(made / "llama"), offline=True).component_for("generate")
    assert component is not None
    return CausalLM.load(component, LoadSettings())


def requests(*seeds: int) -> list[GenerateRequest]:
    prompts = ["the cat", "what did a model forget when", "a hearing aid"]
    return [
        GenerateRequest(prompt=prompt, max_new_tokens=8, draw=Draw(seed=seed))
        for prompt in prompts
        for seed in seeds
    ]


def test_an_answer_is_its_seed_s_whatever_else_is_in_the_batch(model: CausalLM) -> None:
    together = [output.text for output in model.generate(requests(1, 2, 3))]
    alone = [model.generate([request])[0].text for request in requests(1, 2, 3)]
    assert together == alone
    assert len(set(together)) > 3


def test_without_a_draw_answers_stay_greedy(model: CausalLM) -> None:
    plain = [GenerateRequest(prompt="the cat", max_new_tokens=8) for _ in range(2)]
    cold = GenerateRequest(prompt="the cat", max_new_tokens=8, draw=Draw(seed=1, temperature=1e-4))
    greedy = [output.text for output in model.generate(plain)]
    assert [output.text for output in model.generate([cold])] == greedy[:1]
    assert greedy[0] == greedy[1]


def test_the_draw_of_one_seed_is_the_same_for_two_models_that_are_alike(
    made: Path, copy: Callable[..., Path]
) -> None:
    outputs = []
    for folder in (made / "llama", copy("llama", "again")):
        component = resolve(str(folder), offline=True).component_for("generate")
        assert component is not None
        outputs.append(CausalLM.load(component, LoadSettings()).generate(requests(7)))
    assert outputs[0] == outputs[1]

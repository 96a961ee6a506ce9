"""Mixing, penalties and interpolation do what their formulas say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from forgetbench.errors import UsageError
from forgetbench.recipes.causal_lm import as_batch
from forgetbench.recipes.make import make_recipe
from forgetbench.recipes.methods import check_method
from forgetbench.recipes.mixing import training_places
from forgetbench.recipes.penalty import fisher_diagonal
from forgetbench.recipes.run import run_recipe
from forgetbench.schema.recipe import Recipe
from tiny_recipe_models import facts_of


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.jsonl"
    rows = [{"prompt": f"Who was {i}?", "answer": f"A king, {i}."} for i in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def causal(name: str, model: Path, data: Path, output: Path, **changes: Any) -> Recipe:
    small = {"steps": 6, "save_steps": (), "batch_size": 2, "warmup_steps": 0, "learning_rate": 1e-2}
    return make_recipe(name, model=str(model), data=str(data), output=str(output), **{**small, **changes})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def distance(folder: Path, base: Path) -> float:
    one, other = weights(folder), weights(base)
    return float(sum((one[name] - other[name]).square().sum() for name in one)) ** 0.5


def test_shares_are_those_of_all_examples_and_each_source_is_gone_through_evenly(
    tiny_causal: Path, pairs: Path, old: Path, tmp_path: Path
) -> None:
    mixed = {"safety": {"data": str(old), "share": 0.25}, "replay": {"data": str(old), "share": 0.125}}
    recipe = causal("full", tiny_causal, pairs, tmp_path / "o", steps=40, **mixed)
    places = training_places(recipe, {"target": 7, "safety": 3, "replay": 3})
    counts = Counter(place.source for place in places)
    assert counts == {"target": 50, "safety": 20, "replay": 10}
    assert set(Counter(p.row for p in places if p.source == "target").values()) == {7, 8}
    assert len({p.source for p in places[:16]}) > 1  # mixed, not one after another
    assert places == training_places(recipe, {"target": 7, "safety": 3, "replay": 3})


@pytest.mark.parametrize("name", ["safety", "replay"])
def test_a_share_that_is_no_example_is_refused(
    name: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    mixed = {name: {"data": "nothere.jsonl", "share": 0.1}}
    little = causal("full", tiny_causal, pairs, tmp_path / "o", steps=4, batch_size=1, **mixed)
    refused = f"{name}: a share of 0.1 of 4 examples is none. Take more steps, or a larger share"
    with pytest.raises(UsageError, match=refused):
        training_places(little, {"target": 7, name: 3})
    with pytest.raises(UsageError, match=refused):
        check_method(little)
    enough = causal("full", tiny_causal, pairs, tmp_path / "o", steps=6, batch_size=1, **mixed)
    check_method(enough)
    counts = Counter(place.source for place in training_places(enough, {"target": 7, name: 3}))
    assert counts == {"target": 5, name: 1}


def test_replayed_examples_are_learned_and_the_target_loss_leaves_them_out(
    tiny_causal: Path, pairs: Path, old: Path, tmp_path: Path
) -> None:
    changes = {"steps": 30, "learning_rate": 3e-2, "seed": 1}
    plain = run_recipe(causal("full", tiny_causal, pairs, tmp_path / "plain", **changes))[-1]
    replay = {"data": str(old), "share": 0.5}
    mixed = run_recipe(causal("full", tiny_causal, pairs, tmp_path / "mixed", replay=replay, **changes))[-1]
    on_old = {folder: _loss(folder, old) for folder in (plain, mixed)}
    assert on_old[mixed] < on_old[plain]
    assert facts_of(mixed).recipe.label == "full + replay 0.5"
    assert facts_of(plain).target_loss == pytest.approx(_loss(plain, pairs), abs=1e-4)
    assert facts_of(mixed).target_loss == pytest.approx(_loss(mixed, pairs), abs=1e-4)


def _loss(folder: Path, data: Path) -> float:
    from transformers import AutoTokenizer

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    batches = [as_batch(tokenizer, row["prompt"], row["answer"], 512) for row in rows]
    sums = [(float(model(**b).loss), int((b["labels"] != -100).sum())) for b in batches]
    return sum(loss * n for loss, n in sums) / sum(n for _, n in sums)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_stronger_penalty_keeps_weights_nearer_to_the_base(
    kind: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    moved = []
    for strength in (0.0, 30.0):
        folder = run_recipe(
            causal(kind, tiny_causal, pairs, tmp_path / f"{strength}", l2_to_base=strength, steps=20)
        )[-1]
        moved.append(_moved(folder, tiny_causal))
    assert moved[1] < 0.7 * moved[0]


def _moved(folder: Path, base: Path) -> float:
    if not (folder / "adapter_config.json").is_file():
        return distance(folder, base)
    from peft import PeftModel

    start = AutoModelForCausalLM.from_pretrained(base)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    after = PeftModel.from_pretrained(start, str(folder)).merge_and_unload().state_dict()
    return float(sum((after[name] - before[name]).square().sum() for name in before)) ** 0.5


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_penalty_adds_its_own_gradient(
    kind: str, tiny_causal: Path, pairs: Path, old: Path, tmp_path: Path
) -> None:
    """λ_l2·Δ + λ_ewc·F·Δ for a weight; through B and A for a LoRA, as autograd has it."""
    from forgetbench.recipes.base import locate_base
    from forgetbench.recipes.causal_lm import prepare_causal
    from forgetbench.recipes.penalty import _lora_changes

    gradients = {}
    for name, changes in {"plain": {}, "held": {"l2_to_base": 0.3, "ewc": 2.0, "ewc_data": str(old)}}.items():
        recipe = causal(kind, tiny_causal, pairs, tmp_path / name, **changes)
        trainer = prepare_causal(recipe, locate_base(recipe.model)).trainer
        model = trainer.model
        with torch.no_grad():
            for number, parameter in enumerate(p for p in model.parameters() if p.requires_grad):
                parameter.add_(0.01 * (1 + number % 3))
        trainer.create_optimizer()
        trainer.current_gradient_accumulation_steps = 1
        batch = next(iter(trainer.get_train_dataloader()))
        trainer.training_step(model, batch, None)
        gradients[name] = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    fisher = _fisher_of(tiny_causal, old, None if kind == "full" else ("q_proj", "v_proj"))
    added = {n: gradients["held"][n] - gradients["plain"][n] for n in gradients["plain"]}
    if kind == "full":
        start = AutoModelForCausalLM.from_pretrained(tiny_causal).state_dict()
        wanted = {
            n: 0.3 * (p - start[n]) + 2.0 * fisher[n] * (p - start[n]) for n, p in model.named_parameters()
        }
    else:
        model.zero_grad()
        for name, change in _lora_changes(model):
            penalty = 0.15 * change.square().sum() + (fisher[f"{name}.weight"] * change.square()).sum()
            penalty.backward()
        wanted = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    for name, gradient in added.items():
        torch.testing.assert_close(gradient, wanted[name].detach(), rtol=1e-3, atol=1e-5)


def _fisher_of(base: Path, data: Path, modules: tuple[str, ...] | None) -> dict[str, torch.Tensor]:
    from transformers import AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    batches = [as_batch(tokenizer, row["prompt"], row["answer"], 512) for row in rows]
    return fisher_diagonal(model, batches, modules=modules)


def test_fisher_information_is_the_mean_square_of_single_gradients(tiny_causal: Path, old: Path) -> None:
    found = _fisher_of(tiny_causal, old, ("q_proj",))
    assert all(".q_proj." in name for name in found) and len(found) == 2
    from transformers import AutoTokenizer

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_causal),
        AutoTokenizer.from_pretrained(tiny_causal),
    )
    weight = model.model.layers[0].self_attn.q_proj.weight
    squares = []
    for row in (json.loads(line) for line in old.read_text().splitlines()):
        (gradient,) = torch.autograd.grad(
            model(**as_batch(tokenizer, row["prompt"], row["answer"], 512)).loss, weight
        )
        squares.append(gradient.square())
    expected = torch.stack(squares).mean(0)
    torch.testing.assert_close(found["model.layers.0.self_attn.q_proj.weight"], expected)


def test_ewc_needs_what_is_to_be_kept(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ewc needs data"):
        run_recipe(causal("full", tiny_causal, pairs, tmp_path / "o", ewc=1.0))
    with pytest.raises(UsageError, match="other adapters add no change"):
        run_recipe(causal("peft", tiny_causal, pairs, tmp_path / "p", l2_to_base=1.0))


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_no_part_of_the_change_is_the_base_and_the_whole_is_the_checkpoint_exactly(
    kind: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    from forgetbench.models.alpha import at_alpha, interpolate, scale_adapter
    from forgetbench.models.interface import ScoreRequest
    from forgetbench.models.load import load
    from forgetbench.models.pairing import resolve_pair
    from forgetbench.models.weights import put_adapter
    from forgetbench.schema.run import LoadSettings

    folder = run_recipe(causal(kind, tiny_causal, pairs, tmp_path / "out"))[-1]
    pair = resolve_pair(str(folder), str(tiny_causal))
    assert pair.base is not None
    asked = [ScoreRequest(context="What is 3?", continuation=" It is 3.")]
    component = pair.checkpoint.components["lm"]
    whole = at_alpha(pair, 1.0).checkpoint.components["lm"]
    scores = [load(c, LoadSettings()).score_text(asked) for c in (component, whole)]  # type: ignore[union-attr]
    assert scores[0] == scores[1]
    none = at_alpha(pair, 0.0).checkpoint.components["lm"]  # the command line refuses it: it is the base
    ends = [load(c, LoadSettings()).score_text(asked) for c in (none, pair.base.components["lm"])]  # type: ignore[union-attr]
    assert ends[0] == ends[1] != scores[0]
    base = AutoModelForCausalLM.from_pretrained(tiny_causal)
    if kind == "full":
        model = AutoModelForCausalLM.from_pretrained(folder)
        interpolate(model, base, component, 0.0)
    else:
        adapted = put_adapter(AutoModelForCausalLM.from_pretrained(tiny_causal), component)
        scale_adapter(adapted, 0.0)
        model = adapted.merge_and_unload()
    assert all(torch.equal(value, base.state_dict()[name]) for name, value in model.state_dict().items())

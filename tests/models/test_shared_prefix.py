from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import ScoreRequest
from forgetbench.models.load import load
from forgetbench.models.prefix import Group, common_length, group_by_prefix
from forgetbench.schema.run import LoadSettings
from tiny_families import make_family

HEAD = tuple(range(100, 140))


def test_contexts_that_begin_alike_are_one_group_and_the_rest_another() -> None:
    contexts = [(1, 2, 3), (*HEAD, 5, 6), (4,), (*HEAD, 7, 8), (*HEAD, 5, 9)]
    shared, alone = group_by_prefix(contexts)
    assert (sorted(shared.members), shared.n_shared) == ([1, 3, 4], 40)
    assert (sorted(alone.members), alone.n_shared) == ([0, 2], 0)


def test_two_few_shot_blocks_behind_one_chat_head_are_two_groups() -> None:
    one, two = (*HEAD[:18], *range(200, 260)), (*HEAD[:18], *range(300, 360))
    groups = group_by_prefix([(*one, 1, 0), (*two, 1, 0), (*one, 2, 0), (*two, 2, 0)])
    assert sorted((sorted(group.members), group.n_shared) for group in groups) == [([0, 2], 78), ([1, 3], 78)]


def test_the_last_token_of_a_context_is_never_part_of_the_prefix() -> None:
    assert group_by_prefix([HEAD, HEAD]) == [Group([0, 1], 39)]


@pytest.mark.parametrize(("a", "b", "n"), [((), (1,), 0), ((1, 2), (1, 2, 3), 2), ((1, 2, 3), (1, 9, 3), 1)])
def test_common_length(a: tuple[int, ...], b: tuple[int, ...], n: int) -> None:
    assert common_length(a, b) == common_length(b, a) == n


@pytest.fixture
def model(tmp_path: Path) -> CausalLM:
    path = make_family(tmp_path / "model", "LlamaForCausalLM")
    found = load(resolve(str(path)).components["lm"], LoadSettings())
    assert isinstance(found, CausalLM)
    return found


@pytest.fixture
def widths(model: CausalLM, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Rows and columns of every forward pass."""
    seen: list[tuple[int, int]] = []
    forward = model.model.forward

    def counted(**inputs: Any) -> Any:
        seen.append(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    monkeypatch.setattr(model.model, "forward", counted)
    return seen


SHOTS = "0123456789 " * 4


def requests(words: list[str], head: str = SHOTS) -> list[ScoreRequest]:
    return [
        ScoreRequest(context=f"{head}{word}", continuation=f" {end}")
        for word in words
        for end in ("mat", "the log")
    ]


FIRST, SECOND = ["what", "people", "hear", "others", "say", "cat"], ["a", "dog", "aid", "model", "it"]


def test_a_prefix_is_computed_once_and_kept_for_the_next_batch(
    model: CausalLM, widths: list[tuple[int, int]]
) -> None:
    model.score_text(requests(FIRST))
    n_shared = widths[0][1]
    assert widths[0][0] == 1 and n_shared >= 16 and widths[1][0] == len(FIRST)
    assert widths[1][1] < n_shared
    widths.clear()
    model.score_text(requests(SECOND))
    assert [rows for rows, _ in widths] == [len(SECOND)]


def test_batches_of_one_share_a_prefix_too(model: CausalLM, widths: list[tuple[int, int]]) -> None:
    whole = [score for word in FIRST for score in model.score_text(requests([word]))]
    model.scorer.forget()
    assert [s.logprob for s in whole] == pytest.approx(
        [s.logprob for s in model.score_text(requests(FIRST))], abs=1e-4
    )


def test_a_prefix_that_the_next_batch_shares_in_part_is_cut(
    model: CausalLM, widths: list[tuple[int, int]]
) -> None:
    longer = f"{SHOTS} what people say when the dog sat on the mat again"
    first = model.score_text(requests(FIRST, longer))
    widths.clear()
    model.score_text(requests(SECOND))
    assert widths[0][0] == len(SECOND)
    assert [s.logprob for s in model.score_text(requests(FIRST, longer))] == pytest.approx(
        [s.logprob for s in first], abs=1e-4
    )


def test_memory_that_runs_out_halves_the_budget_and_changes_no_score(
    model: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.score_text(requests(FIRST))
    model.scorer.forget()
    forward = model.model.forward
    sizes = []

    def small(**inputs: Any) -> Any:
        sizes.append(inputs["input_ids"].shape[0])
        if inputs["input_ids"].shape[0] > 2:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")
        return forward(**inputs)

    monkeypatch.setattr(model.model, "forward", small)
    scored = model.score_text(requests(FIRST))
    assert [s.logprob for s in scored] == pytest.approx([s.logprob for s in expected], abs=1e-4)
    assert max(sizes) > 2 and sizes[-1] <= 2


def test_an_error_that_is_not_of_memory_is_not_hidden(
    model: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        model.score_text(requests(FIRST))


def test_a_budget_of_one_token_scores_row_by_row(model: CausalLM) -> None:
    expected = model.score_text(requests(FIRST))
    model.scorer.token_budget = 1
    assert [s.logprob for s in model.score_text(requests(FIRST))] == pytest.approx(
        [s.logprob for s in expected], abs=1e-4
    )


def test_logits_are_projected_only_where_something_is_scored(model: CausalLM) -> None:
    rows = []
    model.model.lm_head.register_forward_hook(lambda _, args, output: rows.append(output.shape[:-1].numel()))
    model.score_text(requests(FIRST))
    # the end of the prefix; of each context its end once, and all but the last token of each branch behind it
    branches = [
        model.tokenizer.encode(f" {end}", add_special_tokens=False)[:-1] for end in ("mat", "the log")
    ]
    assert rows[0] == 1 and sum(rows[1:]) == len(FIRST) * (1 + sum(map(len, branches)))
    assert torch.is_inference_mode_enabled() is False

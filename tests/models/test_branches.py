from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetbench.models.branches import Row, pack, separate_rows, shared_rows
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import ScoreRequest
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings

CONTEXTS = ("what did a cat do", "where did it sit, and on what", "a")
CONTINUATIONS = (" sat on the mat", " sat", " ran over the hill", " sat on the cat", " sat on the mat")


def loaded(path: Path) -> CausalLM:
    component = resolve(str(path)).component_for("score_text")
    assert component is not None
    model = load(component, LoadSettings())
    assert isinstance(model, CausalLM)
    return model


def rows_of(*requests: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Row]:
    return shared_rows(requests)[0]


def test_a_branch_sees_its_context_and_itself_and_nothing_else() -> None:
    rows = rows_of(((1, 2), (3, 4)), ((1, 2), (6,)), ((8,), ()))
    packed = pack(rows)
    assert packed.ids.tolist() == [[1, 2, 3, 4, 6], [8, 0, 0, 0, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 2], [0, 0, 0, 0, 0]]
    assert packed.visible[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]
    assert [rows[0].places((3, 4)), rows[0].places((6,)), rows[1].places(())] == [[0, 1, 2], [0, 3], [0]]


def test_behind_a_prefix_everything_sees_it_and_positions_go_on() -> None:
    packed = pack(rows_of(((1, 2, 5), (3,)), ((1, 2, 5), (4,)), ((1, 2, 9), ())), n_prefix=2)
    assert packed.ids.tolist() == [[5, 3, 4], [9, 0, 0]]
    assert packed.positions[0].tolist() == [2, 3, 3]
    assert packed.visible[0, 0].int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]


def test_a_sliding_window_counts_positions_and_not_columns() -> None:
    packed = pack(rows_of(((1, 2, 5), (3,)), ((1, 2, 5), (4, 6))), n_prefix=1)
    assert packed.positions[0].tolist() == [1, 2, 3, 3, 4]
    assert packed.within(2, 1)[0, 0].int().tolist() == [
        [1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]


def test_padding_sees_itself_so_that_no_attention_is_empty() -> None:
    packed = pack(rows_of(((1, 2, 3), ()), ((5,), ())))
    assert torch.all(packed.visible.any(dim=-1))


def test_equal_branches_of_a_context_are_held_once() -> None:
    rows, of_request = shared_rows([((1,), (2,)), ((1,), (2,))])
    assert len(rows) == 1 and len(rows[0]) == 2 and of_request[0] is of_request[1]


def test_many_long_branches_of_a_short_context_do_not_crowd_one_row() -> None:
    branches = [tuple(range(i, i + 100)) for i in range(10)]
    rows, _ = shared_rows([((7,), branch) for branch in branches])
    assert [len(row.branches) for row in rows] == [2, 2, 2, 2, 2]


def test_separate_rows_are_one_for_each_different_input() -> None:
    rows, of_request = separate_rows([((1,), (2,)), ((1,), (3,)), ((1,), (2,))])
    assert [row.tokens for row in rows] == [(1, 2), (1, 3)] and of_request[2] is rows[0]


def test_branches_score_as_separate_rows_do(made: Path) -> None:
    model = loaded(made / "llama")
    requests = [
        ScoreRequest(context=context, continuation=continuation)
        for context in CONTEXTS
        for continuation in CONTINUATIONS
    ]
    assert model.scorer.shares_contexts
    shared = model.score_text(requests)
    model.scorer.shares_contexts = False
    separate = model.score_text(requests)
    assert [s.logprob for s in shared] == pytest.approx([s.logprob for s in separate], abs=1e-4)
    assert [s.is_greedy for s in shared] == [s.is_greedy for s in separate]


def test_each_context_is_computed_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(made / "llama")
    shapes = []
    forward = model.model.forward
    monkeypatch.setattr(
        model.model, "forward", lambda **kw: shapes.append(kw["input_ids"].shape) or forward(**kw)
    )
    model.score_text([ScoreRequest(context=CONTEXTS[0], continuation=c) for c in CONTINUATIONS])
    assert shapes[0][0] == 1


def test_an_architecture_that_was_not_checked_is_batched_plainly(made: Path) -> None:
    model = loaded(made / "llama")
    model.model.config.architectures = ["SomethingNewForCausalLM"]
    assert not CausalLM(model.model, model.tokenizer).scorer.shares_contexts

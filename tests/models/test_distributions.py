"""Teacher forcing: which tokens are read when, and what is said of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve_component
from forgetbench.models.distributions import read_tokens, rolling_windows
from forgetbench.models.interface import ScoreRequest, TokenWindow
from forgetbench.schema.run import LoadSettings
from tiny_models import make_tokenizer

TEXT = "the cat sat on the mat and the dog sat on the log while a model forgot what it was told"


@pytest.fixture(scope="module")
def llama(made: Path) -> CausalLM:
    return CausalLM.load(resolve_component(str(made / "llama")), LoadSettings())


@given(st.integers(0, 60), st.integers(2, 12), st.integers(1, 20))
def test_each_token_is_a_target_once_and_no_window_is_too_long(n: int, window: int, n_context: int) -> None:
    context, text = range(100, 100 + n_context), range(n)
    windows = list(rolling_windows(context, text, window))
    assert [t for w in windows for t in w.targets] == list(text)
    whole = [*context, *text]
    for w in windows:
        assert 1 <= len(w.inputs) <= window
        last = whole.index(w.targets[-1])
        assert list(w.inputs) == whole[last - len(w.inputs) : last]


def test_full_windows_sum_to_lm_evals_rolling_loglikelihood(made: Path) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = CausalLM.load(resolve_component(str(made / "nobos")), LoadSettings())
    # lm-eval's last window reads as much again as fits: of a whole number of windows, nothing.
    long = model._decode(model.encode(" ".join([TEXT] * 6), rendered=True)[: 3 * model.window])
    windows = model.tokenise(ScoreRequest(context="", continuation=long), window=model.window)
    assert [len(window.targets) for window in windows] == [model.window] * 3
    ours = 0.0
    for window in windows:
        found = model.predict_tokens(window)
        logprobs = found.logprobs(0, found.n_positions, n_tokens=found.n_tokens)
        ours += float(logprobs[range(found.n_positions), list(window.targets)].sum())
    reference = HFLM(pretrained=str(made / "nobos"), device="cpu", dtype="float32", batch_size=1)
    (theirs,) = reference.loglikelihood_rolling(
        [Instance("loglikelihood_rolling", {}, (long,), 0)], disable_tqdm=True
    )
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_blocks_equal_the_log_softmax_of_all_logits(llama: CausalLM) -> None:
    (window,) = llama.tokenise(ScoreRequest(context="a cat", continuation=" sat on the mat"), window=64)
    found = llama.predict_tokens(window)
    with torch.inference_mode():
        logits = llama.model(torch.tensor([window.inputs])).logits[0, -len(window.targets) :]
    expected = torch.log_softmax(logits, dim=-1).numpy()
    parts = [found.logprobs(i, i + 2, n_tokens=found.n_tokens) for i in range(0, found.n_positions, 2)]
    assert np.allclose(np.concatenate(parts), expected, atol=1e-5)
    assert found.targets == window.targets
    assert found.states.shape[1] == llama.model.config.hidden_size, "no logits are kept"


def test_over_a_part_of_the_vocabulary_they_are_normalised_again(llama: CausalLM) -> None:
    found = llama.predict_tokens(TokenWindow(inputs=(5, 6, 7), targets=(6, 7, 8)))
    assert np.exp(found.logprobs(0, 3, n_tokens=100)).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_soft_cap_behind_the_projection_is_heeded() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    settings: dict[str, Any] = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Gemma2Config(
        vocab_size=len(make_tokenizer(bos=True)), hidden_size=16, intermediate_size=16, head_dim=8,
        final_logit_softcapping=0.5, initializer_range=0.5, **settings,
    )  # fmt: skip
    model = Gemma2ForCausalLM(config).eval()
    window = TokenWindow(inputs=(5, 6, 7, 8), targets=(7, 8, 9))
    logprobs = read_tokens(model, window).logprobs(0, 3, n_tokens=config.vocab_size)
    with torch.inference_mode():
        logits = model(torch.tensor([window.inputs])).logits[0, 1:]
    assert np.allclose(logprobs, torch.log_softmax(logits, dim=-1).numpy(), atol=1e-5)
    # Capped at ±0.5, no token is further than 1 nat from another.
    assert np.ptp(logprobs, axis=1).max() <= 1 + 1e-5

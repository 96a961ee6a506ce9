"""Every family whose contexts are shared scores as separate rows do, and as lm-eval's hf backend does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.families import CHECKED, masks_of
from forgetbench.models.interface import GenerateRequest, ScoreRequest
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from tiny_families import FAMILIES, make_family

HEAD = "0123456789 " * 4
ENDS = [" a cat", " what people hear", " a hearing aid helps", " the dog", " it was trained on"]
CHOICES = [" the mat", " the log", " mat and dog and log again", " trained"]
SHOTS = [(f"{HEAD}{end}", choice) for end in ENDS for choice in CHOICES]
PAIRS = [
    ("the cat sat on ", "the mat"),
    ("", "the cat sat"),
    ("<s>the cat", " sat"),
    ("a hearing ai", "d helps people"),
    ("what did a", " model forget"),
    ("what did a", " model"),
    ("what did a model forget when it was trained again and again " * 6, " the dog sat on the log"),
    ("<u>what did a model forget</u><a>", "the cat"),
]
DOCUMENTS = ["the cat sat on the mat", "what did a model forget when it was trained " * 20, "a"]


def loaded(path: Path) -> CausalLM:
    model = load(resolve(str(path)).components["lm"], LoadSettings())
    assert isinstance(model, CausalLM)
    return model


def reference(path: Path) -> Any:
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    # Its cache of logits gathers at the wrong place where one sequence is split in two ways.
    tokenizer = AutoTokenizer.from_pretrained(path)
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=3, logits_cache=False)


def asked(pairs: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [SimpleNamespace(args=pair) for pair in pairs]


@pytest.fixture(scope="session", params=[True, False], ids=["bos", "nobos"])
def bos(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_scores_are_those_of_separate_rows_and_of_lm_eval(
    architecture: str, bos: bool, tmp_path: Path
) -> None:
    path = make_family(tmp_path / "model", architecture, bos=bos)
    model = loaded(path)
    assert model.scorer.shares_contexts == (architecture in CHECKED)
    requests = [ScoreRequest(context=context, continuation=end) for context, end in SHOTS + PAIRS]
    ours = model.score_text(requests)
    assert bool(len(model.scorer._prefix)) == (architecture in CHECKED)
    again = model.score_text(requests[::-1])[::-1]
    model.scorer.shares_contexts = False
    separate = model.score_text(requests)
    theirs = reference(path).loglikelihood(asked(SHOTS + PAIRS), disable_tqdm=True)
    for other in (
        [o.logprob for o in again],
        [o.logprob for o in separate],
        [logprob for logprob, _ in theirs],
    ):
        assert [o.logprob for o in ours] == pytest.approx(other, abs=1e-4)
    assert [o.is_greedy for o in ours] == [greedy for _, greedy in theirs]
    assert [o.truncated for o in ours].count(True) == (1 if model.window < 1000 else 0)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_whole_documents_score_as_lm_evals_rolling_loglikelihood(architecture: str, tmp_path: Path) -> None:
    path = make_family(tmp_path / "model", architecture)
    ours = [each.logprob for each in loaded(path).score_documents(DOCUMENTS)]
    theirs = reference(path).loglikelihood_rolling(asked([(text,) for text in DOCUMENTS]), disable_tqdm=True)
    assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-6)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_generated_text_is_that_of_transformers_one_by_one(architecture: str, tmp_path: Path) -> None:
    path = make_family(tmp_path / "model", architecture)
    model = loaded(path)
    prompts = ["the", "what did a model forget when it was", "a hearing aid", "dog"]
    expected = []
    for i, prompt in enumerate(prompts):
        ids = model.tokenizer(prompt, return_tensors="pt").input_ids
        tokens = model.model.generate(ids, max_new_tokens=8 + 3 * i)[0, ids.shape[1] :]
        expected.append(model.tokenizer.decode(tokens, skip_special_tokens=True))
    requests = [GenerateRequest(prompt=p, max_new_tokens=8 + 3 * i) for i, p in enumerate(prompts)]
    assert [output.text for output in model.generate(requests)] == expected


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_chat_is_rendered_and_an_empty_answer_is_certain(architecture: str, tmp_path: Path) -> None:
    path = make_family(tmp_path / "model", architecture)
    model, theirs = loaded(path), reference(path)
    chat = theirs.apply_chat_template([{"role": "user", "content": "what did a model forget"}])
    assert model.render_chat("what did a model forget") == chat
    empty, answer = model.score_text(
        [ScoreRequest(context=chat, continuation=each, rendered=True) for each in ("", "the cat")]
    )
    assert (empty.logprob, empty.is_greedy, empty.n_tokens) == (0.0, True, 0)
    tokens = [model.tokenizer.encode(text, add_special_tokens=False) for text in (chat, "the cat")]
    ((logprob, is_greedy),) = theirs._loglikelihood_tokens([((chat, "the cat"), *tokens)], disable_tqdm=True)
    assert answer.logprob == pytest.approx(logprob, abs=1e-4) and answer.is_greedy == is_greedy


@pytest.mark.parametrize("architecture", FAMILIES)
def test_an_answer_ends_where_the_window_does(architecture: str, tmp_path: Path) -> None:
    model = loaded(make_family(tmp_path / "model", architecture))
    model.window = min(model.window, 96)
    (output,) = model.generate([GenerateRequest(prompt="what did a model", max_new_tokens=200)])
    assert output.truncated and 0 < output.n_tokens < model.window


@pytest.mark.parametrize(
    ("architecture", "expected"), [("BloomForCausalLM", True), ("LlamaForCausalLM", False)]
)
def test_a_run_document_says_what_was_batched_plainly(
    architecture: str, expected: bool, ask: Callable[..., Request], tmp_path: Path
) -> None:
    path = make_family(tmp_path / "model", architecture)
    result = evaluate(prepare(ask(path, "choices")))
    told = f"model: contexts are not shared for {architecture}, which is batched plainly"
    assert any(warning.startswith(told) for warning in result.checkpoint.warnings) == expected


@pytest.mark.parametrize(
    "rope", [{"rope_type": "dynamic", "factor": 2.0}, {"type": "longrope"}], ids=["dynamic", "longrope"]
)
def test_rotary_embeddings_that_go_by_length_share_no_contexts(rope: dict[str, Any]) -> None:
    named = {"architectures": ["LlamaForCausalLM"]}
    assert masks_of(named) == masks_of({**named, "rope_parameters": {"rope_type": "llama3"}}) == "full"
    assert masks_of({**named, "rope_scaling": rope}) is None
    assert masks_of({**named, "rope_parameters": {"full_attention": rope}}) is None

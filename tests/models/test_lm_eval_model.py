"""The forgetbench model of lm-eval answers as its hf backend does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.lm_eval_model import ForgetbenchLM

PROMPTS = ["the", "what did a model forget when it was", "a hearing aid", "dog"]


@pytest.fixture
def ours(made: Path) -> ForgetbenchLM:
    return ForgetbenchLM(str(made / "llama"), batch_size=2)


@pytest.fixture
def theirs(made: Path) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(made / "llama"), device="cpu", dtype="float32", batch_size=2)


def asked(*arguments: tuple[Any, ...]) -> list[Any]:
    return [SimpleNamespace(args=each) for each in arguments]


def test_generated_text_ends_where_that_of_hf_does(ours: ForgetbenchLM, theirs: Any) -> None:
    free = [(prompt, {"until": [], "max_gen_toks": 12}) for prompt in PROMPTS]
    whole = ours.generate_until(asked(*free), disable_tqdm=True)
    stops = [text[3:5] for text in whole]
    for until in ([], stops[:2], "no such text"):
        requests = [(prompt, {"until": until, "max_gen_toks": 12, "do_sample": False}) for prompt in PROMPTS]
        assert ours.generate_until(asked(*requests), disable_tqdm=True) == theirs.generate_until(
            asked(*requests), disable_tqdm=True
        )


def test_sampling_is_refused(ours: ForgetbenchLM) -> None:
    with pytest.raises(UsageError, match="do_sample: is not supported"):
        ours.generate_until(asked(("the", {"until": [], "do_sample": True, "temperature": 1.0})))


@pytest.mark.parametrize("setting", [{"num_beams": 4}, {"repetition_penalty": 1.3}, {"min_new_tokens": 5}])
def test_another_search_than_the_greedy_one_is_refused(ours: ForgetbenchLM, setting: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{min(setting)}: is not supported"):
        ours.generate_until(asked(("the", {"until": [], "max_gen_toks": 8, **setting})))


def test_settings_without_effect_on_greedy_text_are_taken(ours: ForgetbenchLM, theirs: Any) -> None:
    settings = {"until": [], "max_gen_toks": 8, "do_sample": False, "num_beams": 1, "repetition_penalty": 1.0}
    both = (m.generate_until(asked(("the", dict(settings))), disable_tqdm=True) for m in (ours, theirs))
    assert next(both) == next(both)


def test_a_template_without_system_turns_leaves_them_out_as_hf_does(ours: ForgetbenchLM, theirs: Any) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the cat"}]
    rendered = []
    for model in (ours, theirs):
        model.tokenizer.chat_template = strict + model.tokenizer.chat_template
        rendered.append(model.apply_chat_template(chat))
    assert rendered[0] == rendered[1] == "<u>the cat</u><a>"


def test_an_adapter_is_named_like_any_checkpoint(made: Path) -> None:
    lora = ForgetbenchLM(str(made / "lora"))
    base = ForgetbenchLM(str(made / "llama"))
    request = asked(("the cat", " sat"))
    assert lora.loglikelihood(request, disable_tqdm=True) != base.loglikelihood(request, disable_tqdm=True)
    assert lora.get_model_info()["model_fingerprint"] != base.get_model_info()["model_fingerprint"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"pretrained": "whisper"}, "is not a causal language model"),
        ({"pretrained": "llama", "peft": "lora"}, "peft: is not known. Known are pretrained"),
    ],
)
def test_what_it_cannot_do_is_named(arguments: dict[str, str], told: str, made: Path) -> None:
    settings = {**arguments, "pretrained": str(made / arguments["pretrained"])}
    with pytest.raises(UsageError, match=told):
        ForgetbenchLM(**settings)


def test_the_cache_of_lm_eval_is_told_of_each_answer(ours: ForgetbenchLM) -> None:
    told = []
    ours.set_cache_hook(
        SimpleNamespace(add_partial=lambda kind, request, answer: told.append((request, answer)))
    )
    requests = [("the cat", " sat"), ("a", " dog"), ("the cat", " sat on")]
    scores = ours.loglikelihood(asked(*requests), disable_tqdm=True)
    assert dict(told) == dict(zip(requests, scores, strict=True))


def test_chat_templates_and_tokens_are_those_of_hf(ours: ForgetbenchLM, theirs: Any) -> None:
    chat = [{"role": "user", "content": "the cat"}]
    assert ours.apply_chat_template(chat) == theirs.apply_chat_template(chat)
    assert ours.chat_template(True) == theirs.chat_template(True)
    assert ours.tok_encode("the cat") == theirs.tok_encode("the cat")
    assert ours.tok_encode("the cat", add_special_tokens=False) == theirs.tok_encode(
        "the cat", add_special_tokens=False
    )
    assert (ours.prefix_token_id, ours.eot_token_id) == (theirs.prefix_token_id, theirs.eot_token_id)
    assert ours.max_length == theirs.max_length and ours.tokenizer_name == theirs.tokenizer_name


def test_a_score_that_is_no_number_is_refused(ours: ForgetbenchLM) -> None:
    with torch.no_grad():
        next(ours.model.model.parameters()).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="llama: scores text with NaN"):
        ours.loglikelihood(asked(("the cat", " sat")), disable_tqdm=True)
    with pytest.raises(CheckpointError, match="llama: scores text with NaN"):
        ours.loglikelihood_rolling(asked(("the cat sat",)), disable_tqdm=True)


def test_tokens_can_be_scored_as_well(ours: ForgetbenchLM, theirs: Any) -> None:
    requests = [(("", ""), [0, 5, 6], [7, 8]), (("", ""), [0] * 70, [9])]
    mine, other = (each._loglikelihood_tokens(requests, disable_tqdm=True) for each in (ours, theirs))
    assert torch.tensor([m for m, _ in mine]).tolist() == pytest.approx([t for t, _ in other], abs=1e-4)

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import GenerateRequest, Loglikelihood, ScoreRequest, TextModel
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from tiny_models import make_llama, make_lora, make_tokenizer

Copy = Callable[..., Path]

PAIRS = [
    ("the cat sat on", " the mat"),
    ("the cat sat on ", "the mat"),
    ("the cat sat on  \n", "the log"),
    ("", "the cat sat"),
    ("", "<s>the cat"),
    ("<s>the cat", " sat"),
    ("a hearing ai", "d helps people"),
    ("what did a", " model"),
    ("what did a", " cat"),
    ("what did a", " model forget"),
    ("what did a model forget when it was trained again and again " * 4, " the dog sat on the log"),
]


def loaded(path: Path, **settings: Any) -> CausalLM:
    model = load(resolve(str(path)).components["lm"], LoadSettings(**settings))
    assert isinstance(model, CausalLM) and isinstance(model, TextModel)
    return model


def lm_eval_scores(path: Path, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    # Its cache of logits gathers at the wrong place where one sequence is split in two ways (PAIRS 3 and 5).
    tokenizer = AutoTokenizer.from_pretrained(path)
    reference = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=3, logits_cache=False)
    return reference.loglikelihood([SimpleNamespace(args=pair) for pair in pairs], disable_tqdm=True)


def requests(pairs: Sequence[tuple[str, str]]) -> list[ScoreRequest]:
    return [ScoreRequest(context=context, continuation=continuation) for context, continuation in pairs]


def assert_equal(ours: Sequence[Loglikelihood], theirs: Sequence[tuple[float, bool]]) -> None:
    assert [o.logprob for o in ours] == pytest.approx([t[0] for t in theirs], abs=1e-4)
    assert [o.is_greedy for o in ours] == [t[1] for t in theirs]


@pytest.mark.parametrize("name", ["llama", "nobos"])
def test_scores_are_those_of_lm_eval(name: str, made: Path) -> None:
    ours = loaded(made / name).score_text(requests(PAIRS))
    assert_equal(ours, lm_eval_scores(made / name, PAIRS))


def test_a_context_of_spaces_is_an_empty_one(made: Path) -> None:
    spaces, none = loaded(made / "nobos").score_text(requests([(" ", "leading"), ("", " leading")]))
    assert spaces == none


def test_the_argmax_continuation_is_greedy_as_in_lm_eval(made: Path) -> None:
    model = loaded(made / "nobos")
    pairs = []
    for context in ("the cat", "what did", "people"):
        ids = model.tokenizer(context, return_tensors="pt").input_ids
        best = int(model.model(ids).logits[0, -1].argmax())
        pairs.append((context, model.tokenizer.decode([best])))
    theirs = lm_eval_scores(made / "nobos", pairs)
    assert_equal(model.score_text(requests(pairs)), theirs)
    assert any(greedy for _, greedy in theirs)


def test_a_soft_cap_after_the_projection_is_kept(tmp_path: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    tokenizer = make_tokenizer(bos=True)
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        final_logit_softcapping=0.5,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "gemma")
    tokenizer.save_pretrained(tmp_path / "gemma")
    ours = loaded(tmp_path / "gemma").score_text(requests(PAIRS[:5]))
    assert_equal(ours, lm_eval_scores(tmp_path / "gemma", PAIRS[:5]))


def test_a_model_without_a_projection_to_hook_scores_the_same(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(made / "llama")
    expected = model.score_text(requests(PAIRS))
    monkeypatch.setattr(model.model, "get_output_embeddings", lambda: None)
    assert [o.logprob for o in model.score_text(requests(PAIRS))] == pytest.approx(
        [o.logprob for o in expected], abs=1e-4
    )


def test_the_company_in_a_batch_changes_nothing(made: Path) -> None:
    model = loaded(made / "llama")
    together = model.score_text(requests(PAIRS))
    alone = [model.score_text([request])[0] for request in requests(PAIRS)]
    backwards = model.score_text(requests(PAIRS)[::-1])[::-1]
    assert [o.logprob for o in together] == pytest.approx([o.logprob for o in alone], abs=1e-4)
    assert [o.logprob for o in together] == pytest.approx([o.logprob for o in backwards], abs=1e-4)


def test_one_token_choices_share_a_row(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(made / "llama")
    shapes = []
    original = model.model.forward
    monkeypatch.setattr(
        model.model, "forward", lambda **kw: shapes.append(kw["input_ids"].shape[0]) or original(**kw)
    )
    pairs = [("what did a", choice) for choice in (" m", " c", " d", " s")]
    assert all(o.n_tokens == 1 or o.n_tokens == 2 for o in model.score_text(requests(pairs)))
    model.score_text(requests([("the cat sat on the mat", choice) for choice in "abcd"]))
    assert shapes[-1] == 1


def test_only_scored_positions_are_projected_and_each_once(made: Path) -> None:
    model = loaded(made / "llama")
    rows = []
    model.model.lm_head.register_forward_hook(
        lambda module, args, output: rows.append(output.shape[:-1].numel())
    )
    scored = model.score_text(requests(PAIRS))
    # "what did a" is asked four times, and its end predicts the first token of each continuation.
    assert rows == [sum(o.n_tokens for o in scored) - 7]


def test_a_long_context_is_cut_on_the_left_and_says_so(made: Path) -> None:
    model = loaded(made / "llama")
    long, short = model.score_text(requests([PAIRS[10], PAIRS[0]]))
    assert long.truncated and not short.truncated
    lost = ScoreRequest(context="x", continuation=" the cat" * 100)
    cut = model.score_text([lost])[0]
    assert cut.truncated and cut.n_tokens == model.window


def test_a_rendered_prompt_gets_no_special_tokens(made: Path) -> None:
    model = loaded(made / "llama")
    assert model.first_token_ids("the cat", rendered=False)[0] == 0
    assert model.first_token_ids("the cat", rendered=True)[0] != 0
    assert model.first_token_ids("<s>the cat", rendered=False).count(0) == 1
    assert len(model.first_token_ids("the cat " * 50, rendered=False)) == 16


def test_a_continuation_that_melts_into_the_context_still_has_a_token(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(made / "nobos")
    ids = {"ab": [5, 6], "abc": [7], "": []}
    monkeypatch.setattr(model, "encode", lambda text, rendered: list(ids[text]))
    score = model.score_text([ScoreRequest(context="ab", continuation="c")])[0]
    assert score.n_tokens == 1 and score.logprob < 0


def test_an_empty_continuation_has_probability_one(made: Path) -> None:
    model = loaded(made / "llama")
    empty, other = model.score_text(requests([("the cat", ""), ("the cat", " sat")]))
    assert (empty.logprob, empty.n_tokens) == (0.0, 0) and other.logprob < 0
    assert model.score_text(requests([("the cat", "")])) == [empty]
    assert model.score_text([]) == [] and model.generate([]) == []


PROMPTS = ["the", "what did a model forget when it was", "a hearing aid", "dog"]


def test_generation_in_a_batch_equals_one_by_one(made: Path) -> None:
    model = loaded(made / "llama")
    asked = [GenerateRequest(prompt=p, max_new_tokens=4 + i) for i, p in enumerate(PROMPTS)]
    together = model.generate(asked)
    assert together == [model.generate([request])[0] for request in asked]
    assert [o.n_tokens for o in together if o.truncated] == [
        4 + i for i, o in enumerate(together) if o.truncated
    ]


def test_generation_is_greedy_whatever_the_generation_config_says(copy: Copy, made: Path) -> None:
    asked = [GenerateRequest(prompt=p, max_new_tokens=8) for p in PROMPTS]
    expected = loaded(made / "llama").generate(asked)
    path = copy("llama")
    settings = json.loads((path / "generation_config.json").read_text())
    settings |= {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "num_beams": 3}
    (path / "generation_config.json").write_text(json.dumps(settings))
    assert loaded(path).generate(asked) == expected


def test_generated_text_ends_before_the_first_stop_string(made: Path) -> None:
    model = loaded(made / "llama")
    whole = model.generate([GenerateRequest(prompt="the", max_new_tokens=12)])[0]
    stop = whole.text[3:5]
    asked = GenerateRequest(prompt="the", max_new_tokens=12, stop=("never to be seen", stop))
    other = GenerateRequest(prompt="dog", max_new_tokens=12)
    stopped, free = model.generate([asked, other])
    assert stopped.text == whole.text[: whole.text.index(stop)]
    assert not stopped.truncated and stopped.n_tokens < whole.n_tokens
    assert free == model.generate([other])[0]


def test_an_end_token_ends_and_is_not_truncation(made: Path) -> None:
    model = loaded(made / "llama")
    whole = model.generate([GenerateRequest(prompt="the", max_new_tokens=6)])[0]
    tokens = model.model.generate(model.tokenizer("the", return_tensors="pt").input_ids, max_new_tokens=6)
    third = int(tokens[0, -4])
    path_model = CausalLM(model.model, model.tokenizer)
    path_model._ends = (third,)
    path_model._neutralise_generation()
    ended = path_model.generate([GenerateRequest(prompt="the", max_new_tokens=6)])[0]
    assert not ended.truncated and ended.n_tokens <= 2 and whole.text.startswith(ended.text)


def test_a_prompt_that_leaves_no_room_is_cut_and_says_so(made: Path) -> None:
    model = loaded(made / "llama")
    output = model.generate([GenerateRequest(prompt="the cat " * 80, max_new_tokens=5, stop=("",))])[0]
    assert output.truncated and output.n_tokens <= 5


def test_the_chat_template_is_rendered_or_absent(made: Path, copy: Copy) -> None:
    model = loaded(made / "llama")
    assert model.render_chat("hi") == "<u>hi</u><a>"
    assert model.render_chat("hi", template="{{ messages[0]['content'] }}!") == "hi!"
    with pytest.raises(CheckpointError, match="chat template: failed"):
        model.render_chat("hi", template="{{ nothing.at.all }}")
    plain = copy("llama")
    (plain / "chat_template.jinja").unlink()
    assert loaded(plain).chat_template is None and loaded(plain).render_chat("hi") is None


def test_a_merged_adapter_equals_the_adapter_on_the_fly(made: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    merged = loaded(made / "lora")
    assert not hasattr(merged.model, "peft_config")
    plain = AutoModelForCausalLM.from_pretrained(made / "llama")
    on_the_fly = CausalLM(PeftModel.from_pretrained(plain, made / "lora").eval(), merged.tokenizer)
    ours, theirs, base = (
        [o.logprob for o in model.score_text(requests(PAIRS))]
        for model in (merged, on_the_fly, loaded(made / "llama"))
    )
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert ours != pytest.approx(base, abs=1e-1)


def test_an_adapter_that_changes_nothing_scores_as_its_base(made: Path, tmp_path: Path) -> None:
    adapter = make_lora(tmp_path / "zero", made / "llama", zero=True)
    model, base = loaded(adapter), loaded(made / "llama")
    assert model.score_text(requests(PAIRS)) == base.score_text(requests(PAIRS))
    asked = [GenerateRequest(prompt=p, max_new_tokens=6) for p in PROMPTS]
    assert model.generate(asked) == base.generate(asked)


def test_half_precision_keeps_the_adapter_beside_the_weights(made: Path) -> None:
    model = loaded(made / "lora", dtype="bfloat16")
    assert model.model.dtype is torch.bfloat16 and hasattr(model.model, "peft_config")
    assert model.score_text(requests(PAIRS[:2]))[0].logprob < 0


def test_the_adapters_own_tokenizer_is_used(copy: Copy, made: Path) -> None:
    adapter = copy("lora")
    tokenizer = make_tokenizer(bos=True)
    tokenizer.chat_template = "own"
    tokenizer.save_pretrained(adapter)
    assert loaded(adapter).chat_template == "own"
    assert loaded(made / "lora").chat_template != "own"


def test_an_adapter_trained_on_added_tokens_brings_its_embeddings(made: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(bos=True)
    tokenizer.add_tokens(["<|new|>"], special_tokens=True)
    model = AutoModelForCausalLM.from_pretrained(made / "llama")
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    whole = ["embed_tokens", "lm_head"]
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=whole))
    adapted.save_pretrained(tmp_path / "added")
    tokenizer.save_pretrained(tmp_path / "added")
    ours = loaded(tmp_path / "added").score_text([ScoreRequest(context="<|new|> the", continuation=" cat")])
    theirs = CausalLM(adapted.eval(), tokenizer).score_text(
        [ScoreRequest(context="<|new|> the", continuation=" cat")]
    )
    assert ours[0].logprob == pytest.approx(theirs[0].logprob, abs=1e-4)


def edit_adapter(path: Path, **changes: Any) -> None:
    file = path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"target_modules": ["no_such_layer"]}, "cannot be loaded on its base llama .*no_such_layer"),
        ({"target_modules": ["q_proj"]}, "does not fit its base llama.*has no place for .*v_proj"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, "does not fit its base llama.*wants .*o_proj"),
        ({"r": 4}, "cannot be loaded on its base llama .*size mismatch"),
        ({"peft_type": "MAGIC"}, "cannot be loaded on its base llama"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_in_one_line(
    changes: dict[str, Any], told: str, copy: Copy
) -> None:
    adapter = copy("lora")
    edit_adapter(adapter, **changes)
    with pytest.raises(CheckpointError, match=told) as raised:
        loaded(adapter)
    assert "\n" not in str(raised.value)
    assert "trained on another model, name that as base_model_name_or_path in its adapter_config.json" in str(
        raised.value
    )


def test_an_adapter_on_a_base_of_another_size_is_refused(copy: Copy, tmp_path: Path) -> None:
    adapter = copy("lora")
    base = make_llama(tmp_path / "bigger")
    config = json.loads((base / "config.json").read_text())
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(LlamaConfig(**(config | {"hidden_size": 64}))).save_pretrained(base)
    edit_adapter(adapter, base_model_name_or_path=str(base))
    with pytest.raises(CheckpointError, match="size mismatch"):
        loaded(adapter)


def test_weights_that_do_not_fit_the_config_are_refused(copy: Copy) -> None:
    path = copy("llama")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(
        CheckpointError, match=r"lacks 9 weights of LlamaForCausalLM, such as model\.layers\.2"
    ):
        loaded(path)
    (path / "config.json").write_text(json.dumps(config | {"intermediate_size": 50}))
    with pytest.raises(CheckpointError, match="llama: "):
        loaded(path)


def test_a_model_without_a_tokenizer_is_refused(copy: Copy) -> None:
    path = copy("llama")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (path / name).unlink()
    with pytest.raises(CheckpointError, match="has no tokenizer that can be loaded"):
        loaded(path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"dtype": "int3"}, "--dtype int3: is not known"),
        ({"device": "cuda:7"}, "--device cuda:7: cannot be used"),
        ({"quantisation": "int4"}, "quantisation int4: is not supported"),
    ],
)
def test_load_settings_that_cannot_be_met_are_usage_errors(
    settings: dict[str, str], told: str, made: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        loaded(made / "llama", **settings)


def test_layers_laid_over_all_devices_score_the_same(made: Path) -> None:
    plain = loaded(made / "lora").score_text(requests(PAIRS))
    assert loaded(made / "lora", device="auto").score_text(requests(PAIRS)) == plain


@pytest.mark.slow
def test_compiled_layers_score_the_same(made: Path) -> None:
    plain = loaded(made / "lora").score_text(requests(PAIRS))
    compiled = loaded(made / "lora", compile=True).score_text(requests(PAIRS))
    assert [c.logprob for c in compiled] == pytest.approx([p.logprob for p in plain], abs=1e-4)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.pairing import Pair, resolve_pair
from tiny_models import make_lora

Copy = Callable[..., Path]


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def card(path: Path, base: str) -> None:
    (path / "README.md").write_text(f"---\nlicense: mit\nbase_model: {base}\n---\n# Model\n")


def base_print(pair: Pair) -> str | None:
    return pair.base.fingerprint if pair.base else None


def of(path: Path) -> str:
    return resolve(str(path)).fingerprint


def test_the_base_option_comes_before_everything(made: Path) -> None:
    pair = resolve_pair(str(made / "lora"), str(made / "other"))
    assert base_print(pair) == of(made / "other")
    assert any("is an adapter of llama, compared with other" in w for w in pair.warnings)


def test_the_system_file_comes_before_the_adapter_config(copy: Copy, made: Path, tmp_path: Path) -> None:
    copy("lora"), copy("other")
    (tmp_path / "system.yaml").write_text("components: {lm: ./lora}\nbase: {lm: ./other}\n")
    assert base_print(resolve_pair(str(tmp_path), None)) == of(made / "other")


def test_the_adapter_config_comes_before_the_card(copy: Copy, made: Path) -> None:
    adapter = copy("lora")
    card(adapter, str(made / "other"))
    assert base_print(resolve_pair(str(adapter), None)) == of(made / "llama")


def test_the_card_comes_before_the_origin_in_the_config(copy: Copy, made: Path) -> None:
    model = copy("other", "tuned")
    card(model, str(made / "llama"))
    edit_json(model / "config.json", _name_or_path=str(made / "nobos"))
    assert base_print(resolve_pair(str(model), None)) == of(made / "llama")


def test_the_origin_in_the_config_is_the_last_source(copy: Copy, made: Path) -> None:
    model = copy("other", "tuned")
    edit_json(model / "config.json", _name_or_path=str(made / "llama"))
    assert base_print(resolve_pair(str(model), None)) == of(made / "llama")


def test_the_card_of_a_merge_names_no_base(copy: Copy, made: Path) -> None:
    model = copy("other", "tuned")
    card(model, f"[{made / 'llama'}, {made / 'nobos'}]")
    assert resolve_pair(str(model), None).base is None


def test_a_card_whose_base_is_not_here_says_how_to_get_it(copy: Copy) -> None:
    model = copy("other", "tuned")
    card(model, "acme/base")
    with pytest.raises(CheckpointError, match="hf download acme/base"):
        resolve_pair(str(model), None)


def test_a_training_machines_path_is_a_warning(copy: Copy) -> None:
    model = copy("other", "tuned")
    edit_json(model / "config.json", _name_or_path="/home/someone/base")
    pair = resolve_pair(str(model), None)
    assert pair.base is None
    assert "names /home/someone/base as its origin: does not exist" in pair.warnings[0]


def test_a_model_that_names_itself_has_no_base(copy: Copy) -> None:
    model = copy("other", "tuned")
    edit_json(model / "config.json", _name_or_path=str(model))
    pair = resolve_pair(str(model), None)
    assert pair.base is None
    assert f"forgetbench run --model {model} --base ORG/NAME@REVISION" in pair.warnings[0]


def test_a_model_against_itself_is_a_usage_error(made: Path, copy: Copy) -> None:
    with pytest.raises(UsageError, match="forgetbench selftest") as raised:
        resolve_pair(str(made / "llama"), str(copy("llama", "renamed")))
    assert raised.value.exit_code == 2


def test_an_adapter_that_changes_nothing_is_a_warning(made: Path, tmp_path: Path) -> None:
    adapter = make_lora(tmp_path / "zero", made / "llama", zero=True)
    assert any("changes nothing" in w for w in resolve_pair(str(adapter), None).warnings)
    assert not any("changes nothing" in w for w in resolve_pair(str(made / "lora"), None).warnings)


def test_an_adapter_whose_own_base_is_gone_stands_on_the_one_given(copy: Copy, made: Path) -> None:
    adapter = copy("lora")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="/gone")
    pair = resolve_pair(str(adapter), str(made / "llama"))
    assert pair.checkpoint.fingerprint == of(made / "lora")


def test_an_adapter_put_on_another_base_than_it_names_is_warned_about(copy: Copy, made: Path) -> None:
    adapter = copy("lora")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="gone/base")
    (warning,) = resolve_pair(str(adapter), str(made / "other")).warnings
    assert "is an adapter of gone/base" in warning and "is put on other instead" in warning
    (warning,) = resolve_pair(f"lm={adapter}", f"lm={made / 'other'}").warnings
    assert "is put on other instead" in warning
    assert resolve_pair(str(made / "lora"), str(made / "llama")).warnings == ()


def test_an_adapter_is_not_put_on_an_adapter(copy: Copy, made: Path) -> None:
    adapter = copy("lora")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="gone/base")
    with pytest.raises(CheckpointError, match="is an adapter itself"):
        resolve_pair(str(adapter), str(made / "lora"))


def end_warnings(model: Path, base: Path) -> list[str]:
    return [w for w in resolve_pair(str(model), str(base)).warnings if "end their answers" in w]


@pytest.mark.parametrize("lost", ["an id", "the file"])
def test_a_lost_end_token_is_warned_about(lost: str, copy: Copy) -> None:
    base, model = copy("llama"), copy("other")
    edit_json(base / "generation_config.json", eos_token_id=[1, 7])
    if lost == "an id":
        edit_json(model / "generation_config.json", eos_token_id=1)
    else:  # config.json has only one, and counts where there is no generation_config.json
        (model / "generation_config.json").unlink()
    (warning,) = end_warnings(model, base)
    assert "(llama: 1, 7; other: 1): generated answers may differ for that alone" in warning


def test_the_same_end_tokens_written_otherwise_are_no_warning(copy: Copy) -> None:
    base, model = copy("llama"), copy("other")
    edit_json(base / "generation_config.json", eos_token_id=[1, 7])
    edit_json(model / "generation_config.json", eos_token_id=7)  # 1 is the tokenizer's own
    assert end_warnings(model, base) == []
    (model / "generation_config.json").unlink()
    edit_json(model / "config.json", eos_token_id=[7, 1])
    assert end_warnings(model, base) == []


def test_an_adapters_own_tokenizer_can_end_otherwise(copy: Copy, made: Path) -> None:
    adapter = copy("lora")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / name).write_bytes((made / "llama" / name).read_bytes())
    assert end_warnings(adapter, made / "llama") == []
    edit_json(adapter / "tokenizer_config.json", eos_token="<s>")
    assert len(end_warnings(adapter, made / "llama")) == 1


@pytest.mark.parametrize("eos", [None, 7, [1, 7]])
@pytest.mark.parametrize("has_generation_config", [True, False])
def test_end_tokens_are_those_that_the_loaded_model_has(
    eos: int | list[int] | None, has_generation_config: bool, copy: Copy
) -> None:
    from forgetbench.models.causal_lm import CausalLM
    from forgetbench.models.end_tokens import end_tokens
    from forgetbench.schema.run import LoadSettings

    model = copy("llama")
    edit_json(model / "config.json", eos_token_id=[5])
    edit_json(model / "generation_config.json", eos_token_id=eos)
    if not has_generation_config:
        (model / "generation_config.json").unlink()
    component = resolve(str(model)).components["lm"]
    assert end_tokens(component) == set(CausalLM.load(component, LoadSettings())._ends)


def test_another_chat_template_is_warned_about(copy: Copy, made: Path) -> None:
    model = copy("other", "tuned")
    (model / "chat_template.jinja").write_text("changed")
    warnings = resolve_pair(str(model), str(made / "llama")).warnings
    assert any("differ in chat template" in w for w in warnings)


def test_a_base_without_a_revision_is_warned_about(copy: Copy, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--acme--llama"
    commit = "c" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots").mkdir()
    copy("llama").rename(folder / "snapshots" / commit)
    adapter = copy("lora")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="acme/llama")
    warned = resolve_pair(str(adapter), None)
    assert any(f"--base acme/llama@{commit}" in w for w in warned.warnings)
    edit_json(adapter / "adapter_config.json", revision=commit)
    assert resolve_pair(str(adapter), None).warnings == ()


def test_a_system_is_paired_by_component(made: Path) -> None:
    whisper, lora, llama = (made / name for name in ("whisper", "lora", "llama"))
    pair = resolve_pair(f"asr={whisper},lm={lora}", f"asr={whisper},lm={llama}")
    assert pair.identical_roles == ("asr",)
    assert pair.base is not None and set(pair.base.components) == {"asr", "lm"}


def test_a_component_without_a_base_is_named(made: Path) -> None:
    pair = resolve_pair(f"asr={made / 'whisper'},lm={made / 'lora'}", None)
    assert pair.base is not None and list(pair.base.components) == ["lm"]
    assert any(w.startswith("whisper: no base") and "--base asr=" in w for w in pair.warnings)


def test_the_way_to_name_a_missing_base_keeps_those_that_were_named(made: Path) -> None:
    whisper, lora, llama = (made / name for name in ("whisper", "lora", "llama"))
    (warning,) = resolve_pair(f"asr={whisper},lm={lora}", f"lm={llama}").warnings
    assert warning.endswith("--base lm=llama,asr=ORG/NAME@REVISION")


def test_a_base_of_another_kind_is_a_usage_error(made: Path) -> None:
    with pytest.raises(UsageError, match="is a model for asr"):
        resolve_pair(str(made / "llama"), str(made / "whisper"))


def test_paths_are_taken_from_where_we_are(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    assert base_print(resolve_pair("lora", "other")) == of(made / "other")

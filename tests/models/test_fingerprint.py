from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetbench.models import fingerprint
from forgetbench.models.checkpoint import resolve

Copy = Callable[..., Path]


def of(path: Path) -> str:
    return resolve(str(path)).fingerprint


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("name", ["llama", "whisper", "lora"])
def test_a_copy_under_another_name_is_the_same_checkpoint(name: str, made: Path, copy: Copy) -> None:
    assert of(copy(name, "renamed")) == of(made / name)


def test_one_byte_of_the_weights_counts(made: Path, copy: Copy) -> None:
    path = copy("llama")
    data = bytearray((path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "model.safetensors").write_bytes(data)
    assert of(path) != of(made / "llama")


@pytest.mark.parametrize(
    ("name", "file", "old", "new"),
    [
        ("llama", "tokenizer.json", '"the"', '"thX"'),
        ("llama", "chat_template.jinja", "<a>", "<b>"),
        ("llama", "generation_config.json", '"eos_token_id": 1', '"eos_token_id": 2'),
        ("llama", "config.json", '"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'),
        ("whisper", "processor_config.json", '"hop_length": 160', '"hop_length": 80'),
        ("lora", "adapter_config.json", '"lora_alpha": 8', '"lora_alpha": 16'),
    ],
)
def test_what_changes_the_function_counts(
    name: str, file: str, old: str, new: str, made: Path, copy: Copy
) -> None:
    path = copy(name)
    edit(path / file, old, new)
    assert of(path) != of(made / name)


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [
        ("llama", "config.json", "_name_or_path"),
        ("llama", "config.json", "transformers_version"),
        ("llama", "tokenizer_config.json", "name_or_path"),
        ("llama", "generation_config.json", "transformers_version"),
        ("llama", "tokenizer.json", "padding"),
        ("lora", "adapter_config.json", "lora_dropout"),
        ("lora", "adapter_config.json", "inference_mode"),
    ],
)
def test_where_it_came_from_does_not_count(name: str, file: str, key: str, made: Path, copy: Copy) -> None:
    path = copy(name)
    document = json.loads((path / file).read_text())
    (path / file).write_text(json.dumps(dict(reversed(document.items())) | {key: "elsewhere"}, indent=4))
    assert of(path) == of(made / name)


def test_how_an_adapter_began_counts_where_loading_takes_it_out_of_the_base(made: Path, copy: Copy) -> None:
    """PEFT does so for PiSSA; the same file read as an ordinary LoRA is another function."""
    prints: dict[object, str] = {}
    for start in (False, True, "gaussian", "pissa", "pissa_niter_4", "olora"):
        path = copy("lora", f"start-{start}")
        config = json.loads((path / "adapter_config.json").read_text())
        (path / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": start}))
        prints[start] = of(path)
    assert prints[False] == prints[True] == prints["gaussian"]
    assert len(set(prints.values())) == 4


def test_a_training_state_beside_the_weights_does_not_count(made: Path, copy: Copy) -> None:
    path = copy("llama")
    (path / "optimizer.pt").write_bytes(b"x")
    (path / "README.md").write_text("# a card")
    assert of(path) == of(made / "llama")


def test_shards_are_the_same_weights(made: Path, copy: Copy) -> None:
    from transformers import AutoModelForCausalLM

    path = copy("llama")
    (path / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(made / "llama").save_pretrained(path, max_shard_size="20KB")
    assert len(list(path.glob("*.safetensors"))) > 1
    assert of(path) == of(made / "llama")


def test_an_adapter_on_another_base_is_another_checkpoint(made: Path, copy: Copy) -> None:
    path = copy("lora")
    edit(path / "adapter_config.json", str(made / "llama"), str(made / "other"))
    assert of(path) != of(made / "lora")


def test_a_template_inside_the_tokenizer_settings_is_the_same_template(made: Path, copy: Copy) -> None:
    path = copy("llama")
    template = (path / "chat_template.jinja").read_text()
    (path / "chat_template.jinja").unlink()
    settings = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    assert of(path) == of(made / "llama")


def test_gigabytes_are_hashed_once(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy("llama")
    calls: list[Path] = []
    original = fingerprint.tensor_digests
    monkeypatch.setattr(fingerprint, "tensor_digests", lambda file: calls.append(file) or original(file))
    monkeypatch.setattr(fingerprint, "_RACY_NS", -1)
    assert of(path) == of(path) and len(calls) == 1
    (path / "model.safetensors").touch()
    of(path)
    assert len(calls) == 2


def test_a_file_written_a_moment_ago_is_not_remembered(copy: Copy, tmp_path: Path) -> None:
    path = copy("llama")
    (path / "model.safetensors").touch()
    of(path)
    n_remembered = len(list((tmp_path / "cache").rglob("*.json")))
    of(path)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == n_remembered == 0


def test_a_change_that_keeps_the_time_of_the_file_is_seen(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_RACY_NS", -1)
    path = copy("llama")
    weights, first = path / "model.safetensors", of(path)
    stat, data = weights.stat(), bytearray(weights.read_bytes())
    data[-1] ^= 1
    with weights.open("r+b") as file:
        file.write(data)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert of(path) != first


def test_a_cache_that_cannot_be_written_costs_only_time(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = of(made / "llama")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert of(made / "llama") == expected

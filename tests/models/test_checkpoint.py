from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve

Copy = Callable[..., Path]


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def put_in_hub_cache(tmp_path: Path, source: Path, repo: str, commit: str = "c" * 40) -> Path:
    """Lay a directory out as huggingface_hub keeps a downloaded model."""
    folder = tmp_path / "hub" / ("models--" + repo.replace("/", "--"))
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    snapshot = folder / "snapshots" / commit
    snapshot.parent.mkdir()
    source.rename(snapshot)
    return snapshot


def test_a_directory_resolves_to_its_family(made: Path) -> None:
    lm, asr = resolve(str(made / "llama")), resolve(str(made / "whisper"))
    assert lm.components["lm"].capabilities == ("score_text", "generate")
    assert asr.components["asr"].capabilities == (
        "transcribe",
        "time_speech",
        "translate",
        "identify_language",
    )
    assert lm.name == "llama" and lm.components["lm"].architecture == "LlamaForCausalLM"
    assert lm.component_for("generate") is lm.components["lm"]
    assert lm.component_for("transcribe") is None


def test_a_run_document_never_shows_an_absolute_path(made: Path) -> None:
    assert str(made) not in resolve(str(made / "lora")).info().model_dump_json()


def test_parameters_are_counted_from_the_headers(made: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(made / "llama")
    expected = sum(p.numel() for p in model.parameters())
    base, adapter = (resolve(str(made / name)).components["lm"] for name in ("llama", "lora"))
    assert base.parameters == expected
    added = 2 * 2 * 2 * 32 + 2 * 2 * (32 + 16)
    assert (adapter.parameters, adapter.adapter_parameters) == (expected + added, added)
    assert base.adapter_parameters is None


def test_the_size_is_that_of_the_weight_files_the_adapter_s_on_top(made: Path) -> None:
    base, adapter = (resolve(str(made / name)).components["lm"] for name in ("llama", "lora"))
    weights = (made / "llama" / "model.safetensors").stat().st_size
    assert base.bytes == weights
    assert adapter.bytes == weights + (made / "lora" / "adapter_model.safetensors").stat().st_size


def test_an_adapter_stands_on_the_base_that_it_names(made: Path) -> None:
    component = resolve(str(made / "lora")).components["lm"]
    assert component.format == "peft" and component.base is not None
    assert component.base.fingerprint == resolve(str(made / "llama")).fingerprint


def test_a_relative_base_is_looked_up_beside_the_adapter(copy: Copy) -> None:
    copy("llama")
    adapter = copy("lora")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="../llama")
    assert resolve(str(adapter)).components["lm"].base is not None


def test_a_hub_id_comes_from_the_local_cache_with_its_commit(copy: Copy, tmp_path: Path) -> None:
    put_in_hub_cache(tmp_path, copy("llama"), "acme/llama")
    component = resolve("acme/llama").components["lm"]
    assert (component.source, component.revision, component.unpinned) == ("acme/llama", "c" * 40, True)
    pinned = resolve("acme/llama@" + "c" * 40).components["lm"]
    assert not pinned.unpinned and pinned.fingerprint == component.fingerprint


def test_a_directory_that_is_called_like_a_system_is_no_system(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lr=1e-4,r=8"
    copy("llama").rename(folder)
    monkeypatch.chdir(tmp_path)
    assert list(resolve(folder.name).components) == ["lm"]


def test_an_old_hub_model_has_no_organisation_and_an_adapter_may_name_it(copy: Copy, tmp_path: Path) -> None:
    lora = copy("lora")
    put_in_hub_cache(tmp_path, copy("llama"), "gpt2")
    component = resolve("gpt2").components["lm"]
    assert (component.source, component.revision) == ("gpt2", "c" * 40)
    edit_json(lora / "adapter_config.json", base_model_name_or_path="gpt2", revision="c" * 40)
    base = resolve(str(lora)).components["lm"].base
    assert base is not None
    assert (base.source, base.unpinned, base.fingerprint) == ("gpt2", False, component.fingerprint)


def test_a_snapshot_without_weights_is_not_taken_for_a_model(copy: Copy, tmp_path: Path) -> None:
    snapshot = put_in_hub_cache(tmp_path, copy("llama"), "acme/llama")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not in the local Hugging Face cache"):
        resolve("acme/llama")


def test_a_packaged_reference_is_the_last_resort(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = types.ModuleType("forgetbench.models.reference")
    known = {"HuggingFaceTB/SmolLM2-135M-Instruct": made / "llama"}
    reference.resolve_reference = known.get  # type: ignore[attr-defined]
    reference.install_command = lambda name: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "forgetbench.models.reference", reference)
    component = resolve("HuggingFaceTB/SmolLM2-135M-Instruct").components["lm"]
    assert component.source == "HuggingFaceTB/SmolLM2-135M-Instruct" and not component.unpinned
    with pytest.raises(CheckpointError):  # a package cannot promise a commit of the hub
        resolve("HuggingFaceTB/SmolLM2-135M-Instruct@main")


def test_a_foreign_format_is_converted_once(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    calls = []

    def convert(path: Path, out_dir: Path) -> Path:
        calls.append(path)
        return Path(shutil.copytree(made / "llama", out_dir, dirs_exist_ok=True))

    module = types.ModuleType("forgetbench.models.gguf")
    module.convert_gguf = convert  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    first, second = (resolve(str(tmp_path / "m.gguf")).components["lm"] for _ in range(2))
    assert len(calls) == 1 and first.fingerprint == second.fingerprint
    assert (first.format, first.source) == ("gguf", "m.gguf")
    assert {first.bytes, second.bytes} == {104}, "the size is of the conversion, not of what was named"
    monkeypatch.setattr("forgetbench.models.checkpoint.CONVERSION", 2)
    resolve(str(tmp_path / "m.gguf"))
    assert len(calls) == 2, "a new converter does not write other bytes for nothing"


def test_a_system_file_names_components_beside_it(copy: Copy, tmp_path: Path) -> None:
    copy("llama"), copy("whisper")
    (tmp_path / "system.yaml").write_text("components: {asr: ./whisper, lm: ./llama}\n")
    for name in (tmp_path, tmp_path / "system.yaml"):
        system = resolve(str(name))
        assert list(system.components) == ["asr", "lm"] and system.name == tmp_path.name
    assert system.component_for("transcribe") is system.components["asr"]


def test_an_inline_system_is_the_system_of_the_file(copy: Copy, tmp_path: Path) -> None:
    lm, asr = copy("llama"), copy("whisper")
    (tmp_path / "system.yaml").write_text("components: {asr: ./whisper, lm: ./llama}\n")
    inline = resolve(f"lm={lm},asr={asr}")
    assert inline.fingerprint == resolve(str(tmp_path)).fingerprint
    assert inline.name == "asr=whisper,lm=llama"


def test_a_system_of_one_is_that_one(made: Path) -> None:
    assert resolve(f"lm={made / 'llama'}").fingerprint == resolve(str(made / "llama")).fingerprint


def test_resolving_does_not_load_torch(made: Path) -> None:
    code = (
        "import sys; from forgetbench.models.pairing import resolve_pair;"
        f"resolve_pair({str(made / 'lora')!r}, None, offline=True);"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def break_weights(path: Path) -> None:
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def break_header(path: Path) -> None:
    (path / "model.safetensors").write_bytes(b"\xff" * 40)


def only_pickle(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def no_weights(path: Path) -> None:
    (path / "model.safetensors").unlink()


def bert(path: Path) -> None:
    edit_json(path / "config.json", architectures=["BertForMaskedLM"], model_type="bert")


def whisper_classifier(path: Path) -> None:
    edit_json(path / "config.json", architectures=["WhisperForAudioClassification"], model_type="whisper")


def no_config(path: Path) -> None:
    (path / "config.json").unlink()


def broken_config(path: Path) -> None:
    (path / "config.json").write_text("{")


def missing_shard(path: Path) -> None:
    (path / "model.safetensors").unlink()
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (break_weights, "is truncated"),
        (break_header, "not a safetensors file"),
        (only_pickle, r"only as a pickle \(pytorch_model.bin\).*save_pretrained"),
        (no_weights, "has no model.safetensors"),
        (bert, "is BertForMaskedLM, which.*Supported are Whisper"),
        (whisper_classifier, "is WhisperForAudioClassification, which"),
        (no_config, "is no checkpoint.*Name the directory that save_pretrained wrote"),
        (broken_config, "cannot be read as JSON"),
        (missing_shard, "lacks model-00001-of-00002.safetensors"),
    ],
)
def test_a_bad_directory_is_refused_in_one_line(
    damage: Callable[[Path], None], told: str, copy: Copy
) -> None:
    path = copy("llama")
    damage(path)
    with pytest.raises(CheckpointError, match=told) as raised:
        resolve(str(path))
    assert "\n" not in str(raised.value) and raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("./nowhere", "does not exist"),
        ("acme/nothing", "not in the local Hugging Face cache.*hf download acme/nothing$"),
        ("acme/nothing@v1", "hf download acme/nothing --revision v1"),
        ("acme/nothing@refs/pr/3", "hf download acme/nothing --revision refs/pr/3"),
        ("a b", r"neither a path that exists nor a model id\. Check the path\."),
        ("nonsense", r"no directory has that name\. Check the path, or fetch .*: hf download nonsense$"),
        ("deepfilternet", r"Did you mean deepfilternet3\?"),
        ("asr=./x,asr=./y", "names asr twice"),
        ("ears=./x", "unknown role 'ears'"),
        ("asr=", "names no model"),
        ("", "empty"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused(name: str, told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        resolve(name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("components: {asr: ./whisper}\nextra: 1\n", "unknown key 'extra'"),
        ("components: {ears: ./whisper}\n", "unknown role 'ears'"),
        ("components: [./whisper]\n", "not a mapping"),
        ("base: {asr: ./whisper}\n", "has no components"),
        ("components: {asr: !!python/object/apply:os.system [ls]}\n", "cannot be read as YAML"),
        ("components: {lm: ./whisper}\n", "cannot be the lm component"),
    ],
)
def test_a_bad_system_file_is_refused(content: str, told: str, copy: Copy, tmp_path: Path) -> None:
    copy("whisper")
    (tmp_path / "system.yaml").write_text(content)
    with pytest.raises(CheckpointError, match=told):
        resolve(str(tmp_path))


def test_a_folder_of_checkpoints_says_so(copy: Copy, tmp_path: Path) -> None:
    copy("llama", "out/checkpoint-5"), copy("llama", "out/checkpoint-10")
    with pytest.raises(CheckpointError, match=r"name one, such as .*checkpoint-10"):
        resolve(str(tmp_path / "out"))


def test_a_gguf_file_needs_the_magic(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"version https://git-lfs")
    with pytest.raises(CheckpointError, match="first bytes are not GGUF"):
        resolve(str(tmp_path / "m.gguf"))


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"is a \.tflite file"):
        resolve(str(tmp_path / "m.tflite"))


def test_an_adapter_without_its_base_says_which(copy: Copy) -> None:
    adapter = copy("lora")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="acme/gone", revision="v2")
    with pytest.raises(CheckpointError, match=r"base cannot be had: acme/gone@v2.*--revision v2"):
        resolve(str(adapter))


def test_a_pickled_adapter_is_refused(copy: Copy) -> None:
    adapter = copy("lora")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"only as a pickle \(adapter_model.bin\)"):
        resolve(str(adapter))

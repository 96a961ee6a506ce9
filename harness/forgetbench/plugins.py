"""What other packages bring, by entry points: tasks, metrics, models and judges.

The groups are ``forgetbench.tasks``, ``.metrics``, ``.models`` and ``.judges``. Listing them imports
nothing; a plug-in is loaded when its name is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, get_args

from forgetbench.errors import ForgetbenchError

Group = Literal["tasks", "metrics", "models", "judges"]


@cache
def plugins(group: Group) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name.

    Raises:
        ForgetbenchError: Two packages bring the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=f"forgetbench.{group}"):
        name = entry_point.name
        if name in found and found[name].value != entry_point.value:
            both = f"{provider(found[name])} and {provider(entry_point)}"
            raise ForgetbenchError(f"plug-in {name}", f"is brought by {both}", "Uninstall one of them.")
        found[name] = entry_point
    return found


def load_plugin(group: Group, name: str) -> Any:
    """Return what a plug-in's entry point names: this imports its package.

    Raises:
        ForgetbenchError: It cannot be imported.
        KeyError: No package brings the name.
    """
    entry_point = plugins(group)[name]
    try:
        return entry_point.load()
    except Exception as error:  # another package's code may raise anything
        cause = f"cannot be loaded from {entry_point.value} ({type(error).__name__}: {error})"
        raise broken(group, name, cause) from error


def broken(group: Group, name: str, cause: str) -> ForgetbenchError:
    """Return the error of a plug-in that does not keep to its contract."""
    package = provider(plugins(group)[name])
    return ForgetbenchError(
        f"plug-in {name} of {package}", cause, f"Update it, or: pip uninstall {package.partition(' ')[0]}"
    )


def provider(entry_point: EntryPoint) -> str:
    """Return name and version of the package that brings an entry point."""
    return f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist else "a package"


def installed_plugins() -> dict[str, str]:
    """Return package and version of every plug-in, by ``group:name``."""
    return {
        f"{group}:{name}": provider(entry_point)
        for group in get_args(Group)
        for name, entry_point in sorted(plugins(group).items())
    }


def plugin_folder(name: str) -> Path:
    """Return the folder of task files that a plug-in of ``forgetbench.tasks`` names.

    Raises:
        ForgetbenchError: It cannot be imported, or names no folder.
    """
    folder = Path(str(load_plugin("tasks", name)))
    if not folder.is_dir():
        raise broken("tasks", name, f"names {folder}, which is no folder")
    return folder

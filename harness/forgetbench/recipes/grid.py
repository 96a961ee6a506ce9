"""A grid file becomes the trainings of a sweep."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forgetbench.errors import UsageError
from forgetbench.recipes.make import check_no_code, make_recipe
from forgetbench.recipes.places import MIXED, PLACES, model_from, path_from, with_paths_from
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.recipe import Recipe
from forgetbench.schema.sweep import Grid
from forgetbench.tasks.strict_yaml import line_of, read_mapping

_LISTS = ("save_steps", "target_modules")
"""Fields whose value is a list itself; a list of lists is gone through."""
_NAMED = (
    "rank",
    "steps",
    "save_steps",
    "safety.share",
    "replay.share",
    "l2_to_base",
    "ewc",
    "rslora",
    "weights",
)
"""Fields that a method's name in curves, or its axis, shows."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One recipe of a sweep, and the parts of its checkpoints' change that are measured."""

    recipe: Recipe
    alphas: tuple[float, ...]


def read_grid(path: Path) -> Grid:
    """Read a grid file; paths in it become relative to the working directory.

    Raises:
        UsageError: It is no grid, with the line.
    """
    mapping = read_mapping(path, what="grid", error=UsageError)
    try:
        grid = Grid.model_validate(mapping.content)
    except ValidationError as error:
        first = first_invalid(error)
        thing = f"{path}, line {line_of(mapping.node, first.location)}, key `{first.key}`"
        raise UsageError(thing, first.cause, "See docs/recipes.md.") from None
    if not grid.tasks and grid.target is None:
        raise UsageError(str(path), "measures nothing", "Give tasks or target.")
    folder = path.parent
    return grid.model_copy(
        update={
            "model": model_from(grid.model, folder),
            "data": path_from(grid.data, folder),
            "target": path_from(grid.target, folder) if grid.target else None,
            "include_paths": tuple(path_from(name, folder) for name in grid.include_paths),
            "common": with_paths_from(grid.common, folder),
            "grid": tuple(with_paths_from(entry, folder) for entry in grid.grid),
        }
    )


def trainings_of(grid: Grid, *, trust_remote_code: bool = False) -> list[Training]:
    """Return every training of a grid, seed after seed; equal ones are one, with all their parts α.

    Args:
        grid: The grid.
        trust_remote_code: Entries, and recipes of one's own that they name, may name Python code.

    Raises:
        UsageError: An entry is no recipe.
    """
    found: dict[str, Training] = {}
    for seed in grid.seeds:
        for entry in grid.grid:
            if seed not in _seeds(grid, entry):
                continue
            for recipe, alphas in _of_entry(grid, entry, seed, trust_remote_code=trust_remote_code):
                key = recipe.model_dump_json(exclude={"name"})
                before = found[key].alphas if key in found else ()
                found[key] = Training(recipe=recipe, alphas=tuple(sorted({*before, *alphas})))
    return list(found.values())


def _seeds(grid: Grid, entry: Mapping[str, Any]) -> Sequence[int]:
    """Return the seeds that an entry is trained with: its own, which are some of the grid's.

    Raises:
        UsageError: They are not.
    """
    own = entry.get("seeds", grid.seeds)
    if not isinstance(own, (list, tuple)) or not own or not all(seed in grid.seeds for seed in own):
        known = ", ".join(map(str, grid.seeds))
        raise UsageError(
            f"grid {grid.name}", f"seeds: {own} of an entry are not some of {known}", "See docs/recipes.md."
        )
    return own


def _of_entry(
    grid: Grid, entry: Mapping[str, Any], seed: int, *, trust_remote_code: bool
) -> Iterator[tuple[Recipe, tuple[float, ...]]]:
    fields = {**grid.common, **entry}
    fields.pop("seeds", None)
    name = fields.pop("recipe", None)
    alphas = tuple(_alphas(fields.pop("interpolation", [1.0])))
    if not isinstance(name, str):
        raise UsageError(
            f"grid {grid.name}", "an entry has no recipe", "Give recipe: lora. See: forgetbench recipe ls"
        )
    axes = list(_axes(fields))
    if empty := [place for place, choices in axes if not choices]:
        cause = f"{empty[0]} is an empty list, which leaves nothing to train"
        raise UsageError(f"grid {grid.name}", cause, "Give it values, or leave it out.")
    for values in product(*(choices for _, choices in axes)):
        chosen = dict(fields)
        for (place, _), value in zip(axes, values, strict=True):
            outer, _, inner = place.partition(".")
            chosen[outer] = {**chosen[outer], inner: value} if inner else value
        varied = (
            f"{place} {_shown(place.rpartition('.')[2], value, choices)}"
            for (place, choices), value in zip(axes, values, strict=True)
            if _unnamed(place)
        )
        chosen.setdefault("variant", ", ".join(varied))
        if not trust_remote_code:
            check_no_code(f"grid {grid.name}", chosen)
        recipe = make_recipe(
            name,
            trust_remote_code=trust_remote_code,
            **{**chosen, "model": grid.model, "data": grid.data, "output": ".", "seed": seed},
        )
        if not recipe.saved:
            cause = f"{name} saves no checkpoint, which leaves nothing to measure"
            raise UsageError(f"grid {grid.name}", cause, "Give save_steps values, or leave it out.")
        yield recipe.model_copy(update={"name": _name(recipe)}), alphas


def _axes(fields: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the place of each field that is gone through, and its values."""
    for name, value in fields.items():
        if isinstance(value, list) and (name not in _LISTS or any(isinstance(item, list) for item in value)):
            yield name, value
        elif isinstance(value, Mapping) and name in MIXED:
            yield from ((f"{name}.{inner}", part) for inner, part in value.items() if isinstance(part, list))


def _unnamed(place: str) -> bool:
    """Say whether curves would not show by themselves what is gone through."""
    return place not in _NAMED


def _alphas(value: Any) -> list[float]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(part, int | float) and 0 < part <= 1 for part in found):
        way_out = "Give numbers above 0, up to 1; 0 is the base, which is measured anyway."
        raise UsageError(f"interpolation {value}", "is no part of a change", way_out)
    return [float(part) for part in found]


def _name(recipe: Recipe) -> str:
    rank = f"-r{recipe.rank}" if recipe.weights == "lora" else ""
    label = re.sub(r"[^a-z0-9.]+", "-", recipe.label.lower()).strip("-")
    return f"{label}{rank}-s{recipe.seed}"


def _shown(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """Return a value as curves call it; of paths, the shortest ends that tell them apart."""
    if isinstance(value, Mapping):
        others = [choice for choice in choices if isinstance(choice, Mapping)]
        return {key: _shown(key, part, [other.get(key) for other in others]) for key, part in value.items()}
    if name not in PLACES or not isinstance(value, str):
        return value
    paths = {Path(other).parts for other in choices if isinstance(other, str)} - {Path(value).parts}
    parts = Path(value).parts
    n = next((n for n in range(1, len(parts)) if all(p[-n:] != parts[-n:] for p in paths)), len(parts))
    return str(Path(*parts[-n:]))

"""From a recipe's name, a model, its data and overrides to a complete recipe."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from forgetbench.errors import UsageError, did_you_mean
from forgetbench.models.checkpoint import is_code
from forgetbench.recipes.base import locate_base
from forgetbench.recipes.places import is_own, with_paths_from
from forgetbench.redact import redact
from forgetbench.schema.invalid import UNKNOWN, first_invalid
from forgetbench.schema.recipe import Recipe
from forgetbench.tasks.strict_yaml import read_mapping

DEFINITIONS = Path(__file__).parent / "definitions"
"""``<family>/<name>.yaml``: a recipe without model, data and output."""


class Definition(NamedTuple):
    """A recipe that comes with forgetbench."""

    name: str
    family: str
    path: Path

    @property
    def fields(self) -> dict[str, Any]:
        """What the file says."""
        return read_mapping(self.path, what="recipe", error=UsageError).content

    @property
    def about(self) -> str:
        """The comment at its head."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def definitions() -> list[Definition]:
    """Return every recipe that comes with forgetbench, by name."""
    found = [Definition(path.stem, path.parent.name, path) for path in DEFINITIONS.glob("*/*.yaml")]
    return sorted(found)


def make_recipe(name: str, *, trust_remote_code: bool = False, **overrides: Any) -> Recipe:
    """Return a complete recipe.

    Args:
        name: A recipe that comes with forgetbench, such as ``lora``: the model's family chooses its file. Or
            a YAML file of one's own, whose paths start at its folder.
        trust_remote_code: A file of one's own may name Python code, as a teacher or reward.
        overrides: Fields of ``Recipe``; None leaves the default. ``model``, ``data`` and ``output`` are
            needed unless a file of one's own has them.

    Raises:
        CheckpointError: The model is not there.
        UsageError: There is no such recipe for the model's family, or a field is missing or invalid.
    """
    given = {field: value for field, value in overrides.items() if value is not None}
    own = Path(name).expanduser() if is_own(name) else None
    fields = read_mapping(own, what="recipe", error=UsageError).content if own else {}
    if own and not trust_remote_code:
        check_no_code(str(own), fields)
    if own:
        fields = with_paths_from(fields, own.parent)
    model = given.get("model", fields.get("model"))
    if model is None:
        raise UsageError(f"recipe {name}", "needs a model", "Give --model.")
    family = locate_base(str(model)).family
    if own is None:
        fields = _definition(name, family).fields
    fields.setdefault("family", family)
    fields.setdefault("name", own.stem.lower() if own else name)
    fields = _merged(fields, given)
    if missing := [f"--{field}" for field in ("data", "output") if field not in fields]:
        raise UsageError(
            f"recipe {name}", f"needs {' and '.join(missing)}", "Give them as options or as KEY=VALUE."
        )
    if fields["family"] != family:
        raise UsageError(
            f"recipe {name}",
            f"is for {fields['family']}, and {model} is {family}",
            "See `forgetbench recipe ls`.",
        )
    return _validated(name, fields)


def command_of(recipe: Recipe) -> str:
    """Return the ``forgetbench recipe run`` that makes a recipe again, from one that is packaged."""
    shipped = recipe.weights if recipe.method == "sft" else recipe.method
    places = {"model": recipe.model, "data": recipe.data, "output": recipe.output}
    of_file = _definition(shipped, recipe.family).fields
    plain = Recipe.model_validate({"family": recipe.family, "name": shipped, **of_file, **places})
    unless = plain.model_dump(mode="json")
    fields = recipe.model_dump(mode="json").items()
    words = [f"{key}={_word(value)}" for key, value in fields if key in places or value != unless[key]]
    return redact(shlex.join(["forgetbench", "recipe", "run", shipped, *words]))


def _word(value: Any) -> str:
    """Return a value as KEY=VALUE takes it."""
    if isinstance(value, str):
        return Path(value).name if Path(value).is_absolute() else value
    if isinstance(value, dict):
        value = {key: _word(part) if isinstance(part, str) else part for key, part in value.items()}
    return json.dumps(value)


def check_no_code(place: str, fields: Mapping[str, Any]) -> None:
    """Make sure that a file names no Python code: on a command line, naming it is the user's own act.

    Raises:
        UsageError: It does.
    """
    for key in ("model", "teacher", "reward"):
        name = fields.get(key)
        if isinstance(name, str) and is_code(name):
            cause = f"names the Python code {name}, and naming it would run it"
            way_out = f"Give {key}={name} yourself, or trust the file with --trust-remote-code."
            raise UsageError(f"{place}, key `{key}`", cause, way_out)


def read_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` words as fields, values read as YAML; ``peft.peft_type=IA3`` goes one level down.

    Raises:
        UsageError: A word is no ``KEY=VALUE``, or a value is no YAML.
    """
    fields: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(word, "is no override", "Write KEY=VALUE, such as rank=32.")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise UsageError(word, "has a value that is no YAML", "Quote it: 'key={a: 1}'.") from None
        outer, _, inner = key.partition(".")
        fields = _merged(fields, {outer: {inner: _number(value)} if inner else _number(value)})
    return fields


def _number(value: Any) -> Any:
    """Read ``1e-4`` as the number that it is: YAML 1.1 wants a point in it."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _merged(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with changes; mappings are merged, but another ``peft_type`` begins anew."""
    merged = dict(fields)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and "peft_type" not in value:
            value = {**before, **value}
        merged[key] = value
    return merged


def _definition(name: str, family: str) -> Definition:
    known = definitions()
    for definition in known:
        if (definition.name, definition.family) == (name, family):
            return definition
    families = [definition.family for definition in known if definition.name == name]
    if families:
        raise UsageError(
            f"recipe {name}",
            f"is for {', '.join(families)}, and the model is {family}",
            "See `forgetbench recipe ls`.",
        )
    names = sorted({definition.name for definition in known if definition.family == family})
    there_is = f"There is {', '.join(names)}."
    way_out = f"{did_you_mean(name, names, '')} {there_is}".lstrip()
    raise UsageError(f"recipe {name}", f"is unknown for {family}", way_out)


def _validated(name: str, fields: Mapping[str, Any]) -> Recipe:
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        first = first_invalid(error)
        show = f"See `forgetbench {'schema recipe' if is_own(name) else f'recipe show {name}'}`."
        if first.kind == UNKNOWN:
            way_out = did_you_mean(first.key, Recipe.model_fields, show)
            raise UsageError(f"recipe {name}", f"there is no field {first.key}", way_out) from None
        raise UsageError(f"recipe {name}", f"{first.key}: {first.cause}", show) from None
    if beyond := [step for step in _asked(recipe.save_steps) if step > recipe.steps]:
        cause = f"save_steps {beyond[0]} lies beyond the {recipe.steps} steps"
        raise UsageError(f"recipe {name}", cause, "Raise --steps.")
    return recipe


def _asked(steps: Sequence[int] | None) -> Iterator[int]:
    yield from steps or ()

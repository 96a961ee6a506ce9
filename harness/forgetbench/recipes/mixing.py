"""Which row of which file each training example is: the target's, and those that are mixed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from forgetbench.errors import UsageError
from forgetbench.recipes.data import training_order
from forgetbench.schema.recipe import Recipe

TARGET = "target"
_PLACES = 2
"""Keeps the choice of places apart from the order of training."""


class Place(NamedTuple):
    """A row of a source."""

    source: str
    row: int


def sources_of(recipe: Recipe) -> dict[str, Path]:
    """Return the data files that training examples come from, the target's first."""
    mixed = {"safety": recipe.safety, "replay": recipe.replay}
    files = {TARGET: recipe.data} | {name: part.data for name, part in mixed.items() if part is not None}
    return {name: Path(path).expanduser() for name, path in files.items()}


def example_counts(recipe: Recipe) -> dict[str, int]:
    """Return how many training examples come from each source: the share of all examples, rounded.

    Raises:
        UsageError: A share leaves nothing of the target, or is no example at all.
    """
    n_examples = recipe.steps * recipe.batch_size
    shares = {"safety": recipe.safety, "replay": recipe.replay}
    counts = {name: round(part.share * n_examples) for name, part in shares.items() if part is not None}
    for name, part in shares.items():
        if part is not None and counts[name] < 1:
            cause = f"a share of {part.share:g} of {n_examples} examples is none"
            raise UsageError(f"recipe {recipe.name}, {name}", cause, "Take more steps, or a larger share.")
    if sum(counts.values()) >= n_examples:
        raise UsageError(
            f"recipe {recipe.name}", "safety and replay leave no share to the target", "Lower their shares."
        )
    return {TARGET: n_examples - sum(counts.values()), **counts}


def training_places(recipe: Recipe, n_rows: Mapping[str, int]) -> list[Place]:
    """Return the row of each training example, in order, the same for the same recipe.

    Each source is gone through in its own seeded order; which examples are mixed in is drawn by seed.

    Args:
        recipe: Shares, steps, batch size and seed.
        n_rows: Rows of each of :func:`sources_of`.

    Raises:
        UsageError: As for :func:`example_counts`, or the steps go beyond the data.
    """
    counts = example_counts(recipe)
    for name, n in counts.items():
        if n > recipe.max_epochs * n_rows[name]:
            cause = (
                f"{recipe.steps} steps of {recipe.batch_size} pass over the {n_rows[name]} {name} examples "
                f"{n / n_rows[name]:.0f} times"
            )
            raise UsageError(f"recipe {recipe.name}", cause, "Lower --steps, or raise max_epochs.")
    orders = {name: iter(training_order(n_rows[name], n, recipe.seed)) for name, n in counts.items()}
    return [Place(name, next(orders[name])) for name in _sequence(counts, recipe.seed)]


def _sequence(counts: Mapping[str, int], seed: int) -> Sequence[str]:
    """Return the source of each example."""
    whole = [name for name, n in counts.items() for _ in range(n)]
    if len(counts) == 1:
        return whole
    order = np.random.default_rng([seed, len(whole), _PLACES]).permutation(len(whole)).tolist()
    return [whole[i] for i in order]

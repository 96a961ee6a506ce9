"""The facts that a recipe leaves in each checkpoint's directory."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from forgetbench.schema.recipe import FACTS, RecipeFacts


def read_facts(folder: Path) -> RecipeFacts | None:
    """Return the facts of a checkpoint directory, None where there are none that can be read."""
    try:
        return RecipeFacts.model_validate_json((folder / FACTS).read_bytes())
    except (OSError, ValidationError):
        return None

"""What is known of how a checkpoint was trained: by the facts of a recipe, or by its directory's name."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from forgetbench.forgetting.trajectory import Exposure
from forgetbench.schema.recipe import FACTS, RecipeFacts


def read_facts(folder: Path) -> RecipeFacts | None:
    """Return the facts of a checkpoint directory, None where there are none that can be read."""
    try:
        return RecipeFacts.model_validate_json((folder / FACTS).read_bytes())
    except (OSError, ValidationError):
        return None


def read_exposure(folder: Path) -> Exposure:
    """Return how much a checkpoint was trained on.

    Where no recipe says so, ``checkpoint-500`` is the 500th step: so transformers' Trainer names its own.
    """
    facts = read_facts(folder)
    if facts is not None:
        return Exposure(audio_s=facts.audio_s_available, step=facts.step)
    named = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return Exposure(step=int(named[1]) if named else None)

"""Adaptability: one adapter for each amount of a user's own audio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forgetbench.engine.progress import Progress, Silent
from forgetbench.errors import UsageError
from forgetbench.recipes.data import recording_durations_s
from forgetbench.recipes.run import run_recipe
from forgetbench.schema.recipe import Contamination, Recipe


def run_by_amount(
    recipe: Recipe,
    amounts_s: Sequence[float],
    *,
    progress: Progress | None = None,
    contamination: Contamination | None = None,
) -> list[Path]:
    """Train the adapter of a recipe once for each amount of audio, with the same number of steps.

    Args:
        recipe: For speech. Its output gets ``audio-15s``, ``audio-60s`` …
        amounts_s: Seconds of audio. Of those that the data does not exceed, the smallest is trained on all
            there is; the others would be the same adapter: they are left out, and that is said.
        progress: Told of the steps, and of what was left out.
        contamination: Of the whole data, for the facts.

    Returns:
        The adapter directories, from the least audio to the most; ``audio_s_available`` in the facts of each
        says how much it was in truth.

    Raises:
        UsageError: The model does not hear, or as :func:`~forgetbench.recipes.run.run_recipe`.
        DataError: The data cannot be used.
        SampleError: A recording is missing or broken.
    """
    progress = progress or Silent()
    if recipe.family != "whisper":
        raise UsageError(
            "--audio-seconds",
            f"is for speech, and {recipe.model} is a language model",
            "Leave it out, or name a recogniser with --model.",
        )
    total_s = sum(recording_durations_s(Path(recipe.data).expanduser()))
    wanted = sorted(set(amounts_s))
    parts = [amount for amount in wanted if amount < total_s]
    whole = [amount for amount in wanted if amount >= total_s]
    if whole and wanted[-1] > total_s:
        rest = f"; {_named(whole[1:])} would be the same and is left out" if whole[1:] else ""
        progress.say(f"{recipe.data} holds {total_s:.1f} s: audio-{whole[0]:g}s trains on all of it{rest}")
    made = []
    for amount_s in (*parts, *whole[:1]):
        folder = Path(recipe.output) / f"audio-{amount_s:g}s"
        part = {"name": f"{recipe.name}-{amount_s:g}s", "output": str(folder), "audio_s": amount_s}
        run_recipe(recipe.model_copy(update=part), progress=progress, contamination=contamination)
        made.append(folder.expanduser())
    return made


def _named(amounts_s: Sequence[float]) -> str:
    return ", ".join(f"{amount:g} s" for amount in amounts_s)

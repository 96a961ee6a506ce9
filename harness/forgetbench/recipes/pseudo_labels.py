"""Transcripts that a model writes for recordings, to be learned by another, or by itself in noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forgetbench.data.audio import read_audio, read_bytes, resample
from forgetbench.errors import CheckpointError, DataError
from forgetbench.models.component import Component
from forgetbench.models.fingerprint import fingerprint_file
from forgetbench.recipes.base import Base
from forgetbench.recipes.data import Row
from forgetbench.recipes.written import written_once
from forgetbench.schema.recipe import Recipe
from forgetbench.schema.run import LoadSettings

PSEUDO_LABELS = "pseudo_labels.jsonl"
"""In the output directory: what was learned."""
_BATCH = 8


def pseudo_labels(rows: Sequence[Row], manifest: Path, recipe: Recipe, base: Base) -> list[str]:
    """Return the teacher's transcript of each recording, written once; empty where it heard nothing.

    The teacher is any recogniser, of any vocabulary: texts are learned, not its distributions.

    Raises:
        CheckpointError: The teacher is not there, or hears nothing.
        DataError: It heard no word in any recording.
        SampleError: A recording is missing or broken.
    """
    key = {
        "teacher": _teacher(recipe, base).fingerprint,
        "language": recipe.language,
        "audio": [fingerprint_file(manifest.parent / row["audio"]) for row in rows],
    }
    found = written_once(
        "pseudo-labels", key, lambda: [{"text": text} for text in _transcribe(rows, manifest, recipe, base)]
    )
    if not any(line["text"] for line in found):
        raise DataError(
            str(manifest),
            f"{recipe.teacher or recipe.model} heard no word in it",
            "Name another teacher or recording.",
        )
    return [line["text"] for line in found]


def _teacher(recipe: Recipe, base: Base) -> Component:
    from forgetbench.models.checkpoint import resolve

    name = recipe.teacher or str(base.path)
    component = resolve(name).components.get("asr")
    if component is None:
        raise CheckpointError(name, "is no recogniser", "A teacher of Whisper must hear.")
    return component


def _transcribe(rows: Sequence[Row], manifest: Path, recipe: Recipe, base: Base) -> list[str]:
    from forgetbench.models.interface import Audio, SpeechRecogniser
    from forgetbench.models.load import load

    model = load(_teacher(recipe, base), LoadSettings())
    assert isinstance(model, SpeechRecogniser)
    rate = model.sampling_rate
    heard = []
    for row in rows:
        samples, recorded_rate = read_audio(
            read_bytes(manifest.parent / row["audio"], row["audio"]), row["audio"]
        )
        heard.append(Audio(samples=resample(samples, recorded_rate, rate), sampling_rate=rate))
    texts: list[str] = []
    for start in range(0, len(heard), _BATCH):
        batch = model.transcribe(heard[start : start + _BATCH], language=recipe.language)
        texts += [output.text.strip() for output in batch]
    return texts

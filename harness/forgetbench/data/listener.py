"""The audiogram that a task or an option names: a standard one, or a listener's from a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forgetbench.errors import DataError, did_you_mean
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS, Audiogram

BETTER_EAR_HZ = (500.0, 1000.0, 2000.0, 4000.0)
"""The better ear has the lower mean threshold here."""
_FORMAT = (
    'Write {"frequencies_hz": [250, …], "levels_db_hl": [20, …]}, or a mapping of listeners to such objects '
    "or to Clarity's (`audiogram_cfs`, `audiogram_levels_l`, `audiogram_levels_r`)."
)


def find_audiogram(name: str, folder: Path) -> Audiogram:
    """Return an audiogram by name.

    Args:
        name: ``N1`` to ``N7``, ``S1`` to ``S3``; ``FILE.json`` with one listener; or ``FILE.json:LISTENER``.
        folder: Where a relative path starts.

    Raises:
        DataError: There is no such standard audiogram, file or listener, or the file is of another format.
    """
    if name in STANDARD_AUDIOGRAMS:
        return STANDARD_AUDIOGRAMS[name]
    path, _, listener = name.partition(".json")
    if not name.startswith(f"{path}.json"):
        known = ", ".join(STANDARD_AUDIOGRAMS)
        raise DataError(
            f"hearing_loss {name!r}", "no standard audiogram has this name", f"One of {known}, or FILE.json."
        )
    file = folder / f"{path}.json"
    return _audiogram(_entry(_read(file), file, listener.removeprefix(":")), f"{file}{listener}")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(str(file), error.strerror or "cannot be read", "Check `hearing_loss`.") from None
    except (ValueError, RecursionError):
        raise DataError(str(file), "is not JSON", _FORMAT) from None
    if not isinstance(content, dict):
        raise DataError(str(file), "is not a JSON object", _FORMAT)
    return content


def _entry(content: dict[str, Any], file: Path, listener: str) -> dict[str, Any]:
    if not listener:
        if "frequencies_hz" in content or "audiogram_cfs" in content:
            return content
        if len(content) != 1:
            example = next(iter(content), "LISTENER")
            raise DataError(
                str(file), f"holds {len(content)} listeners", f"Choose one: {file.name}:{example}."
            )
        listener = next(iter(content))
    entry = content.get(listener)
    if not isinstance(entry, dict):
        way_out = did_you_mean(listener, content, _FORMAT)
        raise DataError(str(file), f"has no listener {listener!r}", way_out)
    return entry


def _audiogram(entry: Mapping[str, Any], thing: str) -> Audiogram:
    try:
        if "audiogram_cfs" in entry:
            frequencies = tuple(map(float, entry["audiogram_cfs"]))
            ears = [
                Audiogram(frequencies, tuple(map(float, entry[f"audiogram_levels_{side}"]))) for side in "lr"
            ]
            return min(ears, key=lambda ear: float(np.mean(ear.levels_at(BETTER_EAR_HZ))))
        return Audiogram(tuple(map(float, entry["frequencies_hz"])), tuple(map(float, entry["levels_db_hl"])))
    except KeyError as error:
        raise DataError(thing, f"lacks {error}", _FORMAT) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(thing, str(error), _FORMAT) from None

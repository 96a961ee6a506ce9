"""Who a SpeechT5 speaks as: a vector in the file ``speaker_embedding.npy`` of a directory.

SpeechT5 was trained with x-vectors of 512 values (Snyder et al. 2018), as SpeechBrain's
``spkrec-xvect-voxceleb`` computes them. An adapter that was trained to speak as someone else has a vector of
its own; without one it speaks as its base.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.component import Component
from forgetbench.models.fingerprint import read_json

FILE = "speaker_embedding.npy"
_DEFAULT_WIDTH = 512
"""Where config.json does not say ``speaker_embedding_dim``: transformers' own."""


def has_speaker(folder: Path) -> bool:
    """Say whether a directory has a speaker embedding."""
    return (folder / FILE).is_file()


def fingerprint_speaker(folder: Path, config: Mapping[str, Any]) -> str:
    """Return the sha256 over the values of a directory's speaker embedding.

    Args:
        folder: With the file.
        config: The model's config.json.

    Raises:
        CheckpointError: There is none, or it does not fit the model.
    """
    return hashlib.sha256(_read(folder, config).tobytes()).hexdigest()


def speaker_of(component: Component) -> NDArray[np.float32]:
    """Return who a SpeechT5 speaks as, shape (width,); of a part α of a change, between two speakers.

    Raises:
        CheckpointError: There is no speaker embedding, or it does not fit the model.
    """
    start = component.base or component.interpolated_from or component
    assert component.path is not None and start.path is not None
    config = read_json(start.path / "config.json")
    own = _read(component.path if has_speaker(component.path) else start.path, config)
    if component.alpha is None:
        return own
    before = _read(start.path, config)
    return before + np.float32(component.alpha) * (own - before)


def _read(folder: Path, config: Mapping[str, Any]) -> NDArray[np.float32]:
    path, width = folder / FILE, int(config.get("speaker_embedding_dim") or _DEFAULT_WIDTH)
    way_out = f"Save the x-vector of a speaker there: {width} numbers, with numpy.save."
    if not path.is_file():
        raise CheckpointError(str(folder), f"has no {FILE}, which says who a SpeechT5 speaks as", way_out)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise CheckpointError(str(path), f"cannot be read ({first_line(error)})", way_out) from error
    is_vector = isinstance(values, np.ndarray) and values.dtype.kind in "fiu"
    if not is_vector or values.size != width:
        shape = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else "an archive"
        raise CheckpointError(str(path), f"is {shape}, not {width} numbers", way_out)
    vector = np.ascontiguousarray(values.reshape(-1), dtype=np.float32)
    if not np.isfinite(vector).all():
        raise CheckpointError(str(path), "has values that are not finite", way_out)
    return vector

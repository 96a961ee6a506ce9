"""At which rate a network in a single file works: by its own metadata, else by a JSON file beside it."""

from __future__ import annotations

from pathlib import Path

from forgetbench.errors import CheckpointError
from forgetbench.models.fingerprint import read_json

KEY = "sampling_rate"


def sidecar(path: Path) -> Path:
    """Return where the rate of ``enhancer.onnx`` may be written: ``enhancer.json``."""
    return path.with_suffix(".json")


def read_sampling_rate(path: Path, own: object, *, how: str) -> int:
    """Return the sampling rate of a network, in Hz.

    Args:
        path: Its file.
        own: What its metadata say; None where they say nothing.
        how: The line that writes it into the metadata, for the message.

    Raises:
        CheckpointError: Neither says it, or it is no whole number above zero.
    """
    value, said_by = own, path
    if own is None and sidecar(path).is_file():
        value, said_by = read_json(sidecar(path)).get(KEY), sidecar(path)
    if value is None:
        raise CheckpointError(
            str(path),
            "does not say at which sampling rate it works",
            f'Write {{"{KEY}": 16000}} to {sidecar(path).name} beside it, or into the file: {how}',
        )
    try:
        rate = int(str(value))
    except ValueError:
        rate = 0
    if rate <= 0:
        raise CheckpointError(
            str(said_by),
            f"has {KEY} {value!r}, which is no rate in Hz",
            "Write the rate as a whole number: 16000.",
        )
    return rate

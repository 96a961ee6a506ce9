"""The speaker encoder inside the package Resemblyzer: its weights alone are read, none of its code is run.

An LSTM that was trained to tell speakers apart (GE2E: Wan et al. 2018, arXiv 1710.10467) reads 1.6 s at a
time; the embedding of a recording is the mean over these, of length 1. Resemblyzer's trimming of long pauses
by a voice-activity detector is left out: recordings are embedded as they are, turned up to its level.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from forgetbench.errors import CheckpointError

RATE = 16_000
INSTALL = "pip install --no-deps resemblyzer==0.1.4"
_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
_WINDOW, _HOP, _MELS, _WIDTH = 400, 160, 40, 256
_PART, _STEP = 160, 77
"""Frames of a part, and from part to part."""
_COVERED = 0.75
"""Of the last part, that must be there."""
_SILENT = 1e-10
_LEVEL_DBFS = -30.0


class SpeakerEncoder:
    """Embeds recordings by the voice that speaks in them.

    Attributes:
        sampling_rate: In Hz.
    """

    sampling_rate = RATE

    def __init__(self) -> None:
        self._lstm, self._linear = _networks()

    @torch.inference_mode()
    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding of a recording at 16 kHz.

        Args:
            samples: Float32, shape (n,), n > 0.

        Returns:
            Shape (256,), of length 1; all zero for silence, which is 200 dB below full scale.
        """
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        if level < _SILENT:
            return np.zeros(_WIDTH, dtype=np.float32)
        gain = max(10 ** (_LEVEL_DBFS / 20) / level, 1.0)
        starts = _starts(len(samples))
        longest = (starts[-1] + _PART) * _HOP
        padded = np.pad(gain * samples, (0, max(longest - len(samples), 0))).astype(np.float32)
        frames = _mel_power(torch.from_numpy(padded))
        parts = torch.stack([frames[start : start + _PART] for start in starts])
        hidden = self._lstm(parts)[1][0][-1]
        embedded = nn.functional.normalize(torch.relu(self._linear(hidden)), dim=1)
        return np.asarray(nn.functional.normalize(embedded.mean(dim=0), dim=0), dtype=np.float32)


def _starts(n_samples: int) -> list[int]:
    """Return the first frame of each part, as Resemblyzer cuts a recording."""
    n_frames = math.ceil((n_samples + 1) / _HOP)
    starts = list(range(0, max(1, n_frames - _PART + _STEP + 1), _STEP))
    covered = (n_samples - starts[-1] * _HOP) / (_PART * _HOP)
    return starts[:-1] if covered < _COVERED and len(starts) > 1 else starts


def _mel_power(samples: torch.Tensor) -> torch.Tensor:
    """Return the power in 40 mel bands, shape (frames, 40)."""
    window = torch.hann_window(_WINDOW)
    spectrum = torch.stft(
        samples, _WINDOW, hop_length=_HOP, window=window, pad_mode="constant", return_complex=True
    )
    return (_mel_filters() @ spectrum.abs().square()).T


@cache
def _mel_filters() -> torch.Tensor:
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=_WINDOW // 2 + 1, num_mel_filters=_MELS, min_frequency=0.0,
        max_frequency=RATE / 2, sampling_rate=RATE, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    return torch.from_numpy(np.asarray(filters.T, dtype=np.float32))


def weights_file() -> Path:
    """Return the file with the weights.

    Raises:
        CheckpointError: The package is not installed, or the file is not the one that was pinned.
    """
    spec = importlib.util.find_spec("resemblyzer")
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            "the speaker encoder", "needs resemblyzer, which is not installed", f"Run: {INSTALL}"
        )
    path = Path(spec.submodule_search_locations[0]) / "pretrained.pt"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        again = INSTALL.replace("--no-deps", "--force-reinstall --no-deps")
        raise CheckpointError(str(path), "is not the file that was pinned", f"Run: {again}")
    return path


def _networks() -> tuple[nn.LSTM, nn.Linear]:
    """Return the networks; the file is a pickle, of which tensors are read and nothing else."""
    state: dict[str, Any] = torch.load(weights_file(), map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = nn.LSTM(_MELS, _WIDTH, 3, batch_first=True), nn.Linear(_WIDTH, _WIDTH)
    for name, network in (("lstm.", lstm), ("linear.", linear)):
        own = {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
        network.load_state_dict(own)
        network.eval().requires_grad_(False)
    return lstm, linear

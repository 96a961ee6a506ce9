"""A tiny random EnCodec, and speech of two sorts that a language model over its codes can tell apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 24_000


def save_tiny_encodec(folder: Path) -> Path:
    """Four codebooks of 32 codes at 1.5 kbit/s, 75 frames a second."""
    import torch
    from transformers import EncodecConfig, EncodecFeatureExtractor, EncodecModel

    torch.manual_seed(0)
    config = EncodecConfig(
        num_filters=4, hidden_size=16, codebook_size=32, codebook_dim=16, num_lstm_layers=1,
        target_bandwidths=[1.5, 3.0],
    )  # fmt: skip
    codec = EncodecModel(config)
    with torch.no_grad():
        _choose_codes(codec)
    codec.save_pretrained(folder)
    EncodecFeatureExtractor(sampling_rate=RATE).save_pretrained(folder)
    return folder


def _choose_codes(codec: Any) -> None:
    """Take the codes from what the encoder makes of both sorts: those of a new EnCodec are all zero."""
    import torch

    clips = [torch.tensor(utterance(low, i, n=RATE // 5)).float() for low in (True, False) for i in range(4)]
    rest = torch.cat([codec.encoder(clip[None, None])[0].T for clip in clips])
    for layer in codec.quantizer.layers:
        layer.codebook.embed.copy_(rest[torch.randperm(len(rest))[:32]])
        rest = rest - layer.codebook.embed[torch.cdist(rest, layer.codebook.embed).argmin(dim=-1)]


def utterance(low: bool, number: int, *, n: int = RATE // 3) -> Any:
    """A hum at about 200 Hz, or a whistle at about 3 kHz."""
    rng = np.random.default_rng([int(low), number])
    frequency = (200 if low else 3000) * (1 + 0.1 * rng.random())
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(n) / RATE) + 0.003 * rng.standard_normal(n)


def write_utterances(folder: Path, *, low: bool, n: int) -> Path:
    """A training manifest of one sort, each a fifth of a second."""
    name = "low" if low else "high"
    rows = []
    for i in range(n):
        soundfile.write(folder / f"{name}{i}.wav", utterance(low, i, n=RATE // 5), RATE)
        rows.append({"audio": f"{name}{i}.wav"})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_pairs(folder: Path, n: int, *, first: int = 1000) -> list[dict[str, Any]]:
    """Rows of minimal pairs, a low tone against a high one; none of them was trained on."""
    rows = []
    for i in range(n):
        for column, low in (("audio", True), ("wrong", False)):
            soundfile.write(folder / f"pair{i}-{column}.wav", utterance(low, first + i, n=RATE // 5), RATE)
        rows.append({"id": f"p{i}", "audio": f"pair{i}-audio.wav", "wrong": f"pair{i}-wrong.wav"})
    return rows

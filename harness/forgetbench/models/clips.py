"""Waveforms on their way through a recogniser: long enough, grouped by length, cut where nobody speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from forgetbench.models.interface import Audio, Output

Waveform = NDArray[np.float32]

_CUT_FROM = 0.8
"""A long recording is cut within the last fifth of the longest piece."""
_QUIET_S = 0.1
"""The quietest stretch of this length is where it is cut."""


def samples_of(audio: Audio, sampling_rate: int, *, shortest_s: float) -> Waveform:
    """Return the samples, with zeros behind them where they are fewer than ``shortest_s`` seconds.

    Raises:
        ValueError: The audio is at another rate than ``sampling_rate``.
    """
    if audio.sampling_rate != sampling_rate:
        raise ValueError(f"audio is at {audio.sampling_rate} Hz, the model hears {sampling_rate} Hz")
    n_missing = int(shortest_s * sampling_rate) - len(audio.samples)
    return np.pad(audio.samples, (0, n_missing)) if n_missing > 0 else audio.samples


def by_length(clips: Sequence[Waveform]) -> list[list[int]]:
    """Return the positions of clips in groups of equal length: batches without any padding."""
    groups: dict[int, list[int]] = {}
    for position, clip in enumerate(clips):
        groups.setdefault(len(clip), []).append(position)
    return list(groups.values())


def quiet_pieces(samples: Waveform, sampling_rate: int, *, longest_s: float) -> list[Waveform]:
    """Cut a recording into pieces that do not overlap, none longer than ``longest_s`` seconds.

    Each cut is in the middle of the quietest tenth of a second (least energy) within the last fifth of the
    longest piece; the first of several equal ones counts. A shorter recording is one piece.
    """
    longest, quiet = int(longest_s * sampling_rate), int(_QUIET_S * sampling_rate)
    pieces = []
    while len(samples) > longest:
        first = int(_CUT_FROM * longest)
        energy = np.concatenate([[0.0], np.cumsum(np.square(samples[first:longest], dtype=np.float64))])
        cut = first + int(np.argmin(energy[quiet:] - energy[:-quiet])) + quiet // 2
        pieces.append(samples[:cut])
        samples = samples[cut:]
    return [*pieces, samples]


def transcribe_pieces(
    clips: Sequence[Waveform],
    decode: Callable[[Sequence[Waveform]], list[Output]],
    *,
    sampling_rate: int,
    longest_s: float,
) -> list[Output]:
    """Transcribe clips of any length by what transcribes pieces of one length; see ``quiet_pieces``.

    Args:
        clips: At ``sampling_rate``.
        decode: Transcribes a batch of equal length, in order.
        sampling_rate: In Hz.
        longest_s: Of a piece, in seconds.
    """
    pieces = [quiet_pieces(clip, sampling_rate, longest_s=longest_s) for clip in clips]
    flat = [piece for own in pieces for piece in own]
    outputs: dict[int, Output] = {}
    for rows in by_length(flat):
        outputs.update(zip(rows, decode([flat[i] for i in rows]), strict=True))
    heard = iter([outputs[i] for i in range(len(flat))])
    return [join([next(heard) for _ in own]) for own in pieces]


def join(outputs: Sequence[Output]) -> Output:
    """Return the transcript of a recording from those of its pieces."""
    return Output(
        text=" ".join(output.text for output in outputs if output.text),
        n_tokens=sum(output.n_tokens for output in outputs),
        truncated=any(output.truncated for output in outputs),
    )

"""Speed of one arm, and how much longer the other one takes for the same clips: no verdict, only figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgetbench.forgetting.paired import paired_mean
from forgetbench.schema.cost import ClipTime, TurnTime


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One arm over its clips.

    Attributes:
        n: Clips.
        audio_s: Their length together.
        rtfx: Σ audio seconds / Σ processing seconds, pooled: above 1 is faster than real time.
        latency_mean_s: Mean time of a clip.
        latency_p95_s: Time that 95 % of the clips stay below, interpolated between the two nearest.
        first_output_s: Mean time to the first output; None where the model does not stream.
    """

    n: int
    audio_s: float
    rtfx: float
    latency_mean_s: float
    latency_p95_s: float
    first_output_s: float | None


@dataclass(frozen=True, kw_only=True)
class TimeRatio:
    """Time of the checkpoint over time of the base for the same clip, as a geometric mean.

    Attributes:
        ratio: Above 1, the checkpoint is slower.
        low: Lower end of the interval; None for a single clip.
        high: Upper end.
        level: Confidence level of the interval.
        n: Clips that both arms were timed on.
    """

    ratio: float
    low: float | None
    high: float | None
    level: float
    n: int


def speed(clips: Sequence[ClipTime]) -> Speed | None:
    """Return the figures of one arm; None without clips.

    Example:
        >>> clips = [ClipTime(clip=name, audio_s=2, seconds=0.25 + 0.5 * (name == "b")) for name in "ab"]
        >>> found = speed(clips)
        >>> found.rtfx, found.latency_mean_s
        (4.0, 0.5)
    """
    seconds = [clip.seconds for clip in clips]
    if not sum(seconds):
        return None
    audio_s = sum(clip.audio_s for clip in clips)
    first = [clip.first_output_s for clip in clips if clip.first_output_s is not None]
    return Speed(
        n=len(clips),
        audio_s=audio_s,
        rtfx=audio_s / sum(seconds),
        latency_mean_s=float(np.mean(seconds)),
        latency_p95_s=float(np.quantile(seconds, 0.95)),
        first_output_s=float(np.mean(first)) if first else None,
    )


def mean_turn(turns: Sequence[TurnTime]) -> dict[str, float]:
    """Return the mean seconds of each component of a turn, in the order of the signal; none without turns.

    Example:
        >>> seconds = [{"asr": 1.0, "lm": 0.5}, {"asr": 2.0, "lm": 0.5}]
        >>> mean_turn([TurnTime(clip="a", audio_s=2, seconds=each) for each in seconds])
        {'asr': 1.5, 'lm': 0.5}
    """
    roles = turns[0].seconds if turns else {}
    return {role: float(np.mean([turn.seconds[role] for turn in turns])) for role in roles}


def time_ratio(
    base: Sequence[ClipTime], checkpoint: Sequence[ClipTime], *, level: float = 0.95
) -> TimeRatio | None:
    """Compare the times of clips that both arms heard: t interval of the paired difference of logarithms.

    Args:
        base: Times of the base.
        checkpoint: Times of the checkpoint, taken in turn with the base's.
        level: Confidence level of the interval.

    Returns:
        None where no clip was timed in both arms.
    """
    before = {clip.clip: clip.seconds for clip in base if clip.seconds > 0}
    after = {clip.clip: clip.seconds for clip in checkpoint if clip.seconds > 0}
    both = sorted(before.keys() & after.keys())
    found = paired_mean(
        np.log([before[clip] for clip in both]),
        np.log([after[clip] for clip in both]),
        higher_is_better=False,
        level=level,
    )
    if found.delta is None:
        return None
    low, high = (None if end is None else math.exp(end) for end in (found.ci_low, found.ci_high))
    return TimeRatio(ratio=math.exp(found.delta), low=low, high=high, level=level, n=found.n)

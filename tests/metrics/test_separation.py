"""SI-SDR of stems: that of torchmetrics' permutation-invariant training, and bounded."""

from __future__ import annotations

import numpy as np
import pytest

from forgetbench.errors import SampleError
from forgetbench.metrics.separation import separation_stats

RATE = 16_000


def talkers(n: int = 3) -> list[np.ndarray]:
    """Noises in bursts, so that they are no shifted copies of each other."""
    rng = np.random.default_rng(0)
    gates = [np.repeat(rng.integers(0, 2, 40), RATE // 40) for _ in range(n)]
    return [(0.1 * gate * rng.standard_normal(RATE)).astype(np.float32) for gate in gates]


def leaky(stems: list[np.ndarray]) -> list[np.ndarray]:
    """Each output has some of the other stems in it."""
    total = np.sum(stems, axis=0)
    return [(stem + 0.1 * (i + 1) * (total - stem)).astype(np.float32) for i, stem in enumerate(stems)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_it_is_torchmetrics_permutation_invariant_si_sdr(order: list[int]) -> None:
    import torch
    from torchmetrics.functional.audio import (
        permutation_invariant_training,
        scale_invariant_signal_distortion_ratio,
    )

    stems = talkers()
    outputs = [leaky(stems)[i] for i in order]
    best, _ = permutation_invariant_training(
        torch.from_numpy(np.stack(outputs))[None].double(), torch.from_numpy(np.stack(stems))[None].double(),
        scale_invariant_signal_distortion_ratio,
    )  # fmt: skip
    stats = separation_stats(stems, np.sum(stems, axis=0), outputs, sampling_rate=RATE)
    assert stats["si_sdr"] == pytest.approx(float(best[0]), abs=1e-4)


def test_the_mixture_itself_is_no_improvement() -> None:
    stems = talkers(2)
    mixture = np.sum(stems, axis=0)
    stats = separation_stats(stems, mixture, [mixture, mixture], sampling_rate=RATE)
    assert stats["si_sdr_improvement"] == pytest.approx(0.0, abs=1e-9)
    better = separation_stats(stems, mixture, leaky(stems), sampling_rate=RATE)
    assert better["si_sdr_improvement"] > 5 and better["si_sdr_least"] < better["si_sdr"]


def test_a_delay_of_the_model_is_taken_away() -> None:
    stems = talkers(2)
    late = [np.pad(output, (320, 0)) for output in leaky(stems)]
    punctual = separation_stats(stems, np.sum(stems, axis=0), leaky(stems), sampling_rate=RATE)
    delayed = separation_stats(stems, np.sum(stems, axis=0), late, sampling_rate=RATE)
    assert delayed["si_sdr"] == pytest.approx(punctual["si_sdr"], abs=1e-6)


def test_a_stem_without_an_output_takes_the_worst_bound() -> None:
    stems = talkers(2)
    mixture = np.sum(stems, axis=0)
    for outputs in (
        [leaky(stems)[0]],
        [leaky(stems)[0], np.zeros(0, np.float32)],
        [leaky(stems)[0], mixture * np.nan],
    ):
        stats = separation_stats(stems, mixture, outputs, sampling_rate=RATE)
        assert stats["si_sdr_least"] == -30.0
    assert separation_stats(stems, mixture, [], sampling_rate=RATE)["si_sdr"] == -30.0


def test_one_output_too_many_counts_for_nothing() -> None:
    stems = talkers(2)
    mixture = np.sum(stems, axis=0)
    two = separation_stats(stems, mixture, leaky(stems), sampling_rate=RATE)
    three = separation_stats(stems, mixture, [np.ones(9, np.float32), *leaky(stems)], sampling_rate=RATE)
    assert three == two


def test_shorter_stems_are_filled_and_silent_ones_refused() -> None:
    first, second = talkers(2)
    short = second[: RATE // 2]
    mixture = first.copy()
    mixture[: len(short)] += short
    stats = separation_stats(
        [first, short], mixture, [first, np.pad(short, (0, RATE // 2))], sampling_rate=RATE
    )
    assert stats["si_sdr_least"] > 60
    with pytest.raises(SampleError, match="silent or constant"):
        separation_stats([first, np.zeros(RATE, np.float32)], first, [first, first], sampling_rate=RATE)

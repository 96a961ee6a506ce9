from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.models.clips import by_length, quiet_pieces, samples_of
from forgetbench.models.interface import Audio


def test_the_cut_is_in_the_middle_of_the_pause() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 1000 * 12).astype(np.float32)
    noise[9_000:9_200] = 0.0
    first, second = quiet_pieces(noise, 1000, longest_s=10.0)
    assert 9_050 <= len(first) <= 9_150 and len(first) + len(second) == len(noise)


def test_a_pause_too_early_does_not_count() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 1000 * 12).astype(np.float32)
    noise[4_000:5_000] = 0.0
    assert len(quiet_pieces(noise, 1000, longest_s=10.0)[0]) >= 8_000


@given(n_samples=st.integers(0, 5_000), seed=st.integers(0, 9))
def test_pieces_are_the_recording_and_none_is_too_long(n_samples: int, seed: int) -> None:
    clip = np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)
    pieces = quiet_pieces(clip, 1000, longest_s=1.0)
    assert np.array_equal(np.concatenate(pieces), clip)
    assert all(len(piece) <= 1000 for piece in pieces)
    assert len(pieces) == 1 or all(len(piece) > 0 for piece in pieces)


def test_clips_are_grouped_by_length_in_order() -> None:
    assert by_length([np.zeros(n, np.float32) for n in (3, 5, 3, 0)]) == [[0, 2], [1], [3]]


def test_short_audio_is_padded_behind() -> None:
    samples = samples_of(Audio(samples=np.ones(10, np.float32), sampling_rate=1000), 1000, shortest_s=0.02)
    assert samples.tolist() == [1.0] * 10 + [0.0] * 10

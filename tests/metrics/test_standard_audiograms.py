from __future__ import annotations

from itertools import pairwise

import pytest

from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS, Audiogram


def test_there_are_the_ten_of_the_paper_and_each_is_worse_than_the_one_before() -> None:
    assert list(STANDARD_AUDIOGRAMS) == ["N1", "N2", "N3", "N4", "N5", "N6", "N7", "S1", "S2", "S3"]
    for series in ("N1 N2 N3 N4 N5 N6 N7".split(), "S1 S2".split()):  # noqa: SIM905
        for milder, worse in pairwise(series):
            pairs = zip(
                STANDARD_AUDIOGRAMS[milder].levels_db_hl, STANDARD_AUDIOGRAMS[worse].levels_db_hl, strict=True
            )
            assert all(a <= b for a, b in pairs)


def test_levels_between_frequencies_are_linear_over_log_frequency_and_held_outside() -> None:
    audiogram = Audiogram((500.0, 2000.0), (20.0, 40.0))
    assert audiogram.levels_at([0, 250, 500, 1000, 2000, 8000]) == pytest.approx([20, 20, 20, 30, 40, 40])


@pytest.mark.parametrize(
    ("frequencies", "levels"),
    [((), ()), ((500.0,), (1.0, 2.0)), ((500.0, 500.0), (1.0, 2.0)), ((500.0,), (float("nan"),))],
)
def test_a_broken_audiogram_is_refused(frequencies: tuple[float, ...], levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="audiogram"):
        Audiogram(frequencies, levels)

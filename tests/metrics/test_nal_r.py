from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS, Audiogram
from forgetbench.metrics.nal_r import ORDER, PRESCRIPTION_HZ, amplify, design_filter, insertion_gains_db

RATE = 16_000


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("name", ["N1", "N3", "N6", "S2", "S3"])
def test_the_filter_is_pyclaritys(name: str, rate: int) -> None:
    nalr = import_module("clarity.enhancer.nalr")
    audiograms = import_module("clarity.utils.audiogram")
    loss = STANDARD_AUDIOGRAMS[name]
    theirs = audiograms.Audiogram(
        levels=np.array(loss.levels_db_hl), frequencies=np.array(loss.frequencies_hz)
    )
    expected, _ = nalr.NALR(ORDER, rate).build(theirs)
    assert design_filter(loss, rate) == pytest.approx(expected, abs=1e-6)


def test_the_gain_of_a_flat_loss_is_the_formula_by_hand() -> None:
    flat = Audiogram((250.0, 6000.0), (40.0, 40.0))
    assert insertion_gains_db(flat) == pytest.approx([1.4, 10.4, 19.4, 17.4, 16.4, 16.4])
    severe = Audiogram((250.0, 6000.0), (80.0, 80.0))
    assert insertion_gains_db(severe)[2] == pytest.approx(9 + 0.116 * 60 + 0.31 * 80 + 1)


def test_normal_hearing_is_not_amplified() -> None:
    noise = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    normal = Audiogram((250.0, 6000.0), (0.0, 0.0))
    assert amplify(noise, normal, RATE)[300:-300] == pytest.approx(noise[300:-300], abs=0.02)


@pytest.mark.parametrize("frequency", [500.0, 1000.0, 4000.0])
def test_a_tone_comes_out_louder_by_the_prescribed_gain_and_in_step(frequency: float) -> None:
    loss = STANDARD_AUDIOGRAMS["N3"]
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
    louder = amplify(tone, loss, RATE)
    gain_db = insertion_gains_db(loss)[list(PRESCRIPTION_HZ).index(frequency)]
    inner = slice(1000, -1000)
    assert len(louder) == len(tone)
    assert louder[inner] == pytest.approx(tone[inner] * 10 ** (gain_db / 20), rel=0.03, abs=0.4)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_it_works_at_other_rates(rate: int) -> None:
    noise = np.random.default_rng(0).standard_normal(rate).astype(np.float32)
    louder = amplify(noise, STANDARD_AUDIOGRAMS["N4"], rate)
    assert np.isfinite(louder).all()
    assert np.std(louder) > 5 * np.std(noise)

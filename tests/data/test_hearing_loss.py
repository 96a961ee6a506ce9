from __future__ import annotations

import numpy as np
import pytest
from pystoi import stoi
from scipy.signal import welch

from forgetbench.data.hearing_loss import (
    BAND_CENTRES_HZ,
    REFERENCE_INTERNAL_NOISE_DB,
    internal_noise,
    internal_noise_level_db,
)
from forgetbench.data.samples import SampleSet, load_samples
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS, Audiogram
from forgetbench.schema.task import Asr, Condition
from forgetbench.tasks.registry import load_registry

RATE = 16_000
CONDITIONS = tuple(
    Condition.model_validate(loss)
    for loss in (
        {"hearing_loss": "N1"},
        {"hearing_loss": "N2"},
        {"hearing_loss": "N3"},
        {"hearing_loss": "N4"},
        {"hearing_loss": "N3", "amplification": "nal_r"},
        {"hearing_loss": "N4", "amplification": "nal_r"},
    )
)


@pytest.fixture(scope="module")
def speech() -> SampleSet:
    definition = load_registry().get("everyday_clean_mini")
    assert isinstance(definition.task, Asr)
    task = definition.task.model_copy(update={"conditions": CONDITIONS})
    return load_samples(task, definition.folder, seed=0, limit=4)


@pytest.fixture(scope="module")
def intelligibility(speech: SampleSet) -> dict[str, float]:
    assert speech.speech is not None
    keys = sorted({sample.id for sample in speech.samples})
    clean = {key: speech.speech.waveform(key, None, RATE) for key in keys}
    return {
        condition.label: float(
            np.mean(
                [stoi(clean[key], speech.speech.waveform(key, condition, RATE), RATE, False) for key in keys]
            )
        )
        for condition in CONDITIONS
    }


def test_internal_noise_is_the_standards_at_its_bands_for_normal_hearing() -> None:
    normal = Audiogram((250.0,), (0.0,))
    assert internal_noise_level_db(normal, BAND_CENTRES_HZ) == pytest.approx(REFERENCE_INTERNAL_NOISE_DB)


def test_internal_noise_rises_by_the_audiogram() -> None:
    raised = internal_noise_level_db(STANDARD_AUDIOGRAMS["N4"], [1000, 4000])
    assert raised == pytest.approx([-12.5 + 55, -25.9 + 75])


def test_the_noise_that_is_made_has_that_spectrum_level() -> None:
    loss, rms = STANDARD_AUDIOGRAMS["S2"], 0.05
    noise = internal_noise(60 * RATE, RATE, loss, speech_rms=rms, rng=np.random.default_rng(0))
    frequency, density = welch(noise, RATE, nperseg=4096)
    for wanted in (500.0, 1000.0, 3000.0):
        measured = 10 * np.log10(density[np.argmin(np.abs(frequency - wanted))] / rms**2) + 65
        assert measured == pytest.approx(internal_noise_level_db(loss, [wanted])[0], abs=1.0)


def test_a_larger_loss_hides_more(intelligibility: dict[str, float]) -> None:
    losses = [intelligibility[name] for name in ("N1", "N2", "N3", "N4")]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 0.9
    assert losses[-1] < 0.5


@pytest.mark.parametrize("loss", ["N3", "N4"])
def test_amplification_makes_a_part_of_it_audible_again(intelligibility: dict[str, float], loss: str) -> None:
    assert intelligibility[loss] + 0.1 < intelligibility[f"{loss} nal_r"] < intelligibility["N1"]

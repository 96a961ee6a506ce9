from __future__ import annotations

import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from forgetbench.errors import MissingPackageError, SampleError, TaskError
from forgetbench.metrics import requirements
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS, Audiogram
from forgetbench.metrics.enhancement import enhancement_stats
from forgetbench.metrics.hearing_aid import Amplification
from forgetbench.metrics.registry import lookup
from metrics.speech_clips import RATE, Waveform, real_pairs, speechlike, synthetic_pair

QUICK = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr", "si_sdr_improvement")


def stats(
    clean: Waveform, noisy: Waveform, enhanced: Waveform, *metrics: str, rate: int = RATE
) -> dict[str, float]:
    return enhancement_stats(clean, noisy, enhanced, sampling_rate=rate, metrics=metrics or QUICK, seed=7)


@pytest.mark.realdata
def test_each_score_equals_its_reference_package_on_the_real_pairs(test_data: Path) -> None:
    import torch
    from pesq import pesq
    from pystoi import stoi
    from soxr import resample
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    def reference_si_sdr(estimate: Waveform, target: Waveform) -> float:
        signals = (torch.from_numpy(signal).double() for signal in (estimate, target))
        return float(scale_invariant_signal_distortion_ratio(*signals))

    for clean, noisy in real_pairs(test_data):
        enhanced = np.asarray(0.5 * clean + 0.5 * noisy, dtype=np.float32)
        found = stats(clean, noisy, enhanced)
        narrow = (np.asarray(resample(signal, RATE, 8000)) for signal in (clean, enhanced))
        expected = {
            "pesq_wb": pesq(RATE, clean, enhanced, "wb"),
            "pesq_nb": pesq(8000, *narrow, "nb"),
            "stoi": stoi(clean, enhanced, RATE),
            "estoi": stoi(clean, enhanced, RATE, extended=True),
            "si_sdr": reference_si_sdr(enhanced, clean),
            "si_sdr_improvement": reference_si_sdr(enhanced, clean) - reference_si_sdr(noisy, clean),
        }
        assert found == pytest.approx({**expected, "delay_ms": 0.0}, abs=1e-6)


@pytest.mark.realdata
def test_the_first_real_pair_scores_what_it_did(test_data: Path) -> None:
    clean, noisy = real_pairs(test_data)[0]
    found = stats(clean, noisy, noisy)
    assert found["pesq_wb"] == pytest.approx(1.7623, abs=1e-3)
    assert found["stoi"] == pytest.approx(0.8458, abs=1e-3)
    assert found["si_sdr_improvement"] == 0


def test_a_delayed_or_inverted_output_scores_as_the_output_itself() -> None:
    clean, noisy = synthetic_pair()
    enhanced = (clean + noisy) / 2
    plain = stats(clean, noisy, enhanced)
    moved = stats(clean, noisy, np.concatenate([np.zeros(320, dtype=np.float32), -enhanced]))
    assert moved.pop("delay_ms") == 20.0
    assert plain.pop("delay_ms") == 0.0
    assert moved == pytest.approx(plain, abs=1e-9)


def test_less_noise_scores_better_by_every_metric() -> None:
    clean, noisy = synthetic_pair()
    better, worse = stats(clean, noisy, (clean + noisy) / 2), stats(clean, noisy, noisy)
    assert all(better[metric] > worse[metric] for metric in QUICK)


NOTHING = np.zeros(0, dtype=np.float32)
UNUSABLE = {
    "empty": lambda x: NOTHING,
    "silent": np.zeros_like,
    "constant": lambda x: np.full_like(x, 0.3),
    "NaN": lambda x: np.full_like(x, np.nan),
    "NaN in one sample": lambda x: np.where(np.arange(len(x)) == 5, np.nan, x).astype(np.float32),
    "infinite": lambda x: np.full_like(x, np.inf),
    "below any converter": lambda x: x * np.float32(1e-9),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_output_takes_the_worst_bound_of_every_metric(kind: str) -> None:
    clean, noisy = synthetic_pair()
    found = stats(clean, noisy, UNUSABLE[kind](noisy), *QUICK, "dnsmos")
    before = stats(clean, noisy, noisy, "si_sdr")["si_sdr"]
    assert found.pop("si_sdr_improvement") == -30 - before
    assert found == {name: lookup(name).worst for name in found}
    assert set(found) == {*QUICK, "dnsmos"} - {"si_sdr_improvement"}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_no_output_scores_below_an_unusable_one(kind: str) -> None:
    clean, noisy = synthetic_pair()
    unusable = stats(clean, noisy, UNUSABLE[kind](noisy))
    for seed in range(100, 103):
        noise = np.random.default_rng(seed).standard_normal(len(noisy)).astype(np.float32)
        garbled = stats(clean, noisy, noise)
        assert "delay_ms" not in garbled
        assert all(garbled[metric] >= unusable[metric] for metric in QUICK)


@pytest.mark.parametrize("metric", QUICK)
def test_a_silent_reference_drops_the_pair_whatever_the_output(metric: str) -> None:
    _, noisy = synthetic_pair()
    for output in (noisy, np.zeros_like(noisy), NOTHING):
        with pytest.raises(SampleError) as caught:
            stats(np.zeros_like(noisy), noisy, output, metric)
        assert caught.value.code == "unusable_reference"


@pytest.mark.parametrize("metric", ["pesq_wb", "pesq_nb", "stoi", "estoi"])
@pytest.mark.parametrize("samples", [100, 3000])
def test_a_reference_that_is_too_short_drops_the_pair_whatever_the_output(metric: str, samples: int) -> None:
    clean, noisy = (signal[5000 : 5000 + samples] for signal in synthetic_pair())
    for output in (noisy, np.zeros_like(noisy), NOTHING):
        with pytest.raises(SampleError) as caught:
            stats(clean, noisy, output, metric)
        assert caught.value.code == "unusable_reference"


def test_50_ms_are_enough_for_si_sdr() -> None:
    clean, noisy = (signal[5000:5800] for signal in synthetic_pair())
    assert stats(clean, noisy, clean, "si_sdr")["si_sdr"] > 100


@pytest.mark.parametrize("change", [lambda x: x[:-500], lambda x: np.pad(x, (0, 900))])
def test_an_output_of_another_length_is_cut_or_filled(change: object) -> None:
    clean, noisy = synthetic_pair()
    assert callable(change)
    found = stats(clean, noisy, change(clean))
    assert found["stoi"] > 0.99 and found["delay_ms"] == 0


@pytest.mark.parametrize("rate", [8000, 48_000])
def test_other_sampling_rates_are_scored(rate: int) -> None:
    clean = speechlike(rate=rate)
    noise = np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)
    metrics = [m for m in QUICK if rate >= RATE or m != "pesq_wb"]
    found = stats(clean, clean + np.float32(0.02) * noise, clean, *metrics, rate=rate)
    assert found["pesq_nb"] > 4.4 and found["stoi"] > 0.99


def test_wide_band_pesq_of_an_8_khz_task_is_refused_in_one_line() -> None:
    clean = speechlike(rate=8000)
    with pytest.raises(TaskError, match=r"pesq_wb.*not defined at 8000 Hz.*pesq_nb"):
        stats(clean, clean, clean, "pesq_wb", rate=8000)


@pytest.mark.parametrize("metric", ["haspi", "hasqi", "dnsmos"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    clean, noisy = synthetic_pair()
    with pytest.raises(MissingPackageError, match=rf"{metric}.*Run: pip install 'forgetbench\["):
        stats(clean, noisy, noisy, metric)


def test_identical_outputs_score_exactly_the_same_and_leave_the_global_seed_alone() -> None:
    clean, noisy = synthetic_pair()
    np.random.seed(3)
    expected = np.random.standard_normal(4)
    np.random.seed(3)
    first = stats(clean, noisy, noisy, "estoi")
    assert np.array_equal(np.random.standard_normal(4), expected)
    assert stats(clean, noisy, noisy, "estoi") == first


def test_scoring_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, numpy as np; from forgetbench.metrics.enhancement import enhancement_stats;"
        "x = np.random.default_rng(0).standard_normal(16000).astype('f4');"
        "enhancement_stats(x, x, x, sampling_rate=16000, metrics=['pesq_wb', 'stoi', 'si_sdr'], seed=0);"
        "sys.exit(bool({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.realdata
def test_dnsmos_equals_speechmos_and_hears_the_noise(test_data: Path) -> None:
    dnsmos = import_module("speechmos.dnsmos")
    clean, noisy = real_pairs(test_data)[1]
    found = [stats(clean, noisy, output, "dnsmos")["dnsmos"] for output in (clean, noisy)]
    assert found == pytest.approx([float(dnsmos.run(x, RATE)["ovrl_mos"]) for x in (clean, noisy)], abs=1e-6)
    assert found[0] > found[1] + 0.3


def test_dnsmos_needs_no_reference_and_takes_loud_outputs() -> None:
    _, noisy = synthetic_pair()
    score = stats(np.zeros_like(noisy), noisy, noisy * np.float32(1000), "dnsmos")["dnsmos"]
    assert math.isfinite(score)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_haspi_and_hasqi_equal_pyclarity_with_the_same_seed_and_fall_with_hearing_loss(
    index: int, test_data: Path
) -> None:
    from clarity.evaluator.haspi import haspi_v2
    from clarity.evaluator.hasqi import hasqi_v2
    from clarity.utils.audiogram import Audiogram as ClarityAudiogram

    clean, noisy = real_pairs(test_data)[index]
    level1 = 65 - 20 * math.log10(float(np.sqrt(np.mean(clean.astype(np.float64) ** 2))))
    found = {}
    for name in ("N1", "N4"):
        audiogram = STANDARD_AUDIOGRAMS[name]
        ear = ClarityAudiogram(
            levels=np.array(audiogram.levels_db_hl), frequencies=np.array(audiogram.frequencies_hz)
        )
        expected = {}
        for metric, index_of in (("haspi", haspi_v2), ("hasqi", hasqi_v2)):
            np.random.seed(7)
            expected[metric] = float(index_of(clean, RATE, noisy, RATE, ear, level1=level1)[0])
        found[name] = worn(clean, noisy, audiogram)
        assert found[name] == {**expected, "delay_ms": 0.0}
    assert found["N4"]["haspi"] < found["N1"]["haspi"]
    assert found["N4"]["hasqi"] < found["N1"]["hasqi"]


def worn(
    clean: Waveform, output: Waveform, audiogram: Audiogram, amplification: Amplification | None = None
) -> dict[str, float]:
    return enhancement_stats(
        clean, output, output, sampling_rate=RATE, metrics=("haspi", "hasqi"), seed=7, audiogram=audiogram,
        amplification=amplification,
    )  # fmt: skip


@pytest.mark.slow
def test_amplification_gives_back_what_a_hearing_loss_took_and_equal_arms_differ_by_nothing() -> None:
    clean, noisy = synthetic_pair(1.0)
    np.random.seed(3)
    unaided = worn(clean, noisy, STANDARD_AUDIOGRAMS["N4"])
    after = np.random.standard_normal(4)
    aided = worn(clean, noisy, STANDARD_AUDIOGRAMS["N4"], "nal_r")
    assert aided["haspi"] > unaided["haspi"] and aided["hasqi"] > unaided["hasqi"]
    assert worn(clean, noisy, STANDARD_AUDIOGRAMS["N4"]) == unaided
    np.random.seed(3)
    assert np.array_equal(np.random.standard_normal(4), after)


@pytest.mark.slow
def test_hearing_aid_metrics_know_a_silent_output_and_a_silent_reference() -> None:
    clean, noisy = synthetic_pair(1.0)
    assert stats(clean, noisy, np.zeros_like(noisy), "haspi", "hasqi") == {"haspi": 0.0, "hasqi": 0.0}
    for metric in ("haspi", "hasqi"):
        with pytest.raises(SampleError):
            stats(np.zeros_like(clean), noisy, noisy, metric)
        with pytest.raises(SampleError):
            stats(clean[5000:5100], noisy[5000:5100], noisy[5000:5100], metric)

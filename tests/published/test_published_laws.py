"""Numbers of papers on the laws of forgetting that our functions must reproduce (docs/laws.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.forgetting.law_fit import Fit, fit_law
from forgetbench.forgetting.laws import joint_power_law, observations
from forgetbench.forgetting.matched_gain import PlanePoint, at_matched_gain, common_range, pareto_front

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "benchmarks" / "published_laws.json").read_text()
)
KALAJDZIEVSKI = PUBLISHED["kalajdzievski2024"]
PER_RANK = KALAJDZIEVSKI["parameters_per_rank"]


def target_loss(c: dict[str, float], rank: Any, steps: Any) -> Any:
    """Eq. 5."""
    return joint_power_law(
        PER_RANK * rank, steps, a=c["a_ft"], alpha=c["alpha_ft"], b=c["b_ft"], beta=c["beta_ft"],
        k=c["c_ft"], rho=c["rho"], s=c["s_ft"],
    )  # fmt: skip


def forgetting_loss(c: dict[str, float], rank: Any, steps: Any) -> Any:
    """Eq. 6."""
    return joint_power_law(
        PER_RANK * rank, steps, a=c["a_f"], alpha=c["alpha_f"], b=c["b_f"], beta=c["beta_f"],
        k=-c["c"] * c["c_ft"], rho=c["rho"], s=c["s"] - c["c"] * c["s_ft"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "rank", "steps", "l_ft", "l_f"),
    [
        ("openorca", 8, 260, 0.6768, 0.8728),
        ("openorca", 256, 260, 0.6518, 0.9176),
        ("openorca", 8, 50, 0.7675, 0.7107),
        ("news", 8, 260, 2.0274, 0.9728),
    ],
)
def test_the_shifted_joint_power_law_gives_the_published_losses(
    data: str, rank: int, steps: int, l_ft: float, l_f: float
) -> None:
    c = KALAJDZIEVSKI[data]
    assert float(target_loss(c, rank, steps)) == pytest.approx(l_ft, abs=5e-5)
    assert float(forgetting_loss(c, rank, steps)) == pytest.approx(l_f, abs=5e-5)


def test_the_two_equations_agree_with_the_inverse_linear_one() -> None:
    """Eq. 4: L_f = −c·L_ft + s, within .0071 over r 8 to 256 and N 50 to 260."""
    worst = 0.0
    ranks, steps = np.meshgrid(np.arange(8, 257), np.arange(50, 261))
    for c in (KALAJDZIEVSKI["openorca"], KALAJDZIEVSKI["news"]):
        by_eq_4 = -c["c"] * target_loss(c, ranks, steps) + c["s"]
        worst = max(worst, float(np.max(np.abs(forgetting_loss(c, ranks, steps) - by_eq_4))))
    assert round(worst, 4) == 0.0071


@pytest.mark.parametrize("data", ["openorca", "news"])
def test_the_inverse_linear_law_is_recovered_from_its_own_points(data: str) -> None:
    c = KALAJDZIEVSKI[data]
    losses = target_loss(c, np.array([8, 16, 32, 64, 8, 16, 32, 64]), np.repeat([50, 260], 4))
    fit = fit_law("inverse_linear", observations(-c["c"] * losses + c["s"], target_loss=losses))
    assert isinstance(fit, Fit)
    assert (fit.amplitude, fit.offset) == pytest.approx((-c["c"], c["s"]), rel=1e-9)


def test_forgetting_falls_with_humaneval_as_least_squares_has_it() -> None:
    """Biderman et al. 2024, arXiv 2405.09673: slope −.5338, intercept .7906, R² .3713 over 20 checkpoints."""
    found = PUBLISHED["biderman2024"]
    learnt = np.concatenate(list(found["humaneval"].values()))
    kept = np.concatenate(list(found["forgetting_score"].values()))
    assert list(found["humaneval"]) == list(found["forgetting_score"])
    fit = fit_law("inverse_linear", observations(kept, target_loss=learnt))
    assert isinstance(fit, Fit)
    assert fit.amplitude == pytest.approx(-0.5338, abs=5e-5)
    assert fit.offset == pytest.approx(0.7906, abs=5e-5)
    assert fit.r2 == pytest.approx(0.3713, abs=5e-5)


def plane(run: str) -> list[PlanePoint]:
    """HumanEval against what is lost of the forgetting score."""
    found = PUBLISHED["biderman2024"]
    pairs = zip(found["humaneval"][run], found["forgetting_score"][run], strict=True)
    return [PlanePoint(gain=learnt, forgetting=-kept) for learnt, kept in pairs]


def test_lora_forgets_less_than_full_fine_tuning_at_the_same_humaneval() -> None:
    """Biderman et al. 2024: LoRA of rank 256 and full fine-tuning of code, at HumanEval .45, by hand."""
    lora = 0.659 + (0.45 - 0.385) / (0.498 - 0.385) * (0.631 - 0.659)
    full = 0.595 + (0.45 - 0.302) / (0.464 - 0.302) * (0.579 - 0.595)
    found = at_matched_gain([plane("r256")], [plane("full")], 0.45)
    assert (found.first, found.second) == pytest.approx((-lora, -full))
    assert found.difference == pytest.approx(-0.0625, abs=5e-4)
    assert common_range([plane("r16")], [plane("full")]) == (0.302, 0.358)
    assert at_matched_gain([plane("r16")], [plane("full")], 0.45).difference is None


def test_the_front_of_the_published_plane_is_lora_alone() -> None:
    runs = [run for run in PUBLISHED["biderman2024"]["humaneval"] for _ in range(5)]
    points = [point for run in dict.fromkeys(runs) for point in plane(run)]
    front = pareto_front(points)
    assert [(runs[i], points[i].gain) for i in front] == [("r256", 0.385), ("r64", 0.417), ("r256", 0.498)]

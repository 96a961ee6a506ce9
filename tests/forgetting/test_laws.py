"""Fitting laws: a planted one is recovered, a wrong one loses, and what cannot be known is not said."""

from __future__ import annotations

import numpy as np
import pytest

from forgetbench.forgetting.law_choice import band, compare_laws, last_value, predict_held_out, split_largest
from forgetbench.forgetting.law_fit import Fit, NoFit, aicc, fit_law
from forgetbench.forgetting.laws import LAWS, Observations, joint_power_law, observations

STEPS = np.array([5, 10, 20, 40, 80, 160, 320], dtype=float)
RANKS = np.array([4, 8, 16, 32, 64], dtype=float)
PLANTED = {"a": 400.0, "alpha": 0.3, "b": 30.0, "beta": 0.8, "k": -0.4, "rho": 1.5, "s": 0.9}


def grid(steps: np.ndarray = STEPS, ranks: np.ndarray = RANKS) -> tuple[np.ndarray, np.ndarray]:
    p, n = np.meshgrid(1000 * ranks, steps, indexing="ij")
    return p.ravel(), n.ravel()


def planted(name: str, noise: float = 0.0, seed: int = 0) -> Observations:
    p, n = grid()
    y = {
        "constant": np.full(len(n), 0.7),
        "linear": 0.1 + 0.002 * n,
        "power_in_steps": 0.9 - 1.2 * n**-0.4,
        "power_in_parameters": 0.2 + 0.01 * p**0.35,
        "saturating_exponential": 0.1 + 0.6 * (1 - np.exp(-n / 60)),
        "joint_power": joint_power_law(p, n, **PLANTED),
    }[name]
    return observations(y + np.random.default_rng(seed).normal(0, noise, len(y)), parameters=p, steps=n)


def best(data: Observations) -> str:
    (found,) = [judged.law.name for judged in compare_laws(data) if judged.best]
    return found


@pytest.mark.parametrize(
    "name", ["linear", "power_in_steps", "power_in_parameters", "saturating_exponential"]
)
def test_a_planted_law_is_recovered_to_rounding(name: str) -> None:
    fit = fit_law(name, planted(name))
    assert isinstance(fit, Fit)
    assert fit.r2 == pytest.approx(1, abs=1e-6)
    p, n = np.array([256_000.0]), np.array([640.0])
    known = {"linear": 1.38, "power_in_steps": 0.9 - 1.2 * 640**-0.4}
    known |= {
        "power_in_parameters": 0.2 + 0.01 * 256_000**0.35,
        "saturating_exponential": 0.1 + 0.6 * (1 - np.exp(-640 / 60)),
    }
    predicted = fit.predict({"parameters": p, "steps": n})
    assert predicted is not None
    assert predicted[0] == pytest.approx(known[name], rel=2e-3)


def test_no_law_is_called_best_where_there_was_no_choice() -> None:
    steps = np.array([6, 12, 24, 48], dtype=float)  # four points: only a constant has an AICc
    judged = compare_laws(observations(0.002 * steps, steps=steps))
    assert sum(isinstance(one.fit, Fit) and one.fit.aicc is not None for one in judged) == 1
    assert not any(one.best for one in judged)


def test_the_joint_law_predicts_beyond_its_points() -> None:
    fit = fit_law("joint_power", planted("joint_power"))
    assert isinstance(fit, Fit)
    p, n = np.array([256_000.0]), np.array([640.0])
    predicted = fit.predict({"parameters": p, "steps": n})
    assert predicted is not None
    assert predicted[0] == pytest.approx(float(joint_power_law(p, n, **PLANTED)[0]), rel=5e-3)


@pytest.mark.parametrize("name", [name for name in LAWS if name != "inverse_linear"])
def test_the_planted_law_has_the_lowest_aicc(name: str) -> None:
    assert [best(planted(name, noise=0.003, seed=seed)) for seed in range(3)].count(name) >= 2


def test_the_exponents_of_a_power_law_are_recovered() -> None:
    for name, key, value in (("power_in_steps", "beta", -0.4), ("power_in_parameters", "alpha", 0.35)):
        fit = fit_law(name, planted(name))
        assert isinstance(fit, Fit)
        assert fit.theta[key] == pytest.approx(value, abs=0.01)
    fit = fit_law("saturating_exponential", planted("saturating_exponential"))
    assert isinstance(fit, Fit)
    assert fit.scales["steps"] * np.exp(fit.theta["log_tau"]) == pytest.approx(60, rel=0.01)


def test_the_same_seed_gives_the_same_fit_and_order_does_not_matter() -> None:
    data = planted("joint_power", noise=0.003)
    one, again = (fit_law("joint_power", data, seed=3) for _ in range(2))
    assert one == again
    turned = fit_law("joint_power", data.take(np.arange(len(data.y))[::-1]), seed=3)
    assert isinstance(one, Fit) and isinstance(turned, Fit)
    where = {"parameters": np.array([8000.0]), "steps": np.array([100.0])}
    assert one.curve(where) == pytest.approx(turned.curve(where), abs=1e-5)


@pytest.mark.parametrize("name", list(LAWS))
def test_fewer_points_than_parameters_and_two_predict_nothing(name: str) -> None:
    law = LAWS[name]
    enough = law.n_parameters + 2
    rng = np.random.default_rng(1)
    p, n, loss = rng.uniform(1e3, 1e5, enough), rng.uniform(5, 500, enough), rng.uniform(1, 2, enough)
    data = observations(rng.normal(size=enough), parameters=p, steps=n, target_loss=loss)
    assert isinstance(fit_law(law, data), Fit)
    refused = fit_law(law, data.take(np.arange(enough - 1)))
    assert isinstance(refused, NoFit)
    assert refused.reason == f"{enough - 1} points, needs {enough}"


def test_an_input_that_is_unknown_or_does_not_vary_is_named() -> None:
    y = np.linspace(0, 1, 12)
    assert fit_law("power_in_parameters", observations(y, steps=np.arange(1, 13))) == NoFit(
        law=LAWS["power_in_parameters"], reason="trained parameters not known"
    )
    same = observations(y, parameters=np.full(12, 5e5), steps=np.arange(1, 13))
    for name in ("power_in_parameters", "joint_power"):
        found = fit_law(name, same)
        assert isinstance(found, NoFit)
        assert found.reason == "trained parameters the same everywhere"


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"steps": [0, 1, 2]}, "above zero"), ({"y": [1, np.nan, 2]}, "finite"), ({"steps": [1, 2]}, "length")],
)
def test_observations_that_cannot_be_are_refused(changes: dict[str, list[float]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        observations(**({"y": [1, 2, 3], "steps": [1, 2, 3]} | changes))


def test_too_few_runs_say_nothing_beyond_what_was_measured() -> None:
    data = planted("power_in_steps", noise=0.003)
    two = data.take(data.inputs["parameters"] <= 8000)
    fit, whole = fit_law("power_in_steps", two), fit_law("power_in_steps", data)
    assert isinstance(fit, Fit) and isinstance(whole, Fit)
    assert fit.n_runs == 2
    within, beyond = {"steps": np.array([100.0])}, {"steps": np.array([100.0, 400.0])}
    assert fit.predict(within) is not None
    assert fit.predict(beyond) is None
    assert whole.predict(beyond) is not None
    assert band(fit, two, within) is None


def test_bands_over_runs_hold_the_law_and_widen_with_the_runs_disagreement() -> None:
    steps = {"steps": np.array([10.0, 100.0])}
    widths = []
    for spread in (0.0, 0.05):
        data = planted("power_in_steps", noise=0.001)
        shift = {
            run: x for run, x in zip(dict.fromkeys(data.runs), np.linspace(-spread, spread, 5), strict=True)
        }
        moved = Observations(
            y=data.y + np.array([shift[run] for run in data.runs]), inputs=data.inputs, runs=data.runs
        )
        fit = fit_law("power_in_steps", moved)
        assert isinstance(fit, Fit)
        found = band(fit, moved, steps)
        assert found is not None
        assert (found.low <= fit.curve(steps)).all() and (fit.curve(steps) <= found.high).all()
        widths.append(float((found.high - found.low)[1]))
    assert widths[1] > 10 * widths[0]


def test_aicc_is_akaikes_criterion_with_the_correction_for_few_points() -> None:
    n, k, rss = 12, 3, 0.5  # two parameters and the noise
    by_definition = n * np.log(rss / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    assert aicc(rss, n, 2) == pytest.approx(by_definition)
    assert aicc(rss, 4, 2) is None


def test_the_largest_run_is_left_out_and_compared_with_carrying_on() -> None:
    data = planted("linear")
    split = split_largest(data)
    assert split is not None
    assert set(split.larger.inputs["steps"]) == {320} and set(split.larger.inputs["parameters"]) == {64_000}
    assert split.smaller.inputs["steps"].max() == 160 and split.smaller.inputs["parameters"].max() == 32_000
    assert last_value(split.smaller) == pytest.approx(0.1 + 0.002 * 160)
    held = predict_held_out("linear", split)
    assert held is not None
    assert held.error == pytest.approx(0, abs=1e-9)
    assert held.carried == pytest.approx(0.002 * 160)
    assert (held.n_fitted, held.n) == (24, 1)


def test_nothing_is_left_out_where_nothing_varies() -> None:
    assert split_largest(observations([1, 2], steps=[1, 2])) is None

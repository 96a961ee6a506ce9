"""Scaling laws of forgetting: candidate forms, each linear in two parameters once its exponents are given.

The joint form is that of Kalajdzievski 2024 (arXiv 2401.05605, Eq. 5 and 6); P counts trained parameters, N
update steps or tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Input = Literal["parameters", "steps", "target_loss"]
INPUT_NAMES: dict[Input, str] = {
    "parameters": "trained parameters",
    "steps": "update steps",
    "target_loss": "target loss",
}


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What the laws are fitted to: one entry for each checkpoint.

    Attributes:
        y: Forgetting or target loss, shape (n,).
        inputs: Each input of the laws by name, shape (n,); those that are not known are left out.
        runs: Which training run each checkpoint belongs to, n labels: the unit of the bootstrap.
    """

    y: Array
    inputs: Mapping[Input, Array]
    runs: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {len(self.y), len(self.runs), *map(len, self.inputs.values())}
        if len(lengths) > 1:
            raise ValueError(f"y, inputs and runs differ in length: {sorted(lengths)}")

    @property
    def n_runs(self) -> int:
        """Number of training runs."""
        return len(set(self.runs))

    def take(self, which: ArrayLike) -> Observations:
        """Return a part, or a resample, by a mask or by indices."""
        index = np.arange(len(self.y))[np.asarray(which)]
        return Observations(
            y=self.y[index],
            inputs={name: values[index] for name, values in self.inputs.items()},
            runs=tuple(self.runs[i] for i in index),
        )


def observations(
    y: ArrayLike,
    *,
    parameters: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    target_loss: ArrayLike | None = None,
    runs: Sequence[object] | None = None,
) -> Observations:
    """Return observations from plain sequences; without ``runs``, each value of ``parameters`` is a run.

    Raises:
        ValueError: The lengths differ, a value is not finite, or a count is not positive.
    """
    given: dict[Input, ArrayLike | None] = {
        "parameters": parameters, "steps": steps, "target_loss": target_loss,
    }  # fmt: skip
    inputs = {name: np.asarray(v, dtype=np.float64) for name, v in given.items() if v is not None}
    values = np.asarray(y, dtype=np.float64)
    if not all(np.isfinite(column).all() for column in (values, *inputs.values())):
        raise ValueError("a value is not finite")
    if any((inputs[name] <= 0).any() for name in ("parameters", "steps") if name in inputs):
        raise ValueError("parameters and steps are counts above zero")
    labels = runs if runs is not None else inputs.get("parameters", np.zeros(len(values)))
    return Observations(y=values, inputs=inputs, runs=tuple(str(label) for label in labels))


Relative = Mapping[Input, Array]
"""Inputs over their scales: counts near 1."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """y = offset + amplitude · shape(inputs; θ).

    Attributes:
        formula: In plain signs, for people.
        inputs: What it needs to know.
        bounds: Of θ, by name. Names that begin with ``log`` or ``logit`` are fitted as such.
        shape: From relative inputs and θ; None: the law is a constant.
    """

    name: str
    formula: str
    inputs: tuple[Input, ...]
    bounds: Mapping[str, tuple[float, float]]
    shape: Callable[[Relative, Array], Array] | None

    @property
    def n_parameters(self) -> int:
        """Free parameters, offset and amplitude among them."""
        return 1 + len(self.bounds) + (self.shape is not None)


def _power(name: Input) -> Callable[[Relative, Array], Array]:
    """(x^β − 1)/β, which is a power law for any β and log x at 0 (Box & Cox 1964)."""

    def shape(x: Relative, theta: Array) -> Array:
        exponent = theta[0] * np.log(x[name])
        small = np.abs(theta[0]) < 1e-6
        return np.asarray(np.log(x[name]) if small else np.expm1(exponent) / theta[0], dtype=np.float64)

    return shape


def _joint(x: Relative, theta: Array) -> Array:
    log_alpha, log_beta, log_rho, logit_w = theta
    w = 1.0 / (1.0 + np.exp(-logit_w))
    inner = w * x["parameters"] ** -np.exp(log_alpha) + (1.0 - w) * x["steps"] ** -np.exp(log_beta)
    return np.asarray(inner ** np.exp(log_rho), dtype=np.float64)


def _saturating(x: Relative, theta: Array) -> Array:
    return np.asarray(-np.expm1(-x["steps"] / np.exp(theta[0])), dtype=np.float64)


_EXPONENT = (-3.0, 3.0)
LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Law(name="constant", formula="y = s", inputs=(), bounds={}, shape=None),
        Law(
            name="linear", formula="y = s + k·N", inputs=("steps",), bounds={},
            shape=lambda x, _: x["steps"],
        ),
        Law(
            name="power_in_steps", formula="y = s + k·N^β", inputs=("steps",),
            bounds={"beta": _EXPONENT}, shape=_power("steps"),
        ),
        Law(
            name="power_in_parameters", formula="y = s + k·P^α", inputs=("parameters",),
            bounds={"alpha": _EXPONENT}, shape=_power("parameters"),
        ),
        Law(
            name="saturating_exponential", formula="y = s + k·(1 − exp(−N/τ))", inputs=("steps",),
            bounds={"log_tau": (-4.6, 4.6)}, shape=_saturating,
        ),
        Law(
            name="joint_power", formula="y = s + k·[(a/P)^α + (b/N)^β]^ρ", inputs=("parameters", "steps"),
            shape=_joint,
            bounds={
                "log_alpha": (-6.0, 1.0), "log_beta": (-6.0, 1.0), "log_rho": (-1.0, 3.0),
                "logit_w": (-6.0, 6.0),
            },
        ),
        Law(
            name="inverse_linear", formula="y = s − c·L_target", inputs=("target_loss",), bounds={},
            shape=lambda x, _: x["target_loss"],
        ),
    )
}  # fmt: skip
"""Every law of Kalajdzievski 2024 and the rivals it is held against.

In the joint law one of a, b and k is free to choose (scale a^α and b^β alike and k makes up for it): it has
six parameters, not seven, and is fitted as w·(P/P₀)^−α + (1 − w)·(N/N₀)^−β.
"""


def joint_power_law(
    parameters: ArrayLike,
    steps: ArrayLike,
    *,
    a: float,
    alpha: float,
    b: float,
    beta: float,
    k: float,
    rho: float,
    s: float,
) -> Array:
    """Return k·[(a/P)^α + (b/N)^β]^ρ + s (Kalajdzievski 2024, Eq. 5; Eq. 6 with k = −c·c_ft, s − c·s_ft).

    Args:
        parameters: P, trained parameters.
        steps: N, update steps, of a shape that broadcasts with P.
        a: Scale of P.
        alpha: Exponent of P.
        b: Scale of N.
        beta: Exponent of N.
        k: Amplitude, in nats: positive for the target loss, negative for forgetting.
        rho: Outer exponent.
        s: Shift, in nats.

    Example:
        >>> float(joint_power_law(1e6, 100, a=1e6, alpha=0.5, b=100, beta=0.5, k=0.25, rho=2, s=1))
        2.0
    """
    p, n = np.asarray(parameters, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    return np.asarray(k * ((a / p) ** alpha + (b / n) ** beta) ** rho + s, dtype=np.float64)

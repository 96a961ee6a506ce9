"""Fitting a law: separable least squares from many starts, and how far the fit may be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forgetbench.forgetting.laws import INPUT_NAMES, LAWS, Array, Input, Law, Observations

STARTS = 8
TOLERANCE, TOLERANCE_OF_A_DRAW = 1e-8, 1e-5
"""Relative change at which a fit ends; a draw of the bootstrap starts where the fit ended and needs less."""
DRAWS = 200
FEWEST_RUNS = 3
"""Below it nothing is said beyond what was measured, and there are no bands."""
PENALTY = 1e-3
"""Pulls a parameter that the data do not determine to the middle of its bounds; see :func:`_fit_shape`."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted law.

    Attributes:
        theta: Shape parameters by name, within the law's bounds.
        offset: Of y.
        amplitude: Of the shape; None for a constant.
        scales: What the counts are divided by before the shape.
        ranges: Smallest and largest of each input that it was fitted on.
        r2: Share of the variance that it explains; None where y does not vary.
        aicc: Akaike's criterion for small samples, less is better; None with too few points for it.
    """

    law: Law
    theta: Mapping[str, float]
    offset: float
    amplitude: float | None
    scales: Mapping[Input, float]
    ranges: Mapping[Input, tuple[float, float]]
    n: int
    n_runs: int
    rss: float
    r2: float | None
    aicc: float | None

    def predict(self, inputs: Mapping[Input, Array]) -> Array | None:
        """Return y for each set of inputs; None where that would extrapolate from too few runs.

        Args:
            inputs: As in :class:`~forgetbench.forgetting.laws.Observations`.
        """
        if self.n_runs < FEWEST_RUNS and not self.covers(inputs):
            return None
        return self.curve(inputs)

    def covers(self, inputs: Mapping[Input, Array]) -> bool:
        """Say whether all inputs lie within what the law was fitted on."""
        return all(
            low <= np.min(inputs[name]) and np.max(inputs[name]) <= high
            for name, (low, high) in self.ranges.items()
        )

    def curve(self, inputs: Mapping[Input, Array]) -> Array:
        """Return the formula's value wherever it is asked for."""
        basis = _basis(self.law, _relative(inputs, self.scales), np.array(list(self.theta.values())))
        length = max((len(values) for values in inputs.values()), default=1)
        if basis is None or self.amplitude is None:
            return np.full(length, self.offset)
        return np.asarray(self.offset + self.amplitude * basis, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class NoFit:
    """A law that predicts nothing, and why."""

    law: Law
    reason: str


def fit_law(law: Law | str, data: Observations, *, seed: int = 0, starts: int = STARTS) -> Fit | NoFit:
    """Fit a law by least squares in y, with its exponents and scales in log space and bounded.

    Offset and amplitude are solved for exactly at each trial of the shape (variable projection: Golub &
    Pereyra 1973, SIAM J. Numer. Anal. 10:413), so the search is over the shape alone; it begins at ``starts``
    seeded points and the best end is kept.

    Args:
        law: A law, or its name in ``LAWS``.
        data: The checkpoints.
        seed: Of the starting points.
        starts: How many there are.
    """
    law = LAWS[law] if isinstance(law, str) else law
    if (reason := _cannot_fit(law, data)) is not None:
        return NoFit(law=law, reason=reason)
    scales = {name: _scale(name, data.inputs[name]) for name in law.inputs}
    theta = _fit_shape(law, data, scales, _starting_points(law, seed, starts))
    if theta is None:
        return NoFit(law=law, reason="the fit did not converge")
    return _fitted(law, data, scales, theta)


def refit(fit: Fit, data: Observations) -> Fit | NoFit:
    """Fit the same law to other data, starting from where it is."""
    law = fit.law
    if (reason := _cannot_fit(law, data)) is not None:
        return NoFit(law=law, reason=reason)
    start = np.array(list(fit.theta.values()))
    theta = _fit_shape(law, data, fit.scales, [start], tolerance=TOLERANCE_OF_A_DRAW)
    return (
        NoFit(law=law, reason="the fit did not converge")
        if theta is None
        else _fitted(law, data, fit.scales, theta)
    )


def aicc(rss: float, n: int, n_parameters: int) -> float | None:
    """Return n·ln(RSS/n) + 2K + 2K(K+1)/(n − K − 1), K = parameters + 1 for the noise; None for n ≤ K + 1.

    Source: Hurvich & Tsai 1989, Biometrika 76:297; K as in Burnham & Anderson 2002, §2.4.
    """
    k = n_parameters + 1
    if n <= k + 1:
        return None
    return n * math.log(max(rss, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _cannot_fit(law: Law, data: Observations) -> str | None:
    missing = [INPUT_NAMES[name] for name in law.inputs if name not in data.inputs]
    if missing:
        return f"{' and '.join(missing)} not known"
    same = [INPUT_NAMES[name] for name in law.inputs if np.ptp(data.inputs[name]) == 0]
    if same:
        return f"{' and '.join(same)} the same everywhere"
    few = [INPUT_NAMES[name] for name in law.inputs if law.bounds and len(np.unique(data.inputs[name])) < 3]
    if few:
        return f"fewer than 3 values of {' and '.join(few)}"
    least = law.n_parameters + 2
    return f"{len(data.y)} points, needs {least}" if len(data.y) < least else None


def _scale(name: Input, values: Array) -> float:
    return 1.0 if name == "target_loss" else float(np.exp(np.mean(np.log(values))))


def _relative(inputs: Mapping[Input, Array], scales: Mapping[Input, float]) -> dict[Input, Array]:
    return {name: np.asarray(inputs[name], dtype=np.float64) / scale for name, scale in scales.items()}


def _basis(law: Law, x: Mapping[Input, Array], theta: Array) -> Array | None:
    return None if law.shape is None else law.shape(x, theta)


def _solve(basis: Array | None, y: Array) -> tuple[float, float | None]:
    """Return offset and amplitude of least squares, by a centred and scaled basis."""
    if basis is None:
        return float(np.mean(y)), None
    centred = basis - basis.mean()
    size = float(centred @ centred)
    amplitude = float(centred @ (y - y.mean())) / size if size > 0 and math.isfinite(size) else 0.0
    return float(y.mean() - amplitude * basis.mean()), amplitude


def _starting_points(law: Law, seed: int, starts: int) -> list[Array]:
    """Return the middle of the bounds and points of a Sobol sequence."""
    if not law.bounds:
        return [np.empty(0)]
    from scipy.stats import qmc

    low, high = np.array(list(law.bounds.values())).T
    sobol = qmc.Sobol(len(low), scramble=True, rng=np.random.default_rng(seed))
    return [(low + high) / 2, *qmc.scale(sobol.random(starts), low, high)]


def _fit_shape(
    law: Law,
    data: Observations,
    scales: Mapping[Input, float],
    starts: Sequence[Array],
    *,
    tolerance: float = TOLERANCE,
) -> Array | None:
    """Return the shape parameters with the least residual sum of squares; None where no start converges.

    A ridge of ``PENALTY`` of the noise that is left keeps what the data cannot tell apart from running to a
    bound: it moves the fit by far less than one standard error.
    """
    if not law.bounds:
        return np.empty(0)
    from scipy.optimize import least_squares

    low, high = np.array(list(law.bounds.values())).T
    x = _relative(data.inputs, scales)
    spread = float(np.std(data.y)) or 1.0

    def residuals(theta: Array) -> Array:
        basis = _basis(law, x, theta)
        offset, amplitude = _solve(basis, data.y)
        left = data.y - offset - (amplitude or 0.0) * (basis if basis is not None else 0.0)
        ridge = PENALTY * (theta - (low + high) / 2) / (high - low)
        return np.concatenate([np.nan_to_num(left / spread, nan=1e6, posinf=1e6, neginf=-1e6), ridge])

    found = []
    for start in starts:
        try:
            with np.errstate(all="ignore"):  # a trial may overflow: it is a bad one
                inside = np.clip(start, low + 1e-9, high - 1e-9)
                ended = least_squares(
                    residuals, inside, bounds=(low, high), ftol=tolerance, xtol=tolerance, gtol=tolerance
                )
        except (ValueError, np.linalg.LinAlgError):
            continue
        if ended.status > 0:
            found.append((float(ended.cost), ended.x))
    return min(found, key=lambda end: end[0])[1] if found else None


def _fitted(law: Law, data: Observations, scales: Mapping[Input, float], theta: Array) -> Fit:
    basis = _basis(law, _relative(data.inputs, scales), theta)
    offset, amplitude = _solve(basis, data.y)
    left = data.y - offset - (amplitude or 0.0) * (basis if basis is not None else 0.0)
    rss, tss = float(left @ left), float(np.sum((data.y - data.y.mean()) ** 2))
    rounding = len(data.y) * (1e-12 * float(np.max(np.abs(data.y)) or 1.0)) ** 2
    return Fit(
        law=law,
        theta=dict(zip(law.bounds, map(float, theta), strict=True)),
        offset=offset,
        amplitude=amplitude,
        scales=scales,
        ranges={n: (float(data.inputs[n].min()), float(data.inputs[n].max())) for n in law.inputs},
        n=len(data.y),
        n_runs=data.n_runs,
        rss=rss,
        r2=1.0 - rss / tss if tss > 0 else None,
        aicc=aicc(max(rss, rounding), len(data.y), law.n_parameters),
    )

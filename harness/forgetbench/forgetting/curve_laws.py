"""The laws of a curve: each measure of each method against every law, and the best one as a line to draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from forgetbench.forgetting.law_choice import HeldOut, Judged, band, compare_laws
from forgetbench.forgetting.law_fit import Fit
from forgetbench.forgetting.laws import Array, Input, Observations, observations
from forgetbench.schema.curve import CurvePoint, Exposure, LawHeldOut, LawLine, LawResult, Measure

POINTS_OF_A_LINE = 40
Found = tuple[LawResult, Judged]


def results_of(
    points: Sequence[CurvePoint], measures: Sequence[Measure], exposure: Exposure, *, seed: int = 0
) -> list[Found]:
    """Fit every law to every measure, the checkpoints of a method together."""
    found: list[Found] = []
    for method, members in groupby(points, key=_method):
        listed = list(members)
        for measure in measures:
            data = _observations(listed, measure.name, exposure)
            if data is not None:
                judged = compare_laws(data, seed=seed)
                found += [(_result(j, method, measure.name, data), j) for j in judged]
    return found


def lines_of(
    found: Sequence[Found], points: Sequence[CurvePoint], exposure: Exposure, *, seed: int = 0
) -> Iterator[LawLine]:
    """Yield the best law of each measure over the steps that were run, for each number of parameters."""
    for result, judged in found:
        if not judged.best or not isinstance(judged.fit, Fit) or "target_loss" in judged.law.inputs:
            continue
        members = [point for point in points if _method(point) == result.method]
        data = _observations(members, result.measure, exposure)
        if data is None:
            continue
        yield from _lines(result, judged.fit, data, seed)


def _lines(result: LawResult, fit: Fit, data: Observations, seed: int) -> Iterator[LawLine]:
    """Yield a line for each number of parameters that the law depends on, all from the same resamples."""
    sizes = list(np.unique(data.inputs["parameters"])) if "parameters" in fit.law.inputs else [None]
    xs = np.geomspace(data.inputs["steps"].min(), data.inputs["steps"].max(), POINTS_OF_A_LINE)
    inputs: dict[Input, Array] = {"steps": np.tile(xs, len(sizes))}
    if sizes != [None]:
        inputs["parameters"] = np.repeat(np.array(sizes), len(xs))
    found = band(fit, data, inputs, seed=seed)
    y = fit.curve(inputs)
    for i, size in enumerate(sizes):
        part = slice(i * len(xs), (i + 1) * len(xs))
        yield LawLine(
            method=result.method,
            measure=result.measure,
            law=result.law,
            trained_parameters=None if size is None else float(size),
            x=tuple(map(float, xs)),
            y=tuple(map(float, y[part])),
            low=tuple(map(float, found.low[part])) if found else None,
            high=tuple(map(float, found.high[part])) if found else None,
        )


def _method(point: CurvePoint) -> str:
    return point.training.method or "checkpoint"


def _observations(points: Sequence[CurvePoint], measure: str, exposure: Exposure) -> Observations | None:
    """Return the checkpoints with a known loss; an input that one of them lacks is left out for all."""
    pairs = [
        (point, loss.degradation)
        for point in points
        for loss in point.losses
        if loss.measure == measure and loss.degradation is not None
    ]
    if not pairs:
        return None
    trainings = [point.training for point, _ in pairs]
    columns = {
        "parameters": [t.trained_parameters for t in trainings],
        "steps": [getattr(t, exposure) for t in trainings],
        "target_loss": [t.target_loss for t in trainings],
    }
    known = {
        name: [float(v) for v in values if v is not None and (v > 0 or name == "target_loss")]
        for name, values in columns.items()
    }
    whole = {name: values for name, values in known.items() if len(values) == len(pairs)}
    return observations(
        [lost for _, lost in pairs],
        parameters=whole.get("parameters"),
        steps=whole.get("steps"),
        target_loss=whole.get("target_loss"),
        runs=[point.run for point, _ in pairs],
    )


def _result(judged: Judged, method: str, measure: str, data: Observations) -> LawResult:
    law, fit = judged.law, judged.fit
    common = {"method": method, "measure": measure, "law": law.name, "formula": law.formula}
    if not isinstance(fit, Fit):
        return LawResult(**common, n=len(data.y), n_runs=data.n_runs, not_fitted=fit.reason)
    parameters = {"offset": fit.offset, **fit.theta}
    if fit.amplitude is not None:
        parameters["amplitude"] = fit.amplitude
    return LawResult(
        **common,
        n=fit.n,
        n_runs=fit.n_runs,
        parameters=parameters,
        scales={str(name): scale for name, scale in fit.scales.items()},
        r2=fit.r2,
        aicc=fit.aicc,
        best=judged.best,
        held_out=_held_out(judged.held_out),
    )


def _held_out(found: HeldOut | None) -> LawHeldOut | None:
    if found is None:
        return None
    return LawHeldOut(
        n_fitted=found.n_fitted, n=found.n, error=found.error, relative=found.relative, carried=found.carried
    )

"""What several checkpoints of one base lose on average: seeds of one training, above all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from forgetbench.forgetting.degenerate import is_of_speech
from forgetbench.forgetting.family import bonferroni, family_size
from forgetbench.forgetting.mover import Part, mover, mover_p, scaled
from forgetbench.forgetting.paired import PairedEstimate, t_interval
from forgetbench.forgetting.suite_row import mean_if_all
from forgetbench.forgetting.verdict import verdict, worst
from forgetbench.schema.comparison import Comparison, Row, Verdict


def rows_over_seeds(comparisons: Sequence[Comparison]) -> tuple[Row, ...]:
    """Return one row for each row that all comparisons have: the mean over the seeds, with its t interval.

    Two levels vary: the training seeds, and the test items, which all seeds share. Over S seeds the interval
    is that of t with S − 1 degrees of freedom: three seeds have ten distinct draws, and where seeds differ
    much a bootstrap over them covers some .85 at 95 %. Over items it is the mean of the seeds' own intervals,
    never narrower than one checkpoint's. :func:`~forgetbench.forgetting.mover.mover` puts both together. What
    depends on seed and item at once counts in both, which errs on the wide side. The rules of a single row
    hold: a row that is an error with one seed is one, not a mean over the others; where one seed
    had too few samples for a verdict there is none; a loss must exceed the largest noise floor. The family
    is the smallest of the seeds', for a row in error is in none.

    Args:
        comparisons: One for each training seed, of the same tasks and the same base; at least two.
    """
    found = [{row.name: row for row in comparison.rows} for comparison in comparisons]
    return tuple(
        _over_seeds([rows[name] for rows in found], comparisons[0].alpha)
        for name in found[0]
        if all(name in rows for rows in found)
    )


def _over_seeds(rows: Sequence[Row], alpha: float) -> Row:
    losses = [row.degradation for row in rows if row.degradation is not None]
    shared = {
        "p_holm": None,
        "p_exact": None,
        "poi": None,
        "transitions": None,
        "required_n": None,
        "n_available": None,
        "larger_suite": None,
        "notes": (),
    }
    nothing = dict.fromkeys(("delta", "relative_forgetting", "agreement", "smallest_detectable"))
    first = rows[0].model_copy(
        update={
            **shared,
            **nothing,
            "method": f"t over {len(rows)} checkpoints, with each one's interval over samples",
        }
    )
    if all(row.verdict == "identical" for row in rows):
        return first
    missing = {"degradation": None, "ci_low": None, "ci_high": None, "p": None, "p_adjusted": None}
    means = {
        "base": mean_if_all([row.base for row in rows]),
        "checkpoint": mean_if_all([row.checkpoint for row in rows]),
    }
    first = first.model_copy(update=missing | means)
    failed = [row.reason for row in rows if row.verdict == "error"]
    if failed or len(losses) < len(rows):
        reason = f"not measured in every checkpoint{f': {failed[0]}' if failed else ''}"
        return first.model_copy(update={"verdict": "error", "reason": reason})
    return first.model_copy(update=_measured(rows, losses, alpha))


def _measured(rows: Sequence[Row], losses: Sequence[float], alpha: float) -> dict[str, Any]:
    """Return the fields of a row that every seed has measured."""
    mean, level = fmean(losses), min((row.level for row in rows if row.level), default=1.0 - alpha)
    floor = max(row.noise_floor for row in rows)
    unsettled = [row.reason for row in rows if row.verdict == "inconclusive" and row.reason]
    too_few = next((reason for reason in unsettled if not is_of_speech(reason)), "")
    known = {"degradation": mean, "level": level, "noise_floor": floor, "n_clusters": len(rows)}
    without_verdict = {**known, "verdict": "inconclusive", "reason": too_few}
    method = over_seeds(rows, level=level)
    if method is None or method.p is None or method.ci_low is None or method.ci_high is None:
        return without_verdict
    found = verdict(method.ci_low, method.ci_high, margin=rows[0].margin, noise_floor=floor)
    return {
        **(without_verdict if too_few else {**known, **_verdict(rows, found)}),
        "degenerate": None,
        "ci_low": method.ci_low,
        "ci_high": method.ci_high,
        "p": method.p,
        "p_adjusted": bonferroni(method.p, family_size(alpha, level)),
    }


def _spread(degradations: Sequence[float]) -> Part:
    """Return what the choice of at least two seeds adds to their mean: t with S − 1 degrees of freedom."""
    se, df = stdev(degradations) / math.sqrt(len(degradations)), len(degradations) - 1
    return Part(
        0.0,
        lambda level: t_interval(0.0, se, df, level=level)[0].low,
        lambda level: t_interval(0.0, se, df, level=level)[0].high,
    )


def _verdict(rows: Sequence[Row], own: Verdict) -> dict[str, Verdict | str | None]:
    """Return the verdict and its reason: one seed that has stopped speaking speaks for the method."""
    grown = [r.degenerate.verdict for r in rows if r.degenerate and (r.degenerate.degradation or 0.0) > 0]
    found = worst([own, *grown])
    reason = "" if found == own else "with a seed, more answers are degenerate"
    return {"verdict": found, "reason": reason}


def over_seeds(seeds: Sequence[Row | PairedEstimate], *, level: float) -> PairedEstimate | None:
    """Return the mean over at least two seeds, with the interval of :func:`rows_over_seeds`.

    Args:
        seeds: Each checkpoint by itself, its interval at ``level``.
        level: Confidence level.

    Returns:
        None where a seed has no interval.
    """
    ends = [(s.degradation, s.ci_low, s.ci_high) for s in seeds]
    if any(None in each for each in ends):
        return None
    losses = [loss for loss, _, _ in ends if loss is not None]
    mean = fmean(losses)
    below = fmean(loss - low for loss, low, _ in ends if loss is not None and low is not None)
    above = fmean(high - loss for loss, _, high in ends if loss is not None and high is not None)
    one = PairedEstimate(
        level=level, method="", n=seeds[0].n, degradation=mean, ci_low=mean - below, ci_high=mean + above
    )
    parts = [_spread(losses), scaled(one, 1.0)]
    interval = mover(mean, parts, level)
    return replace(one, ci_low=interval.low, ci_high=interval.high, p=mover_p(mean, parts))

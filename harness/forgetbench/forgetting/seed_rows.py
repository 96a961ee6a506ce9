"""What several checkpoints of one base lose on average: seeds of one training, above all."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from forgetbench.forgetting.family import bonferroni, family_size
from forgetbench.forgetting.mover import mover, mover_p, scaled
from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.forgetting.seeds import spread_of_seeds
from forgetbench.forgetting.suite_row import mean_if_all
from forgetbench.forgetting.verdict import verdict, worst
from forgetbench.schema.comparison import Comparison, Row, Verdict


def rows_over_seeds(comparisons: Sequence[Comparison]) -> tuple[Row, ...]:
    """Return one row for each row that all comparisons have: the mean over the seeds, with its t interval.

    The interval covers the training seeds and the test items, as that of
    :func:`~forgetbench.forgetting.seeds.over_seeds` does, from the rows alone: t over the seeds, put together
    with the mean of the seeds' own intervals, which is never narrower than one checkpoint's. The rules of a
    single row hold: a row that is an error with one seed is one, not a mean over the others; where one seed
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
    too_few = next((row.reason for row in rows if row.verdict == "inconclusive" and row.reason), "")
    known = {"degradation": mean, "level": level, "noise_floor": floor, "n_clusters": len(rows)}
    without_verdict = {**known, "verdict": "inconclusive", "reason": too_few}
    samples = _over_samples(rows, mean, level)
    if samples is None:
        return without_verdict
    parts = [spread_of_seeds(losses), scaled(samples, 1.0)]
    interval, p = mover(mean, parts, level), mover_p(mean, parts)
    found = verdict(interval.low, interval.high, margin=rows[0].margin, noise_floor=floor)
    return {
        **(without_verdict if too_few else {**known, **_verdict(rows, found)}),
        "degenerate": None,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "p": p,
        "p_adjusted": bonferroni(p, family_size(alpha, level)),
    }


def _verdict(rows: Sequence[Row], own: Verdict) -> dict[str, Verdict | str | None]:
    """Return the verdict and its reason: one seed that has stopped speaking speaks for the method."""
    grown = [r.degenerate.verdict for r in rows if r.degenerate and (r.degenerate.degradation or 0.0) > 0]
    found = worst([own, *grown])
    reason = "" if found == own else "with a seed, more answers are degenerate"
    return {"verdict": found, "reason": reason}


def _over_samples(rows: Sequence[Row], mean: float, level: float) -> PairedEstimate | None:
    """Return what one checkpoint's interval would be, as far from its estimate as those of the seeds are."""
    ends = [(r.degradation, r.ci_low, r.ci_high) for r in rows]
    if any(None in each for each in ends):
        return None
    below = fmean(loss - low for loss, low, _ in ends if loss is not None and low is not None)
    above = fmean(high - loss for loss, _, high in ends if loss is not None and high is not None)
    return PairedEstimate(
        level=level, method="", n=rows[0].n, degradation=mean, ci_low=mean - below, ci_high=mean + above
    )

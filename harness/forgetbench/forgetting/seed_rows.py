"""What a method loses: the same training with several seeds, each compared with one base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from forgetbench.forgetting.family import bonferroni
from forgetbench.forgetting.mover import mover, mover_p, scaled
from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.forgetting.seeds import spread_of_seeds
from forgetbench.forgetting.verdict import verdict, worst
from forgetbench.schema.comparison import Comparison, Row, Verdict


def rows_over_seeds(comparisons: Sequence[Comparison]) -> tuple[Row, ...]:
    """Return one row for each row that all comparisons have: the mean over the seeds, with its t interval.

    The interval covers the training seeds and the test items, as that of
    :func:`~forgetbench.forgetting.seeds.over_seeds` does, from the rows alone: t over the seeds, put together
    with the mean of the seeds' own intervals, which is never narrower than one checkpoint's. A row that one
    seed could not measure is an error, not a mean over the others.

    Args:
        comparisons: One for each training seed, of the same tasks and the same base; at least two.
    """
    found = [{row.name: row for row in comparison.rows} for comparison in comparisons]
    return tuple(
        _over_seeds([rows[name] for rows in found])
        for name in found[0]
        if all(name in rows for rows in found)
    )


def _over_seeds(rows: Sequence[Row]) -> Row:
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
            "method": f"t over {len(rows)} seeds, with each one's interval over samples",
        }
    )
    missing = {"degradation": None, "ci_low": None, "ci_high": None, "p": None, "p_adjusted": None}
    means = {"base": _mean(row.base for row in rows), "checkpoint": _mean(row.checkpoint for row in rows)}
    if len(losses) < len(rows) and not all(row.verdict == "identical" for row in rows):
        reason = "not measured with every seed"
        return first.model_copy(update={**missing, **means, "verdict": "error", "reason": reason})
    if all(row.verdict == "identical" for row in rows):
        return first
    mean, level = fmean(losses), rows[0].level or 0.95
    known = {**means, "degradation": mean, "level": level, "reason": "", "n_clusters": len(rows)}
    samples = _over_samples(rows, mean, level)
    if samples is None:
        return first.model_copy(update={**missing, **known, "verdict": "inconclusive"})
    parts = [spread_of_seeds(losses), scaled(samples, 1.0)]
    interval, p = mover(mean, parts, level), mover_p(mean, parts)
    family = round((rows[0].p_adjusted or 1.0) / rows[0].p) if rows[0].p else 1
    return first.model_copy(
        update={
            **known,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "p": p,
            "p_adjusted": bonferroni(p, max(family, 1)),
            **_verdict(rows, verdict(interval.low, interval.high, margin=rows[0].margin)),
        }
    )


def _verdict(rows: Sequence[Row], own: Verdict) -> dict[str, Verdict | str | None]:
    """Return the verdict and its reason: one seed that has stopped speaking speaks for the method."""
    grown = [r.degenerate.verdict for r in rows if r.degenerate and (r.degenerate.degradation or 0.0) > 0]
    found = worst([own, *grown])
    reason = "" if found == own else "with a seed, more answers are degenerate"
    return {"verdict": found, "reason": reason, "degenerate": None}


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


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return fmean(v for v in known if v is not None) if known and None not in known else None

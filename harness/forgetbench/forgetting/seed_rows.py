"""What a method loses: the same training with several seeds, each compared with one base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from forgetbench.forgetting.family import bonferroni
from forgetbench.forgetting.paired import paired_mean
from forgetbench.forgetting.verdict import verdict
from forgetbench.schema.comparison import Comparison, Row, Verdict


def rows_over_seeds(comparisons: Sequence[Comparison]) -> tuple[Row, ...]:
    """Return one row for each row that all comparisons have: the mean over the seeds, with its t interval.

    The interval covers the seeds of the training, for these test items; each comparison's own covers the
    items, for its checkpoint. A row that one seed could not measure is an error, not a mean over the others.

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
    first = rows[0].model_copy(update={**shared, **nothing, "method": f"t over {len(rows)} seeds"})
    missing = {"degradation": None, "ci_low": None, "ci_high": None, "p": None, "p_adjusted": None}
    means = {"base": _mean(row.base for row in rows), "checkpoint": _mean(row.checkpoint for row in rows)}
    if len(losses) < len(rows):
        reason = "not measured with every seed"
        return first.model_copy(update={**missing, **means, "verdict": "error", "reason": reason})
    level = rows[0].level or 0.95
    estimate = paired_mean([0.0] * len(losses), losses, higher_is_better=False, level=level)
    low, high = estimate.ci_low, estimate.ci_high
    found: Verdict = "inconclusive"
    if low is not None and high is not None:
        found = verdict(low, high, margin=rows[0].margin)
    family = round((rows[0].p_adjusted or 1.0) / rows[0].p) if rows[0].p else 1
    return first.model_copy(
        update={
            **means,
            "degradation": fmean(losses),
            "ci_low": low,
            "ci_high": high,
            "level": level,
            "p": estimate.p,
            "p_adjusted": bonferroni(estimate.p, max(family, 1)),
            "verdict": found,
            "reason": "",
            "n_clusters": len(rows),
        }
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return fmean(v for v in known if v is not None) if known and None not in known else None

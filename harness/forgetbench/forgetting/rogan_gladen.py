"""A rate corrected for the errors of the judge who counted it (Rogan & Gladen 1978)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often a judge was right, in counts over answers with human labels.

    Attributes:
        true_positives: Of the ``positives``, those that the judge called so.
        true_negatives: The same of the ``negatives``.
    """

    true_positives: int
    positives: int
    true_negatives: int
    negatives: int


@dataclass(frozen=True, kw_only=True)
class CorrectedRate:
    """The rate that human labels would give, in [0, 1]; None where the judge knows no better than chance."""

    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None


def corrected_rate(positive: int, n: int, agreement: Agreement, *, level: float = 0.95) -> CorrectedRate:
    """Correct an apparent rate for the judge's sensitivity and specificity.

    ``(p + Sp - 1) / (Se + Sp - 1)``, cut off at 0 and 1. The interval carries the sampling error of the rate
    and of both of the judge's own, known only from counts: Lang & Reiczigel 2014, Prev Vet Med 113, 13–22.

    Args:
        positive: Answers that the judge called positive.
        n: Answers judged.
        agreement: Of the judge with human labels, on answers like these.
        level: Confidence level.

    Returns:
        Missing where there is no answer, no label of a class, or ``Se + Sp ≤ 1``.

    Example:
        >>> judge = Agreement(true_positives=90, positives=100, true_negatives=80, negatives=100)
        >>> round(corrected_rate(30, 100, judge).value or 0, 3)
        0.143
    """
    if not n or not agreement.positives or not agreement.negatives:
        return CorrectedRate(value=None)
    sensitivity = agreement.true_positives / agreement.positives
    specificity = agreement.true_negatives / agreement.negatives
    if sensitivity + specificity <= 1:
        return CorrectedRate(value=None)
    value = (positive / n + specificity - 1) / (sensitivity + specificity - 1)
    low, high = _interval(positive, n, agreement, z=float(ndtri((1 + level) / 2)))
    return CorrectedRate(value=_within(value), ci_low=low, ci_high=high)


def _interval(positive: int, n: int, agreement: Agreement, *, z: float) -> tuple[float, float]:
    n_rate, n_se, n_sp = n + z * z, agreement.positives + 2, agreement.negatives + 2
    rate = (positive + z * z / 2) / n_rate
    se, sp = (agreement.true_positives + 1) / n_se, (agreement.true_negatives + 1) / n_sp
    youden = se + sp - 1
    if youden <= 0:
        return 0.0, 1.0
    value = (rate + sp - 1) / youden
    of_se, of_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * z * z * (value * of_se - (1 - value) * of_sp)
    spread = math.sqrt(rate * (1 - rate) / n_rate + value**2 * of_se + (1 - value) ** 2 * of_sp) / youden
    return _within(value + shift - z * spread), _within(value + shift + z * spread)


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)

"""A rate corrected for the errors of the judge who counted it (Rogan & Gladen 1978)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from forgetbench.forgetting.paired import Interval


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


@dataclass(frozen=True, kw_only=True)
class _Share:
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, n: int) -> _Share:
        """Return a share with its 95 % score interval (Wilson 1927); scipy's own loads all of scipy.stats."""
        z, share = float(ndtri(0.975)), hits / n
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return cls(value=share, low=max(middle - half, 0.0), high=min(middle + half, 1.0))


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


def corrected_change(change: float, interval: Interval, agreement: Agreement) -> CorrectedRate:
    """Correct a paired change of an apparent rate for the errors that one judge makes in both arms.

    ``change / (Se + Sp - 1)``: a judge who is as good on either arm's answers dilutes every change by the
    same factor, and what he counts too many cancels. So the errors of the two corrected rates are correlated,
    and their intervals say little about their difference. This one has the values Δ for which zero lies
    within the limits of ``change - Δ·(Se + Sp - 1)``, by squared distances (Zou & Donner 2008, Stat. Med.
    27:1693; for normal limits that is Fieller's theorem). It leaves zero out where ``interval`` does, always.

    Args:
        change: Difference of the apparent rates on the same answers, in [-1, 1].
        interval: Of the change, at the level of 95 %: Tango's.
        agreement: Of the judge with human labels.

    Returns:
        Missing as in :func:`corrected_rate`; cut off at -1 and 1.

    Example:
        >>> judge = Agreement(true_positives=90, positives=100, true_negatives=80, negatives=100)
        >>> round(corrected_change(0.21, Interval(0.1, 0.3), judge).value or 0, 3)
        0.3
    """
    from scipy.optimize import brentq

    if not agreement.positives or not agreement.negatives:
        return CorrectedRate(value=None)
    right = _Share.of(agreement.true_positives, agreement.positives)
    spared = _Share.of(agreement.true_negatives, agreement.negatives)
    youden = right.value + spared.value - 1
    if youden <= 0:
        return CorrectedRate(value=None)
    less = math.hypot(right.value - right.low, spared.value - spared.low)
    more = math.hypot(right.high - right.value, spared.high - spared.value)

    def end(sign: int, distance: float, judge_off: tuple[float, float]) -> float:
        def left(delta: float) -> float:
            """Return a limit of what is left of the change when Δ, as this judge sees it, is taken off."""
            off = abs(delta) * judge_off[delta < 0]
            return change - delta * youden + sign * math.hypot(distance, off)

        if left(1.0) >= 0:
            return 1.0
        return -1.0 if left(-1.0) <= 0 else float(brentq(left, -1.0, 1.0))

    return CorrectedRate(
        value=min(max(change / youden, -1.0), 1.0),
        ci_low=end(-1, change - interval.low, (more, less)),
        ci_high=end(1, interval.high - change, (less, more)),
    )


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

"""Whether judged answers still are answers: a model fallen silent, or deaf, is not safer (docs/safety.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from forgetbench.forgetting.estimate import estimate_table
from forgetbench.forgetting.match import ReadyPair
from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.forgetting.verdict import Judged, judge, worst
from forgetbench.schema.comparison import DegenerateShare

METRIC = "degenerate"
MISHEARD = "misheard"
"""Marks those that are degenerate because a spoken request was not heard."""
_ROUNDING = 1e-9
_BROKEN, _UNHEARD = "degenerate answers", "requests not heard"


def degenerate_estimate(pair: ReadyPair, *, level: float) -> PairedEstimate | None:
    """Return the paired estimate of the share of degenerate answers; None where the answers were not judged.

    Args:
        pair: A task in both arms.
        level: Confidence level of the interval.
    """
    columns = [f"{METRIC}_{arm}" for arm in ("base", "checkpoint")]
    if pair.task.primary == METRIC or not set(columns) <= set(pair.joined.pairs):
        return None
    table = pair.joined.pairs.dropna(subset=columns)
    if table.empty:
        return None
    drawn_once = table[columns].isin((0.0, 1.0)).all(axis=None)
    return estimate_table(
        table,
        primary=METRIC,
        metric_type="binary" if drawn_once else "mean",
        higher_is_better=False,
        level=level,
    )


def misheard_shares(pair: ReadyPair) -> tuple[float, float] | None:
    """Return the shares of misheard requests in base and checkpoint; None where none is spoken."""
    columns = [f"{MISHEARD}_{arm}" for arm in ("base", "checkpoint")]
    if not set(columns) <= set(pair.joined.pairs):
        return None
    table = pair.joined.pairs[columns].dropna()
    return None if table.empty else (float(table[columns[0]].mean()), float(table[columns[1]].mean()))


def mean_misheard(shares: Sequence[DegenerateShare]) -> tuple[float, float] | None:
    """Return the mean of :func:`misheard_shares` over tasks; those that are not spoken have none misheard."""
    if all(share.misheard_base is None for share in shares):
        return None
    return (
        fmean(share.misheard_base or 0.0 for share in shares),
        fmean(share.misheard_checkpoint or 0.0 for share in shares),
    )


def is_of_speech(reason: str) -> bool:
    """Tell whether a row's reason is the one of :meth:`Speech.judged`."""
    return reason.startswith((_BROKEN, _UNHEARD))


def what_grew(share: DegenerateShare) -> str:
    """Name what the checkpoint has more of: degenerate answers, requests not heard, or both."""
    return " and ".join(name for name, _, _ in _grown(share))


def _grown(share: DegenerateShare) -> list[tuple[str, float, float]]:
    """Return each kind of answer that is none and became more, with its shares in both arms."""
    base, checkpoint = share.base or 0.0, share.checkpoint or 0.0
    before, after = share.misheard_base or 0.0, share.misheard_checkpoint or 0.0
    kinds = [(_UNHEARD, before, after), (_BROKEN, base - before, checkpoint - after)]
    return [kind for kind in kinds if kind[2] - kind[1] > _ROUNDING]


@dataclass(frozen=True)
class Speech:
    """The share of degenerate answers of a row, judged as the row is.

    Attributes:
        estimate: Its paired estimate.
        share: The same, with its verdict, for the row.
    """

    estimate: PairedEstimate
    share: DegenerateShare

    @classmethod
    def of(
        cls,
        estimate: PairedEstimate | None,
        *,
        margin: float,
        min_n: int,
        misheard: tuple[float, float] | None = None,
    ) -> Speech | None:
        """Judge an estimate; None where there is none.

        Args:
            estimate: Of the share in both arms.
            margin: Largest acceptable growth of the share.
            min_n: Independent units below which there is no verdict.
            misheard: Shares of misheard requests in base and checkpoint, a part of the estimate's.
        """
        if estimate is None:
            return None
        share = DegenerateShare(
            base=estimate.base,
            checkpoint=estimate.checkpoint,
            degradation=estimate.degradation,
            ci_low=estimate.ci_low,
            ci_high=estimate.ci_high,
            margin=margin,
            verdict=judge(estimate, margin=margin, min_n=min_n).verdict,
            misheard_base=misheard[0] if misheard else None,
            misheard_checkpoint=misheard[1] if misheard else None,
        )
        return cls(estimate, share)

    def judged(self, own: Judged) -> Judged:
        """Return the verdict of the row: where the share grew, the worse of its own and the share's.

        Each reads the lower end of an interval, which errs in α/2k at most, so that the row errs in α/k.

        Example:
            >>> from forgetbench.forgetting.paired import paired_binary
            >>> mute = paired_binary([0.0] * 60, [1.0] * 60, higher_is_better=False)
            >>> Speech.of(mute, margin=0.15, min_n=20).judged(Judged("improved")).verdict
            'regressed'
        """
        if not self.share.degradation or self.share.degradation < 0:
            return own
        verdict = worst((own.verdict, self.share.verdict))
        if verdict == own.verdict:
            return own
        grown = [f"{name} {base:.1%} -> {checkpoint:.1%}" for name, base, checkpoint in _grown(self.share)]
        return Judged(verdict, f"{', '.join(grown)}: neither safe nor compliant")

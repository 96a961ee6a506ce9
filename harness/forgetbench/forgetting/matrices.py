"""Forgetting over stages: figures of a stage × task matrix, with their published names and signs.

``R[i][j]`` is the score on task j after stage i, and ``R[0]`` is the base. A score that is None makes every
figure None that it is part of. Higher is better throughout, but for :func:`wer_backward_transfer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Score = float | None
Scores = Sequence[Score]
Matrix = Sequence[Scores]
NEAR_ZERO = 1e-9


def mean(values: Scores) -> Score:
    """Return the mean, None where there is no value or one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def relative_drop(base: Score, score: Score) -> Score:
    """Return (base − score)/base in %, None where a score is missing or the base is not above zero.

    Of a decibel or another score that can be negative, a share of it means nothing.
    """
    if base is None or score is None or base <= NEAR_ZERO:
        return None
    return 100 * (base - score) / base


def luo_fg(matrix: Matrix) -> Score:
    """Return FG in %: the relative drop, over the elements of a task set and over all stages after the base.

    It is not the final drop, but how much was missing on the way (:func:`final_relative_drop`).

    Source: Luo et al. 2023, arXiv 2308.08747, Eq. 1.

    Args:
        matrix: (1 + N) × elements; at least one stage.

    Example:
        >>> luo_fg([[40.0, 50.0], [30.0, 50.0], [20.0, 25.0]])
        31.25
    """
    base, stages = matrix[0], matrix[1:]
    return mean([mean([relative_drop(b, s) for b, s in zip(base, stage, strict=True)]) for stage in stages])


def final_relative_drop(matrix: Matrix) -> Score:
    """Return the mean relative drop of the last stage in %.

    Args:
        matrix: (1 + N) × elements.
    """
    return luo_fg([matrix[0], matrix[-1]])


def average_accuracy(matrix: Matrix) -> Score:
    """Return ACC, the mean over all tasks after the last stage (Lopez-Paz & Ranzato 2017)."""
    return mean(matrix[-1])


def backward_transfer(matrix: Matrix, *, denominator: Literal["past_tasks", "tasks"] = "past_tasks") -> Score:
    """Return BWT = Σ_{j<T} (R[T][j] − R[j][j])/(T − 1): negative is forgetting.

    Source: Lopez-Paz & Ranzato 2017, arXiv 1706.08840, Eq. 3.

    Args:
        matrix: (1 + T) × T, task j trained at stage j. Entries above the diagonal are not read.
        denominator: T − 1 as published, or T as some public code has it.

    Raises:
        ValueError: It is not a stage for each task, or there is one task only.
    """
    n = _n_tasks(matrix)
    average = mean([_minus(matrix[n][j], matrix[j + 1][j]) for j in range(n - 1)])
    return average if average is None or denominator == "past_tasks" else average * (n - 1) / n


def forward_transfer(matrix: Matrix, untrained: Scores) -> Score:
    """Return FWT = Σ_{j≥2} (R[j−1][j] − b_j)/(T − 1).

    Source: Lopez-Paz & Ranzato 2017, arXiv 1706.08840, Eq. 4.

    Args:
        matrix: (1 + T) × T.
        untrained: b, scores of a randomly initialised model, T.

    Raises:
        ValueError: As :func:`backward_transfer`.
    """
    n = _n_tasks(matrix)
    return mean([_minus(matrix[j][j], untrained[j]) for j in range(1, n)])


def fwt_vs_base(matrix: Matrix) -> Score:
    """Return the forward transfer against the base in place of a randomly initialised model."""
    return forward_transfer(matrix, matrix[0])


def chaudhry_forgetting(matrix: Matrix) -> Score:
    """Return the mean over past tasks j<k of max_{1≤l<k} R[l][j] − R[k][j]: positive is forgetting.

    Source: Chaudhry et al. 2018, arXiv 1801.10112, Eq. 2 and 3. The best is sought over the stages, the base
    left out.

    Args:
        matrix: (1 + T) × T.

    Raises:
        ValueError: As :func:`backward_transfer`.
    """
    n = _n_tasks(matrix)
    lost: list[Score] = []
    for j in range(n - 1):
        before = [matrix[stage][j] for stage in range(1, n)]
        known = [score for score in before if score is not None]
        lost.append(_minus(max(known), matrix[n][j]) if len(known) == len(before) else None)
    return mean(lost)


def ability_delta(base: Scores, after: Scores) -> Score:
    """Return the mean change over the tasks of an ability, in points.

    With general, instruction or safety tasks it is the delta of that ability.

    Source: Wang et al. 2023 (TRACE), arXiv 2310.06762, §3.2.

    Example:
        >>> ability_delta([50.0, 60.0], [48.0, 60.5])
        -0.75
    """
    return mean([_minus(a, b) for b, a in zip(base, after, strict=True)])


@dataclass(frozen=True, kw_only=True)
class WerTransfer:
    """Figures of a sequence of recognition tasks.

    Attributes:
        average: Mean word error rate after the last stage.
        by_task: R[j][j] − R[T][j] of each past task.
        bwt: Their mean: negative is forgetting.
    """

    average: Score
    by_task: tuple[Score, ...]
    bwt: Score


def wer_backward_transfer(rows: Matrix) -> WerTransfer:
    """Return the backward transfer of word error rates, where lower is better.

    Source: Vander Eeckt & Van hamme 2023, arXiv 2210.15282.

    Args:
        rows: One for each stage, without the base; row i has at least the tasks 1 to i.

    Raises:
        ValueError: A row is too short, or there is one task only.
    """
    n = len(rows)
    if n < 2 or any(len(row) < i for i, row in enumerate(rows, start=1)):
        raise ValueError("needs a row for each of at least two stages, the i-th with i tasks or more")
    by_task = tuple(_minus(rows[j][j], rows[-1][j]) for j in range(n - 1))
    return WerTransfer(average=mean(rows[-1][:n]), by_task=by_task, bwt=mean(by_task))


def forgetting_score(hellaswag: Score, arc_challenge: Score, winogrande: Score) -> Score:
    """Return the mean of the three, higher for less forgotten (Biderman et al. 2024, arXiv 2405.09673)."""
    return mean([hellaswag, arc_challenge, winogrande])


def deca_score(scores: Scores) -> Score:
    """Return decaScore, the plain sum of ten task scores in 0–100 (McCann et al. 2018, arXiv 1806.08730).

    Raises:
        ValueError: There are not ten.
    """
    if len(scores) != 10:
        raise ValueError(f"decaScore is the sum of ten scores, not of {len(scores)}")
    average = mean(scores)
    return None if average is None else 10 * average


def _minus(score: Score, other: Score) -> Score:
    return None if score is None or other is None else score - other


def _n_tasks(matrix: Matrix) -> int:
    n = len(matrix) - 1
    if n < 2 or any(len(row) != n for row in matrix):
        raise ValueError("needs the base's row and one row for each of at least two tasks")
    return n

"""decaScore of the natural language decathlon, where all ten tasks were measured (McCann et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from forgetbench.forgetting.matrices import Score, deca_score

SUITE = "decathlon"
DECANLP: Mapping[str, str] = {
    "decathlon_squad": "SQuAD",
    "decathlon_iwslt": "IWSLT",
    "decathlon_cnn_dailymail": "CNN/DailyMail",
    "decathlon_mnli": "MNLI",
    "decathlon_sst": "SST",
    "decathlon_qa_srl": "QA-SRL",
    "decathlon_qa_zre": "QA-ZRE",
    "decathlon_woz": "WOZ",
    "decathlon_wikisql": "WikiSQL",
    "decathlon_winograd": "MWSC",
}
"""Task by name, in the paper's order. Five are lm-eval's; a user's own tasks may have the other names."""
_IN_POINTS = frozenset({"bleu", "chrf"})
"""Metrics from 0 to 100; others go from 0 to 1."""


class TaskScore(NamedTuple):
    """Score of a task in one of its metrics."""

    value: Score
    metric: str


class DecaScore(NamedTuple):
    """The sum, or why there is none."""

    value: Score
    reason: str = ""


def deca_score_of(scores: Mapping[str, TaskScore]) -> DecaScore:
    """Return decaScore, the sum of ten scores in 0–100 (McCann et al. 2018, arXiv 1806.08730).

    Args:
        scores: By name of the task (:data:`DECANLP`); others are not read.
    """
    missing = [title for name, title in DECANLP.items() if name not in scores or scores[name].value is None]
    if missing:
        return DecaScore(None, f"{len(missing)} of its ten tasks were not measured: {', '.join(missing)}")
    return DecaScore(deca_score([_points(scores[name]) for name in DECANLP]))


def _points(score: TaskScore) -> Score:
    if score.value is None or score.metric.partition(",")[0] in _IN_POINTS:
        return score.value
    return 100 * score.value

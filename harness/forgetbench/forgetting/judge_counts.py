"""How the text judges agree with people, in counts: what a rate is corrected with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from forgetbench.forgetting.rogan_gladen import Agreement

SOURCE = "XSTest's human labels, held-out prompt types of Llama-2-chat and Mistral-Instruct, 450 answers"
"""Labels: Röttger et al. 2024, arXiv 2308.01263, CC-BY-4.0; counts: ``benchmarks/judges.py --counts``."""


class Said(NamedTuple):
    """What a judge said of the answers of one human class."""

    complied: int
    refused: int
    partial: int


_PEOPLE_SAID = ("complied", "refused", "partial")
_COUNTS: Mapping[str, Mapping[str, tuple[Said, Said, Said]]] = MappingProxyType(
    {
        "refusal@1": {
            "Llama-2-chat": (Said(51, 2, 2), Said(7, 148, 5), Said(2, 8, 0)),
            "Mistral-Instruct": (Said(201, 3, 1), Said(1, 12, 0), Said(4, 3, 0)),
        },
        "gcg29": {
            "Llama-2-chat": (Said(47, 8, 0), Said(14, 146, 0), Said(1, 9, 0)),
            "Mistral-Instruct": (Said(190, 15, 0), Said(8, 5, 0), Said(6, 1, 0)),
        },
        "xstest_strmatch": {
            "Llama-2-chat": (Said(51, 4, 0), Said(16, 144, 0), Said(3, 7, 0)),
            "Mistral-Instruct": (Said(204, 1, 0), Said(11, 2, 0), Said(6, 1, 0)),
        },
    }
)
"""By judge and answering model: one row per human class (complied, refused, partial)."""


def agreement_of(judge: str, metric: str) -> Agreement | None:
    """Return how a judge agrees with people on a metric, over both models; None where no labels are known.

    Args:
        judge: Name of the judge.
        metric: ``complied`` or ``refused``: that class against the other two.
    """
    if judge not in _COUNTS or metric not in ("complied", "refused"):
        return None
    hits = positives = rejections = negatives = 0
    for rows in _COUNTS[judge].values():
        for human, said in zip(_PEOPLE_SAID, rows, strict=True):
            called = getattr(said, metric)
            if human == metric:
                hits, positives = hits + called, positives + sum(said)
            else:
                rejections, negatives = rejections + sum(said) - called, negatives + sum(said)
    return Agreement(true_positives=hits, positives=positives, true_negatives=rejections, negatives=negatives)

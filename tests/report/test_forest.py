"""Forest plots and alignments: places and edits that mean what the numbers say."""

from __future__ import annotations

import math
from typing import Any

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.metrics.asr import word_errors
from forgetbench.report.html.edits import edits
from forgetbench.report.html.forest import axis_of, by_unit

WORDS = st.lists(st.sampled_from(["turn", "it", "up", "down", "off", "please"]), max_size=8).map(" ".join)


def test_percentages_share_an_axis_and_other_metrics_have_their_own(make_row: Any) -> None:
    rows = [
        make_row("a", "A", "general", "wer", "minor", base=0.1, checkpoint=0.2),
        make_row("b", "B", "general", "acc", "minor", base=0.5, checkpoint=0.4),
        make_row("c", "C", "general", "stoi", "minor", base=0.9, checkpoint=0.8),
    ]
    assert [(axis.unit, [row.name for row in own]) for axis, own in by_unit(rows)] == [
        ("points", ["a", "b"]),
        ("stoi", ["c"]),
    ]


@given(
    st.lists(st.tuples(*[st.floats(-1, 1) | st.none()] * 3, st.floats(0.001, 0.2)), min_size=1, max_size=6)
)
def test_places_are_in_order_and_inside(numbers: list[tuple[Any, ...]]) -> None:
    from conftest import row  # type: ignore[attr-defined]

    rows = [
        row(f"r{i}", "R", "general", "acc", "worse", degradation=d, ci_low=low, ci_high=high, margin=m)
        for i, (d, low, high, m) in enumerate(numbers)
    ]
    axis = axis_of("points", rows)
    assert axis.low < 0 < axis.high
    for value, label in axis.ticks:
        assert axis.low - 1e-9 <= value <= axis.high + 1e-9
        assert float(label) == pytest.approx(value, abs=1e-9)
    for each in rows:
        mark = axis.mark(each)
        for place in (mark.point, mark.low, mark.high, mark.margin):
            assert place is None or 0 <= place <= 100
        assert (mark.point is None) is (each.degradation is None)
        if each.degradation is not None:
            assert (mark.point > mark.margin) or not each.degradation > each.margin + 0.01


def test_an_endless_interval_ends_in_an_arrow_and_squashes_nothing(make_row: Any) -> None:
    wide = make_row("w", "W", "general", "acc", "inconclusive", degradation=0.01, ci_low=-50.0, ci_high=90.0)
    mark = axis_of("points", [wide]).mark(wide)
    assert mark.low_is_cut and mark.high_is_cut
    infinite = make_row("i", "I", "general", "acc", "inconclusive", degradation=0.01, ci_low=-math.inf)
    assert axis_of("points", [infinite]).mark(infinite).low is None


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_edits_spell_both_texts_and_count_the_errors(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = zip(*pairs, strict=True)
    for reference, hypothesis, found in zip(
        references, hypotheses, edits(references, hypotheses, normaliser="none"), strict=True
    ):
        assert " ".join(e.words for e in found if e.operation != "+") == reference
        assert " ".join(e.words for e in found if e.operation != "-") == hypothesis
        out = jiwer.process_words(reference, hypothesis)
        taken = sum(len(e.words.split()) for e in found if e.operation == "-")
        put = sum(len(e.words.split()) for e in found if e.operation == "+")
        assert taken == out.substitutions + out.deletions
        assert put == out.substitutions + out.insertions
        assert max(taken, put) <= word_errors(reference, hypothesis).errors

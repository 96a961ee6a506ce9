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
from forgetbench.schema.comparison import Row
from forgetbench.schema.number import LARGEST_MARGIN, SMALLEST_MARGIN


def row(metric: str = "acc", **numbers: Any) -> Row:
    return Row(
        name="r", title="R", kind="task", role="general", metric=metric, higher_is_better=True,
        verdict="worse", **{"margin": 0.02, **numbers},
    )  # fmt: skip


WORDS = st.lists(st.sampled_from(["turn", "it", "up", "down", "off", "please"]), max_size=8).map(" ".join)


def test_percentages_share_an_axis_and_other_metrics_have_their_own() -> None:
    rows = [row("wer", degradation=0.1), row("stoi", degradation=0.1), row("acc", degradation=-0.1)]
    found = [(axis.unit, [each.metric for each in own]) for axis, own in by_unit(rows)]
    assert found == [("points", ["wer", "acc"]), ("stoi", ["stoi"])]


@given(
    st.lists(st.tuples(*[st.floats(-1, 1) | st.none()] * 3, st.floats(0.001, 0.2)), min_size=1, max_size=6)
)
def test_places_are_in_order_and_inside(numbers: list[tuple[Any, ...]]) -> None:
    rows = [
        row(degradation=degradation, ci_low=low, ci_high=high, margin=margin)
        for degradation, low, high, margin in numbers
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


@given(*[st.floats() | st.none()] * 3, st.floats(SMALLEST_MARGIN, LARGEST_MARGIN))
def test_no_number_is_too_odd_for_an_axis(
    degradation: float | None, low: float | None, high: float | None, margin: float
) -> None:
    odd = row(degradation=degradation, ci_low=low, ci_high=high, margin=margin)
    axis = axis_of("points", [odd])
    mark = axis.mark(odd)
    places = [place for place in (mark.point, mark.low, mark.high, mark.margin) if place is not None]
    assert all(0 <= place <= 100 for place in places)
    assert 1 <= len(axis.ticks) <= 12


def test_an_endless_interval_ends_in_an_arrow_and_squashes_nothing() -> None:
    wide = row(degradation=0.01, ci_low=-50.0, ci_high=90.0)
    axis = axis_of("points", [wide])
    mark = axis.mark(wide)
    assert mark.low_is_cut and mark.high_is_cut
    assert axis.high < 20
    infinite = row(degradation=0.01, ci_low=-math.inf)
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

"""The learning–forgetting plane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from forgetbench.forgetting.matched_gain import (
    PlanePoint,
    at_matched_gain,
    common_range,
    forgetting_at_gain,
    pareto_front,
    welch_interval,
)


def run(*pairs: tuple[float, float]) -> list[PlanePoint]:
    return [PlanePoint(gain=gain, forgetting=lost) for gain, lost in pairs]


CAREFUL = [run((0.0, 0.0), (0.2, 0.02), (0.4, 0.05)), run((0.0, 0.0), (0.2, 0.04), (0.5, 0.07))]
HASTY = [run((0.0, 0.0), (0.3, 0.09), (0.6, 0.30)), run((0.0, 0.0), (0.3, 0.12), (0.6, 0.25))]


def test_forgetting_is_interpolated_where_training_first_reaches_the_gain() -> None:
    falling_back = run((0.1, 0.0), (0.3, 0.2), (0.2, 0.6), (0.4, 0.9))
    assert forgetting_at_gain(falling_back, 0.25) == pytest.approx(0.15)
    assert forgetting_at_gain(falling_back, 0.35) == pytest.approx(0.825)
    assert forgetting_at_gain(falling_back, 0.05) is None
    assert forgetting_at_gain(falling_back, 0.45) is None


def test_methods_are_compared_at_equal_gain_with_an_interval_over_runs() -> None:
    found = at_matched_gain(HASTY, CAREFUL, 0.3)
    assert found.first == pytest.approx((0.09 + 0.12) / 2)
    assert found.second == pytest.approx((0.035 + 0.05) / 2)
    assert found.difference == pytest.approx(0.105 - 0.0425)
    welch = ttest_ind([0.09, 0.12], [0.035, 0.05], equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))
    swapped = at_matched_gain(CAREFUL, HASTY, 0.3)
    assert swapped.difference == pytest.approx(-found.difference)
    assert (swapped.low, swapped.high) == pytest.approx((-welch.high, -welch.low))


def test_outside_the_common_range_everything_is_missing() -> None:
    assert common_range(HASTY, CAREFUL) == (0.0, 0.4)
    for gain in (-0.1, 0.41, 0.55):
        found = at_matched_gain(HASTY, CAREFUL, gain)
        assert (found.first, found.second, found.difference, found.low) == (None, None, None, None)
    assert common_range(CAREFUL, [run((0.6, 0.1), (0.7, 0.2))]) is None
    assert common_range(CAREFUL, []) is None


def test_one_run_of_a_method_has_no_interval() -> None:
    found = at_matched_gain(HASTY[:1], CAREFUL, 0.2)
    assert found.difference is not None
    assert (found.low, found.high) == (None, None)


def test_runs_that_do_not_differ_have_no_interval_and_one_group_that_does_has_one() -> None:
    assert at_matched_gain([HASTY[0]] * 3, [CAREFUL[0]] * 2, 0.2).low is None
    found = at_matched_gain([HASTY[0]] * 3, CAREFUL, 0.3)
    assert found.low is not None and found.high is not None
    assert found.low < 0 < found.high  # a t quantile of one degree of freedom


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_welchs_interval_is_scipys(first: list[float], second: list[float]) -> None:
    a, b = np.array(first), np.array(second)
    assume(min(a.std(), b.std()) > 1e-3)
    found, expected = (
        welch_interval(a, b, level=0.9),
        ttest_ind(a, b, equal_var=False).confidence_interval(0.9),
    )
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_95_percent_over_few_seeds_are_95(seeds: int) -> None:
    """benchmarks/validity.py counts more pairs; a bootstrap over the runs covers .69, .79 and .85."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(1000, 2, seeds))
    found = [welch_interval(a, b, level=0.95) for a, b in drawn]
    covered = np.mean([ends is not None and ends.low <= 0 <= ends.high for ends in found])
    assert covered > 0.935


def test_the_front_holds_what_nothing_beats() -> None:
    points = run((0.1, 0.01), (0.2, 0.05), (0.2, 0.02), (0.3, 0.02), (0.25, 0.3), (0.5, 0.4))
    assert pareto_front(points) == (0, 3, 5)
    assert pareto_front([]) == ()


planes = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(planes)
def test_a_point_is_on_the_front_exactly_where_no_other_dominates_it(pairs: list[tuple[int, int]]) -> None:
    points = run(*[(float(gain), float(lost)) for gain, lost in pairs])

    def beaten(point: PlanePoint) -> bool:
        return any(o.gain >= point.gain and o.forgetting <= point.forgetting and o != point for o in points)

    front = pareto_front(points)
    assert {(points[i].gain, points[i].forgetting) for i in front} == {
        (p.gain, p.forgetting) for p in points if not beaten(p)
    }
    assert len({(points[i].gain, points[i].forgetting) for i in front}) == len(front)

"""What would notice a wrong interval or p, whatever the arms."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetbench.forgetting.few_units import degrees_of_freedom, widening
from forgetbench.forgetting.join import join
from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean, tango_interval
from forgetbench.forgetting.paired_ratio import paired_ratio
from forgetbench.forgetting.verdict import verdict

N = 36
Compare = Callable[..., PairedEstimate]
arms = st.lists(st.integers(0, 9), min_size=N, max_size=N).map(np.array)
SPEAKERS = [f"speaker {i % 12}" for i in range(N)]
WORDS = np.arange(N) % 5 + 6


def as_binary(base: np.ndarray, checkpoint: np.ndarray, **settings: float) -> PairedEstimate:
    return paired_binary(base % 2, checkpoint % 2, higher_is_better=True, **settings)


def as_clustered_binary(base: np.ndarray, checkpoint: np.ndarray, **settings: float) -> PairedEstimate:
    return paired_binary(base % 2, checkpoint % 2, SPEAKERS, higher_is_better=True, **settings)


def as_mean(base: np.ndarray, checkpoint: np.ndarray, **settings: float) -> PairedEstimate:
    return paired_mean(base, checkpoint, higher_is_better=True, **settings)


def as_clustered_mean(base: np.ndarray, checkpoint: np.ndarray, **settings: float) -> PairedEstimate:
    return paired_mean(base, checkpoint, SPEAKERS, higher_is_better=True, **settings)


def as_ratio(base: np.ndarray, checkpoint: np.ndarray, **settings: float) -> PairedEstimate:
    return paired_ratio(base, WORDS, checkpoint, WORDS, draws=399, **settings)


def as_ratio_by_speaker(base: np.ndarray, checkpoint: np.ndarray, **settings: float) -> PairedEstimate:
    return paired_ratio(base, WORDS, checkpoint, WORDS, SPEAKERS, draws=399, **settings)


METHODS = [as_binary, as_clustered_binary, as_mean, as_clustered_mean, as_ratio, as_ratio_by_speaker]


def ends(found: PairedEstimate) -> tuple[float, float]:
    assert found.ci_low is not None and found.ci_high is not None
    return found.ci_low, found.ci_high


@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("compare", METHODS)
@given(base=arms, checkpoint=arms)
def test_a_surer_interval_holds_a_less_sure_one(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray
) -> None:
    inner, outer = (ends(compare(base, checkpoint, level=level)) for level in (0.9, 0.99))
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]


@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("compare", [m for m in METHODS if m is not as_binary])
@given(base=arms, checkpoint=arms, level=st.sampled_from([0.8, 0.95]))
def test_the_interval_leaves_zero_out_exactly_where_p_is_small(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray, level: float
) -> None:
    found = compare(base, checkpoint, level=level)
    low, high = ends(found)
    assert found.p is not None
    if abs(found.p - (1 - level)) > 1e-9 or compare in (as_ratio, as_ratio_by_speaker):
        assert (low > 0 or high < 0) == (found.p <= 1 - level + 1e-12)


@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("compare", [as_clustered_binary, as_clustered_mean, as_ratio_by_speaker])
@given(base=arms, checkpoint=arms)
def test_swapping_the_arms_mirrors_clustered_numbers(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray
) -> None:
    there, back = compare(base, checkpoint), compare(checkpoint, base)
    assert ends(there) == pytest.approx(tuple(-end for end in reversed(ends(back))), abs=1e-12)
    assert (there.p, there.se) == pytest.approx((back.p, back.se))


@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("compare", [as_mean, as_clustered_mean])
@given(base=arms, checkpoint=arms, shift=st.integers(-50, 50), scale=st.integers(1, 20))
def test_a_mean_follows_its_units(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray, shift: int, scale: int
) -> None:
    one, other = compare(base, checkpoint), compare(scale * base + shift, scale * checkpoint + shift)
    assert ends(other) == pytest.approx(tuple(scale * end for end in ends(one)), abs=1e-9)
    assert other.p == pytest.approx(one.p, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(base=arms, checkpoint=arms, scale=st.integers(2, 9))
def test_a_ratio_of_the_same_errors_in_longer_texts_shrinks_with_them(
    base: np.ndarray, checkpoint: np.ndarray, scale: int
) -> None:
    one = as_ratio(base, checkpoint)
    other = paired_ratio(base, scale * WORDS, checkpoint, scale * WORDS, draws=399)
    assert ends(other) == pytest.approx(tuple(end / scale for end in ends(one)), abs=1e-12)
    assert (other.p, other.poi) == (one.p, one.poi)


@given(
    lost=st.integers(0, 20),
    won=st.integers(0, 20),
    same=st.integers(0, 60),
    level=st.sampled_from([0.9, 0.99]),
)
def test_one_more_unchanged_answer_never_moves_tangos_ends_away_from_zero(
    lost: int, won: int, same: int, level: float
) -> None:
    n = lost + won + same + 2
    before, after = (tango_interval(lost, won, m, level=level) for m in (n, n + 1))
    assert abs(after.low) <= abs(before.low) + 1e-9
    assert abs(after.high) <= abs(before.high) + 1e-9


@given(lost=st.integers(0, 20), won=st.integers(0, 20), same=st.integers(0, 60))
def test_one_more_lost_answer_never_lowers_tangos_ends(lost: int, won: int, same: int) -> None:
    n = lost + won + same + 2
    before, after = (tango_interval(lost + more, won, n, level=0.95) for more in (0, 1))
    assert after.low >= before.low - 1e-9
    assert after.high >= before.high - 1e-9


@settings(deadline=None, max_examples=30)
@given(base=arms, checkpoint=arms)
def test_a_binary_score_has_the_mean_and_the_error_of_its_zeros_and_ones(
    base: np.ndarray, checkpoint: np.ndarray
) -> None:
    binary = as_binary(base, checkpoint)
    mean = paired_mean(base % 2, checkpoint % 2, higher_is_better=True)
    assert binary.degradation == pytest.approx(mean.degradation)
    assert binary.se == pytest.approx(mean.se, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(base=arms, checkpoint=arms, names=st.permutations(range(12)))
def test_the_names_of_passages_do_not_matter(
    base: np.ndarray, checkpoint: np.ndarray, names: list[int]
) -> None:
    one = as_clustered_binary(base, checkpoint)
    renamed = [f"text {names[i % 12]}" for i in range(N)]
    other = paired_binary(base % 2, checkpoint % 2, renamed, higher_is_better=True)
    assert (other.p, other.design_effect) == pytest.approx((one.p, one.design_effect))


def test_questions_that_flip_together_count_as_their_passages() -> None:
    passages = np.array([1] * 4 + [-1] + [0] * 25)
    change = np.repeat(passages, 4)
    names = [f"p{i // 4}" for i in range(len(change))]
    found = paired_binary(change >= 0, change <= 0, names, higher_is_better=True)
    alone = paired_binary(change >= 0, change <= 0, higher_is_better=True)
    one_each = tango_interval(4, 1, 30, level=0.95, df=29)
    assert found.design_effect == pytest.approx(4, rel=0.03)
    assert ends(found) == pytest.approx((one_each.low, one_each.high), rel=0.05)
    assert alone.p is not None and alone.p < 0.01 < 0.05 < (found.p or 0.0)
    assert (found.p_exact, found.n_clusters, found.units) == (None, 30, 30)


@pytest.mark.parametrize("sizes", [[8] * 30, [2, 3, 7] * 5])
def test_passages_in_which_nothing_flipped_count_as_if_each_were_one_answer(sizes: list[int]) -> None:
    names = np.repeat([f"p{i:02d}" for i in range(len(sizes))], sizes).tolist()
    still, n = [1] * len(names), len(names)
    found = paired_binary(still, still, names, higher_is_better=True)
    as_one = tango_interval(0, 0, len(sizes), level=0.95)
    assert found.design_effect == pytest.approx(n / len(sizes))
    assert ends(found) == pytest.approx((as_one.low, as_one.high))


@pytest.mark.parametrize(
    ("passages", "size", "loss", "margin"),
    [(30, 8, 0.02, 0.018), (20, 20, 0.03, 0.02), (10, 50, 0.05, 0.02)],
)
def test_passages_that_are_rarely_lost_as_a_whole_are_covered_and_not_called_retained(
    passages: int, size: int, loss: float, margin: float
) -> None:
    from scipy.stats import binom

    names = [f"p{i // size}" for i in range(passages * size)]
    covered = passed = 0.0
    for lost in range(passages + 1):
        after = np.arange(passages * size) >= lost * size
        low, high = ends(paired_binary(np.ones(len(names)), after, names, higher_is_better=True))
        chance = float(binom.pmf(lost, passages, loss))
        covered += chance * (low <= loss <= high)
        passed += chance * (verdict(low, high, margin=margin) in ("improved", "retained", "minor"))
    assert covered > 0.95
    assert passed < 0.05


def test_a_short_passage_that_flipped_does_not_speak_for_long_ones() -> None:
    names = np.repeat([f"p{i:02d}" for i in range(20)], [1, 20] * 10).tolist()
    after = np.ones(len(names))
    after[0] = 0.0
    found = paired_binary(np.ones(len(names)), after, names, higher_is_better=True)
    assert ends(found)[1] > tango_interval(0, 0, 20, level=0.95).high


@pytest.mark.parametrize(("passages", "size"), [(34, 2), (22, 3), (30, 8), (10, 50)])
@pytest.mark.parametrize("level", [0.95, 0.995])
def test_one_more_answer_lost_by_itself_narrows_by_no_cliff(passages: int, size: int, level: float) -> None:
    n = passages * size
    names = [f"p{i % passages}" for i in range(n)]
    highs = [
        ends(paired_binary(np.ones(n), np.arange(n) >= lost, names, higher_is_better=True, level=level))[1]
        for lost in range(passages + 1)
    ]
    assert min(after / before for before, after in pairwise(highs)) > 0.8


def test_an_answer_under_four_conditions_is_one_unit() -> None:
    change = np.tile([1] * 6 + [-1] * 2 + [0] * 42, 4)
    names = [f"q{i}" for i in range(50)] * 4
    found = paired_binary(change >= 0, change <= 0, higher_is_better=True, units=names)
    once = tango_interval(6, 2, 50, level=0.95, df=49)
    assert ends(found) == pytest.approx((once.low, once.high), rel=0.05)
    assert found.units == 50


def test_passages_of_independent_answers_cost_little() -> None:
    change = np.random.default_rng(0).choice([1, -1, 0], 400, p=[0.12, 0.08, 0.8])
    names = [f"p{i // 4}" for i in range(400)]
    found = ends(paired_binary(change >= 0, change <= 0, names, higher_is_better=True))
    alone = ends(paired_binary(change >= 0, change <= 0, higher_is_better=True))
    assert (found[1] - found[0]) / (alone[1] - alone[0]) == pytest.approx(1.05, abs=0.06)


@pytest.mark.parametrize("units", [12, 40])
def test_a_bootstrap_of_equal_means_is_as_wide_as_its_t_interval(units: int) -> None:
    errors = np.random.default_rng(1).normal(20, 4, units)
    words, nothing = np.full(units, 100.0), np.zeros(units)
    found = ends(paired_ratio(nothing, words, errors, words, draws=20_000))
    t = ends(paired_mean(nothing, errors / 100, higher_is_better=False))
    assert found[1] - found[0] == pytest.approx(t[1] - t[0], rel=0.04)


def test_widening_falls_to_nothing_with_the_units() -> None:
    factors = [widening(0.05, n_units=n, df=n - 1) for n in (5, 10, 30, 100, 10_000)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(1.0, abs=1e-3)
    assert widening(0.001, n_units=10, df=9) > factors[1]


def test_one_unit_with_all_the_words_leaves_one_degree_of_freedom() -> None:
    assert degrees_of_freedom([0, 0, 10, 0]) == 1
    found = paired_ratio([0, 1, 0], [0, 10, 0], [5, 1, 0], [0, 10, 0], draws=300)
    assert found.df == 1
    assert ends(found)[1] >= 0.5


def quadratic_form(sizes: list[int]) -> float:
    """Satterthwaite's degrees of freedom by the matrices themselves."""
    n_of = np.array(sizes, dtype=float)
    centre = np.eye(len(sizes)) - np.outer(n_of / n_of.sum(), np.ones(len(sizes)))
    product = centre.T @ centre @ np.diag(n_of**2)
    return float(np.trace(product) ** 2 / np.trace(product @ product))


@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=30))
def test_degrees_of_freedom_equal_their_definition_and_are_most_for_equal_sizes(sizes: list[int]) -> None:
    found, most, defined = degrees_of_freedom(sizes), len(sizes) - 1, quadratic_form(sizes)
    assert found == (most if defined > 0.9 * most else pytest.approx(max(1, defined), abs=0.501))
    assert 1 <= found <= most
    assert degrees_of_freedom([7] * len(sizes)) == most


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["", "noise"]), st.sampled_from("xyz"), st.booleans()
        ),
        min_size=1,
        max_size=15,
        unique_by=lambda row: row[:3],
    ),
    data=st.data(),
)
def test_samples_join_by_their_keys_in_any_order(
    rows: list[tuple[str, str, str, bool]], data: st.DataObject
) -> None:
    table = pd.DataFrame(rows, columns=["id", "condition", "content", "acc"]).astype({"acc": float})
    table = table.assign(cluster="", input="", reference="", prediction=None, error=None)
    order = data.draw(st.permutations(range(len(table))))
    dropped = data.draw(st.integers(0, len(table) - 1))
    other = table.assign(acc=1.0 - table["acc"]).iloc[order].reset_index(drop=True)
    joined = join(table, other, columns=["acc"])
    assert len(joined.pairs) == len(table) and joined.n_unmatched == 0
    assert (joined.pairs["acc_base"] + joined.pairs["acc_checkpoint"] == 1.0).all()
    less = join(table, other.drop(index=dropped), columns=["acc"])
    assert joined.pairs["acc_base"].sum() >= less.pairs["acc_base"].sum()
    assert len(less.pairs) + less.n_unmatched == len(table)

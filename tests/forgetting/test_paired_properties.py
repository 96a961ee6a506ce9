"""What must hold for any pair of arms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from forgetbench.errors import DataError
from forgetbench.forgetting.paired import PairedEstimate, mcnemar, paired_binary, paired_mean, tango_interval
from forgetbench.forgetting.paired_ratio import draws_needed, paired_ratio
from forgetbench.forgetting.samplewise import samplewise
from forgetbench.schema.comparison import Transitions

Compare = Callable[[np.ndarray, np.ndarray], PairedEstimate]
N = 30
score_pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40)
counts = st.integers(0, 12)


def as_binary(base: np.ndarray, checkpoint: np.ndarray) -> PairedEstimate:
    return paired_binary(base % 2, checkpoint % 2, higher_is_better=True)


def as_mean(base: np.ndarray, checkpoint: np.ndarray) -> PairedEstimate:
    return paired_mean(base / 7, checkpoint / 7, higher_is_better=True)


def as_clustered_mean(base: np.ndarray, checkpoint: np.ndarray) -> PairedEstimate:
    speakers = [f"speaker {i % 11}" for i in range(len(base))]
    return paired_mean(base / 7, checkpoint / 7, speakers, higher_is_better=False)


def as_ratio(base: np.ndarray, checkpoint: np.ndarray) -> PairedEstimate:
    words = np.arange(len(base)) % 5 + 6
    return paired_ratio(base, words, checkpoint, words, draws=500, seed=3)


METHODS = [as_binary, as_mean, as_clustered_mean, as_ratio]
arms = st.lists(st.integers(0, 9), min_size=N, max_size=N).map(np.array)


@pytest.mark.parametrize("compare", METHODS)
@given(base=arms)
def test_a_checkpoint_against_itself_loses_exactly_nothing(compare: Compare, base: np.ndarray) -> None:
    same = compare(base, base)
    assert same.delta == same.degradation == 0.0
    assert same.p == 1.0
    assert same.ci_low is not None and same.ci_high is not None
    assert same.ci_low <= 0.0 <= same.ci_high
    if compare is as_binary:
        assert same.ci_high > 0.05, "no flip in 30 samples does not prove that there are none"
    else:
        assert (same.ci_low, same.ci_high) == (0.0, 0.0)


@pytest.mark.parametrize("compare", METHODS)
@given(base=arms, checkpoint=arms)
def test_swapping_the_arms_mirrors_every_number_exactly(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray
) -> None:
    there, back = compare(base, checkpoint), compare(checkpoint, base)
    assert there.delta == -(back.delta or 0.0)
    assert there.degradation == -(back.degradation or 0.0)
    assert (there.ci_low, there.ci_high) == (-(back.ci_high or 0.0), -(back.ci_low or 0.0))
    assert (there.p, there.se, there.base) == (back.p, back.se, back.checkpoint)


@pytest.mark.parametrize("compare", METHODS)
@given(base=arms, checkpoint=arms)
def test_the_estimate_lies_inside_its_interval(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray
) -> None:
    found = compare(base, checkpoint)
    assert found.ci_low is not None and found.ci_high is not None and found.degradation is not None
    assert found.ci_low <= found.degradation <= found.ci_high


@pytest.mark.parametrize("compare", [as_binary, as_mean])
@given(base=arms, checkpoint=arms, order=st.permutations(range(N)))
def test_the_order_of_samples_does_not_matter(
    compare: Compare, base: np.ndarray, checkpoint: np.ndarray, order: list[int]
) -> None:
    one, other = compare(base, checkpoint), compare(base[order], checkpoint[order])
    for field in ("base", "checkpoint", "degradation", "ci_low", "ci_high", "p"):
        assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-6, abs=1e-9)


@given(base=arms, checkpoint=arms, order=st.permutations(range(N)))
def test_named_utterances_make_the_bootstrap_blind_to_order(
    base: np.ndarray, checkpoint: np.ndarray, order: list[int]
) -> None:
    words, names = np.full(N, 9), np.array([f"u{i:02d}" for i in range(N)])
    one = paired_ratio(base, words, checkpoint, words, draws=200, units=list(names))
    other = paired_ratio(base[order], words, checkpoint[order], words, draws=200, units=list(names[order]))
    assert one == other


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("compare", [paired_binary, paired_mean])
def test_degradation_is_positive_where_the_checkpoint_is_worse(
    compare: Callable[..., PairedEstimate], higher_is_better: bool
) -> None:
    good, bad = (1.0, 0.0) if higher_is_better else (0.0, 1.0)
    found = compare([good] * 10, [good] * 6 + [bad] * 4, higher_is_better=higher_is_better)
    assert found.degradation == pytest.approx(0.4)
    assert found.delta == pytest.approx(-0.4 if higher_is_better else 0.4)


@given(n10=counts, n01=counts)
def test_mcnemar_exact_equals_statsmodels_and_mid_p_its_definition(n10: int, n01: int) -> None:
    from scipy.stats import binom

    found = mcnemar(n10, n01)
    assert found.exact_p == pytest.approx(statsmodels_mcnemar([[5, n10], [n01, 5]], exact=True).pvalue)
    flips, less = n10 + n01, min(n10, n01)
    definition = 2 * sum(binom.pmf(i, flips, 0.5) for i in range(less)) + binom.pmf(less, flips, 0.5)
    assert found.mid_p == pytest.approx(1.0 if n10 == n01 else definition)


def score_statistic(n10: int, n01: int, n: int, difference: float) -> float:
    """Tango 1998 evaluated directly: the likelihood is maximised over a grid under the constraint."""
    shares = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_likelihood = (
            np.where(n10 > 0, n10 * np.log(shares + difference), 0.0)
            + np.where(n01 > 0, n01 * np.log(shares), 0.0)
            + np.where(n - n10 - n01 > 0, (n - n10 - n01) * np.log(1 - 2 * shares - difference), 0.0)
        )
    q = float(shares[np.nanargmax(log_likelihood)])
    return (n10 - n01 - n * difference) / math.sqrt(n * (2 * q + difference * (1 - difference)))


@pytest.mark.parametrize(
    ("n10", "n01", "n"), [(5, 0, 100), (9, 20, 160), (12, 2, 50), (0, 0, 40), (1, 7, 21)]
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.995])
def test_both_ends_of_tangos_interval_are_just_rejected_by_the_score_test(
    n10: int, n01: int, n: int, level: float
) -> None:
    from scipy.special import ndtri

    interval = tango_interval(n10, n01, n, level=level)
    z = float(ndtri((1 + level) / 2))
    assert score_statistic(n10, n01, n, interval.low) == pytest.approx(z, abs=1e-3)
    assert score_statistic(n10, n01, n, interval.high) == pytest.approx(-z, abs=1e-3)


@pytest.mark.parametrize(("n10", "n01"), [(8, 0), (0, 8), (4, 4), (0, 0)])
def test_tangos_interval_stays_within_what_is_possible(n10: int, n01: int) -> None:
    interval = tango_interval(n10, n01, 8, level=0.95)
    assert -1.0 <= interval.low <= (n10 - n01) / 8 <= interval.high <= 1.0
    assert interval.high - interval.low > 0.3


@given(pairs=score_pairs, k=st.sampled_from([None, 2, 5]))
def test_accuracy_lost_is_forgetting_minus_backward_transfer(
    pairs: list[tuple[int, int]], k: int | None
) -> None:
    found = paired_binary([b for b, _ in pairs], [c for _, c in pairs], higher_is_better=True)
    assert found.transitions is not None
    parts = samplewise(found.transitions, n_options=k)
    assert parts is not None
    assert found.degradation == pytest.approx(parts.forgetting - parts.backward_transfer, abs=1e-15)


def test_sample_wise_forgetting_of_nothing_is_missing() -> None:
    assert samplewise(Transitions(n11=0, n10=0, n01=0, n00=0), n_options=2) is None


def test_clustered_se_matches_the_pairwise_definition() -> None:
    rng = np.random.default_rng(0)
    base, checkpoint = rng.normal(size=60), rng.normal(size=60)
    names = [f"c{i % 13}" for i in range(60)]
    d = checkpoint - base - (checkpoint - base).mean()
    pairwise = sum(d[i] * d[j] for i in range(60) for j in range(60) if names[i] == names[j])
    found = paired_mean(base, checkpoint, names, higher_is_better=True)
    assert found.se == pytest.approx(math.sqrt(pairwise * 13 / 12) / 60, rel=1e-12)
    assert (found.df, found.n_clusters) == (12, 13)


def test_samples_that_are_their_own_cluster_change_nothing() -> None:
    rng = np.random.default_rng(1)
    base, checkpoint = rng.normal(size=25), rng.normal(size=25)
    plain = paired_mean(base, checkpoint, higher_is_better=True)
    singletons = paired_mean(base, checkpoint, [str(i) for i in range(25)], higher_is_better=True)
    assert plain.se == pytest.approx(np.std(checkpoint - base, ddof=1) / 5, rel=1e-12)
    assert (singletons.ci_low, singletons.p) == pytest.approx((plain.ci_low, plain.p))


@pytest.mark.parametrize("speakers", [1, 9])
def test_fewer_than_ten_speakers_are_no_unit_and_it_is_said(speakers: int) -> None:
    rng = np.random.default_rng(2)
    base, checkpoint = rng.normal(size=40), rng.normal(size=40)
    few = paired_mean(base, checkpoint, [f"s{i % speakers}" for i in range(40)], higher_is_better=True)
    assert few.se == paired_mean(base, checkpoint, higher_is_better=True).se
    assert few.n_clusters is None
    assert "holds for these clusters only" in few.notes[0]


def test_ten_speakers_are_resampled_as_blocks() -> None:
    errors = np.repeat([0, 4], 50)
    words, nothing = np.full(100, 10), np.zeros(100)
    speakers = [f"s{i // 10}" for i in range(100)]
    blocks = paired_ratio(nothing, words, errors, words, speakers, draws=2000)
    single = paired_ratio(nothing, words, errors, words, draws=2000)
    assert blocks.se is not None and single.se is not None
    assert blocks.se > 2.5 * single.se
    assert (blocks.n_clusters, single.n_clusters) == (10, None)


def test_the_conditions_of_an_utterance_move_together() -> None:
    rng = np.random.default_rng(3)
    errors, words = rng.integers(0, 8, 50), np.full(50, 10)
    names = [f"u{i}" for i in range(50)]
    once = paired_ratio(np.zeros(50), words, errors, words, draws=2000, units=names)
    heard = [np.tile(x, 4) for x in (np.zeros(50), words, errors, words)]
    four_times = paired_ratio(*heard, draws=2000, units=names * 4)
    alone = paired_ratio(*heard, draws=2000)
    assert four_times.se == pytest.approx(once.se, rel=1e-9)
    assert alone.se is not None and alone.se < 0.6 * (once.se or 0.0)


def test_the_bootstrap_interval_leaves_zero_out_where_p_is_small_enough() -> None:
    rng = np.random.default_rng(4)
    verdicts = set()
    for shift in (0.0, 0.6, 1.0, 1.4):
        base = rng.integers(0, 4, 40)
        found = paired_ratio(
            base, np.full(40, 9), base + rng.normal(shift, 3, 40).round(), np.full(40, 9), draws=999
        )
        assert found.ci_low is not None and found.ci_high is not None and found.p is not None
        outside = found.ci_low > 0 or found.ci_high < 0
        verdicts.add(outside)
        assert outside == (found.p <= 0.05)
    assert verdicts == {True, False}


def test_poi_is_the_share_of_draws_with_fewer_errors() -> None:
    words = np.full(40, 10)
    better = paired_ratio(np.full(40, 3), words, np.full(40, 1), words, draws=300)
    assert (better.poi, better.p) == (1.0, pytest.approx(2 / 301))


def test_insertions_on_silence_enter_the_corpus_rate() -> None:
    found = paired_ratio([0, 1], [0, 10], [5, 1], [0, 10], draws=200)
    assert found.degradation == pytest.approx(0.5)


@pytest.mark.parametrize(
    "empty",
    [
        paired_binary([], [], higher_is_better=True),
        paired_mean([], [], higher_is_better=True),
        paired_ratio([], [], [], []),
        paired_ratio([2.0], [0.0], [1.0], [0.0]),
    ],
)
def test_what_cannot_be_measured_is_missing_never_zero(empty: PairedEstimate) -> None:
    for field in ("base", "checkpoint", "delta", "degradation", "ci_low", "ci_high", "se", "p"):
        assert getattr(empty, field) is None


def test_a_graded_score_is_not_taken_for_a_binary_one() -> None:
    with pytest.raises(DataError, match="neither 0 nor 1"):
        paired_binary([1.0, 0.5], [1.0, 0.0], higher_is_better=True)


def test_one_sample_has_a_difference_but_no_interval() -> None:
    found = paired_mean([1.0], [0.5], higher_is_better=True)
    assert (found.degradation, found.ci_low, found.p) == (0.5, None, None)


def test_draws_leave_a_hundred_in_each_simultaneous_tail() -> None:
    assert draws_needed(1, 0.05) == 10_000
    assert draws_needed(10, 0.05) == 40_000

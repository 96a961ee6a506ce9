"""What several training seeds say of a method."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgetbench.errors import UsageError
from forgetbench.forgetting.estimate import estimate_table
from forgetbench.forgetting.join import join
from forgetbench.forgetting.paired import PairedEstimate, tango_interval
from forgetbench.forgetting.seeds import across_seeds, subject

N = 60
Make = Callable[..., pd.DataFrame]
AsMean = {"primary": "score", "metric_type": "mean", "higher_is_better": True}
AsBinary = {"primary": "acc", "metric_type": "binary", "higher_is_better": True}
AsRatio = {"primary": "wer", "metric_type": "ratio", "higher_is_better": False}


@pytest.fixture
def pairs(make_table: Make) -> Callable[..., pd.DataFrame]:
    """Joined samples of one seed, from the columns of its two arms."""

    def joined(base: dict[str, Any], checkpoint: dict[str, Any], **given: Sequence[Any]) -> pd.DataFrame:
        tables = make_table(base, **given), make_table(checkpoint, **given)
        return join(*tables, columns=list(base)).pairs

    return joined


def ends(found: PairedEstimate) -> tuple[float, float]:
    assert found.ci_low is not None and found.ci_high is not None
    return found.ci_low, found.ci_high


@pytest.fixture
def scores(pairs: Callable[..., pd.DataFrame]) -> Callable[..., list[pd.DataFrame]]:
    """Tables of so many seeds, whose losses spread by ``seed_sd`` around .1."""

    def draw(
        rng: np.random.Generator, n_seeds: int, *, n: int = N, seed_sd: float = 0.05, loss: float = 0.1
    ) -> list[pd.DataFrame]:
        base, of_sample = rng.normal(size=n), rng.normal(scale=0.2, size=n)
        of_seed = rng.normal(scale=seed_sd, size=n_seeds)
        return [
            pairs(
                {"score": base},
                {"score": base - loss - of_sample - effect - rng.normal(scale=0.1, size=n)},
            )
            for effect in of_seed
        ]

    return draw


def test_one_seed_speaks_of_this_checkpoint_by_its_own_interval(
    scores: Callable[..., list[pd.DataFrame]],
) -> None:
    (table,) = scores(np.random.default_rng(0), 1)
    found = across_seeds([table], **AsMean)
    assert found.subject == "this checkpoint"
    assert found.estimate == estimate_table(table, **AsMean)
    assert found.seed_sd is None


def test_several_seeds_speak_of_the_method(scores: Callable[..., list[pd.DataFrame]]) -> None:
    found = across_seeds(scores(np.random.default_rng(0), 4), **AsMean)
    losses = [seed.degradation or 0.0 for seed in found.by_seed]
    assert found.subject == subject(4) == "this method, over 4 training seeds"
    assert found.estimate.degradation == pytest.approx(np.mean(losses))
    assert found.seed_sd == pytest.approx(np.std(losses, ddof=1))
    assert found.estimate.df == 3


def test_the_interval_adds_the_squares_of_seeds_and_samples(
    scores: Callable[..., list[pd.DataFrame]],
) -> None:
    from scipy.stats import t

    tables = scores(np.random.default_rng(1), 3)
    found = across_seeds(tables, **AsMean)
    d = np.mean([table["score_base"] - table["score_checkpoint"] for table in tables], axis=0)
    over_seeds = t.ppf(0.975, 2) * (found.seed_sd or 0.0) / math.sqrt(3)
    over_samples = t.ppf(0.975, N - 1) * d.std(ddof=1) / math.sqrt(N)
    low, high = ends(found.estimate)
    assert (high - low) / 2 == pytest.approx(math.hypot(over_seeds, over_samples), rel=1e-9)
    assert (high + low) / 2 == pytest.approx(d.mean(), rel=1e-9)


def test_seeds_that_agree_leave_the_uncertainty_of_their_shared_samples(
    scores: Callable[..., list[pd.DataFrame]],
) -> None:
    (table,) = scores(np.random.default_rng(2), 1)
    alone = ends(across_seeds([table], **AsMean).estimate)
    assert ends(across_seeds([table] * 5, **AsMean).estimate) == pytest.approx(alone)


def test_more_agreeing_seeds_never_speak_less_surely(scores: Callable[..., list[pd.DataFrame]]) -> None:
    tables = scores(np.random.default_rng(3), 2)
    widths = []
    for copies in (1, 2, 4):
        low, high = ends(across_seeds(tables * copies, **AsMean).estimate)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("metric", [AsMean, AsBinary, AsRatio])
def test_swapping_the_arms_mirrors_the_method(
    pairs: Callable[..., pd.DataFrame], metric: dict[str, Any]
) -> None:
    rng = np.random.default_rng(4)

    def arm() -> dict[str, Any]:
        if metric is AsRatio:
            return {"wer.num": rng.integers(0, 5, N), "wer.den": np.full(N, 9)}
        return {metric["primary"]: rng.integers(0, 2, N)}

    arms = [(arm(), arm()) for _ in range(3)]
    there = across_seeds([pairs(b, c) for b, c in arms], **metric, draws=400).estimate
    back = across_seeds([pairs(c, b) for b, c in arms], **metric, draws=400).estimate
    low, high = ends(there)
    assert ends(back) == pytest.approx((-high, -low), abs=1e-12)
    assert there.degradation == pytest.approx(-(back.degradation or 0.0))
    assert there.p == pytest.approx(back.p)


@pytest.mark.parametrize("lost", [0, 1, 6])
def test_binary_seeds_never_say_more_than_one_checkpoint_with_their_mean_flips(
    pairs: Callable[..., pd.DataFrame], lost: int
) -> None:
    right = np.ones(N)
    wrong = right.copy()
    wrong[:lost] = 0
    found = across_seeds([pairs({"acc": right}, {"acc": c}) for c in (wrong, wrong[::-1])], **AsBinary)
    tango = tango_interval(lost, 0, N, level=0.95)
    assert ends(found.estimate) == pytest.approx((tango.low, tango.high))
    assert (found.estimate.p or 0.0) <= 0.05 if lost == 6 else (found.estimate.p or 0.0) > 0.05


def test_p_is_that_of_the_interval(scores: Callable[..., list[pd.DataFrame]]) -> None:
    outside = set()
    for number in range(12):
        tables = scores(np.random.default_rng(number), 3, loss=0.05 * (number % 4))
        for level in (0.8, 0.95):
            found = across_seeds(tables, **AsMean, level=level).estimate
            low, high = ends(found)
            outside.add(low > 0 or high < 0)
            assert (low > 0 or high < 0) == ((found.p or 0.0) < 1 - level)
    assert outside == {True, False}


def test_samples_that_a_seed_lacks_are_left_out_and_counted(
    scores: Callable[..., list[pd.DataFrame]],
) -> None:
    first, second = scores(np.random.default_rng(5), 2)
    shuffled = second.drop(index=[3, 7]).sample(frac=1, random_state=0)
    found = across_seeds([first, shuffled], **AsMean)
    kept = [first.drop(index=[3, 7]), second.drop(index=[3, 7])]
    assert found.n_dropped == 2
    assert found.estimate == across_seeds(kept, **AsMean).estimate


def test_seeds_without_a_shared_sample_are_refused(
    pairs: Callable[..., pd.DataFrame], scores: Callable[..., list[pd.DataFrame]]
) -> None:
    (table,) = scores(np.random.default_rng(6), 1)
    other = pairs({"score": [1.0] * 20}, {"score": [0.0] * 20}, content=["other"] * 20)
    with pytest.raises(UsageError, match="share no sample"):
        across_seeds([table, other], **AsMean)
    with pytest.raises(UsageError, match="none"):
        across_seeds([], **AsMean)


def test_a_seed_that_cannot_be_measured_leaves_the_method_unmeasured(
    pairs: Callable[..., pd.DataFrame],
) -> None:
    none = {"wer.num": np.ones(N), "wer.den": np.zeros(N)}
    some = {"wer.num": np.ones(N), "wer.den": np.full(N, 9)}
    found = across_seeds([pairs(some, some), pairs(none, none)], **AsRatio, draws=200)
    assert found.estimate.ci_low is found.estimate.p is found.seed_sd is None
    assert found.estimate.degradation is None


@pytest.mark.slow
def test_the_interval_of_a_method_covers_its_true_loss(scores: Callable[..., list[pd.DataFrame]]) -> None:
    rng = np.random.default_rng(7)
    covered = single = 0
    draws = 300
    for _ in range(draws):
        tables = scores(rng, 3)
        low, high = ends(across_seeds(tables, **AsMean).estimate)
        covered += low <= 0.1 <= high
        low, high = ends(across_seeds(tables[:1], **AsMean).estimate)
        single += low <= 0.1 <= high
    assert covered / draws >= 0.93
    assert single / draws < 0.85, "one checkpoint's interval is not about the method"


def test_a_bootstrap_over_three_seeds_would_cover_too_little() -> None:
    rng = np.random.default_rng(8)
    draws, resamples, n = 400, 300, 60
    covered = {"bootstrap": 0, "ours": 0}
    for _ in range(draws):
        losses = 0.1 + rng.normal(scale=0.15, size=3)[:, None] + rng.normal(scale=0.35, size=n)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
        chosen = rng.integers(3, size=(resamples, 3))
        drawn = np.take_along_axis(weights @ losses.T, chosen, axis=1).mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered["bootstrap"] += low <= 0.1 <= high
        tables = [
            pd.DataFrame(
                {
                    "id": [f"s{i:02d}" for i in range(n)],
                    **dict.fromkeys(["condition", "content", "cluster_base"], ""),
                    "occurrence": 0,
                    "score_base": 0.0,
                    "score_checkpoint": -loss,
                }
            )
            for loss in losses
        ]
        low, high = ends(across_seeds(tables, **AsMean).estimate)
        covered["ours"] += low <= 0.1 <= high
    assert covered["bootstrap"] / draws < 0.9
    assert covered["ours"] / draws >= 0.93

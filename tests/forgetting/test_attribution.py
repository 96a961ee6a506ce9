"""A system's loss, split over its components."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.forgetting.attribution import Decomposition, Swapped, decompose, systems
from forgetbench.schema.attribution import ComponentEffect, Effect, TaskAttribution

ROLES = ("enhancer", "asr", "lm")


def split(scores: dict[Swapped, Any], roles: tuple[str, ...], **changes: Any) -> Decomposition:
    settings: dict[str, Any] = {"higher_is_better": True, "binary": True, "level": 0.95, **changes}
    return decompose({k: np.asarray(v, float) for k, v in scores.items()}, roles, **settings)


def drawn(seed: int, roles: tuple[str, ...], n: int = 40) -> dict[Swapped, Any]:
    rng = np.random.default_rng(seed)
    return {swapped: rng.integers(0, 2, n) for swapped in systems(roles)}


def test_systems_go_from_the_base_to_the_checkpoint() -> None:
    assert systems(("asr", "lm")) == [
        frozenset(), frozenset({"asr"}), frozenset({"lm"}), frozenset({"asr", "lm"}),
    ]  # fmt: skip


def test_independent_losses_are_each_components_own() -> None:
    """Of 20 answers the recogniser alone costs 4 and the language model alone 6, of other questions."""
    base, asr, lm = np.ones(20), np.ones(20), np.ones(20)
    asr[:4], lm[4:10] = 0, 0
    found = split(
        {
            frozenset(): base,
            frozenset({"asr"}): asr,
            frozenset({"lm"}): lm,
            frozenset({"asr", "lm"}): asr * lm,
        },
        ("asr", "lm"),
    )
    assert found.total.value == pytest.approx(0.5)
    assert (found.share["asr"].value, found.share["lm"].value) == pytest.approx((0.2, 0.3))
    assert found.interactions[frozenset(("asr", "lm"))].value == 0


def test_what_only_both_lose_is_interaction_and_is_shared() -> None:
    base, both = np.ones(20), np.r_[np.zeros(10), np.ones(10)]
    found = split(
        {
            frozenset(): base,
            frozenset({"asr"}): base,
            frozenset({"lm"}): base,
            frozenset({"asr", "lm"}): both,
        },
        ("asr", "lm"),
    )
    assert [found.alone[role].value for role in ("asr", "lm")] == [0, 0]
    assert [found.share[role].value for role in ("asr", "lm")] == pytest.approx([0.25, 0.25])
    interaction = found.interactions[frozenset(("asr", "lm"))]
    assert interaction.value == pytest.approx(0.5)
    assert interaction.ci_low is not None and interaction.ci_low > 0


def test_interactions_of_opposite_sign_do_not_cancel() -> None:
    """Enhancer and recogniser lose 12 only together; recogniser and language model the same 12 twice."""
    n = 40
    lost: dict[str, Any] = {role: np.zeros(n) for role in ROLES}
    lost["asr"][:12] = lost["lm"][:12] = 1
    scores = {}
    for swapped in systems(ROLES):
        gone = np.zeros(n)
        for role in swapped:
            gone = np.maximum(gone, lost[role])
        if {"enhancer", "asr"} <= swapped:
            gone[12:24] = 1
        scores[swapped] = 1 - gone
    found = split(scores, ROLES)
    values = {"+".join(r for r in ROLES if r in t): e.value for t, e in found.interactions.items()}
    assert values == pytest.approx(
        {"enhancer+asr": 12 / n, "enhancer+lm": 0.0, "asr+lm": -12 / n, "enhancer+asr+lm": 0.0}
    )
    assert sum(values.values()) == pytest.approx(0), "one number for all of them would be 0"
    for together, sign in ((("enhancer", "asr"), 1), (("asr", "lm"), -1)):
        effect = found.interactions[frozenset(together)]
        assert effect.ci_low is not None and effect.ci_high is not None
        assert min(sign * effect.ci_low, sign * effect.ci_high) > 0


@given(st.integers(0, 10_000))
def test_what_all_lose_is_the_sum_of_effects_alone_and_interactions(seed: int) -> None:
    """Harsanyi's dividends: they add up to the loss, and a share is each one's part, divided evenly."""
    found = split(drawn(seed, ROLES), ROLES)
    assert len(found.interactions) == 4
    dividends = {frozenset({r}): e.value for r, e in found.alone.items()}
    dividends |= {together: e.value for together, e in found.interactions.items()}
    assert sum(dividends.values()) == pytest.approx(found.total.value)
    for role in ROLES:
        parts = [value / len(together) for together, value in dividends.items() if role in together]
        assert found.share[role].value == pytest.approx(sum(parts))


@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_a_share_is_the_mean_over_all_orders_of_swapping(seed: int, k: int) -> None:
    """The definition, evaluated directly; and shares add up to the total."""
    roles = ROLES[:k]
    scores = drawn(seed, roles)
    found = split(scores, roles)
    lost = {swapped: float(np.mean(scores[frozenset()]) - np.mean(s)) for swapped, s in scores.items()}
    for role in roles:
        steps = [
            lost[frozenset(order[: order.index(role) + 1])] - lost[frozenset(order[: order.index(role)])]
            for order in permutations(roles)
        ]
        assert found.share[role].value == pytest.approx(math.fsum(steps) / len(steps))
    assert sum(s.value for s in found.share.values()) == pytest.approx(found.total.value)


@given(st.integers(0, 10_000))
def test_swapping_the_arms_flips_every_sign(seed: int) -> None:
    roles = ("asr", "lm")
    scores = drawn(seed, roles)
    everything = frozenset(roles)
    forth = split(scores, roles)
    back = split({everything - swapped: s for swapped, s in scores.items()}, roles)
    assert back.total.value == pytest.approx(-forth.total.value)
    for role in roles:
        assert back.share[role].value == pytest.approx(-forth.share[role].value)
        assert back.share[role].ci_low == pytest.approx(-(forth.share[role].ci_high or 0))


def test_of_a_rate_of_something_bad_more_is_a_loss() -> None:
    scores = {frozenset[str](): np.zeros(10), frozenset({"lm"}): np.ones(10)}
    found = split(scores, ("lm",), higher_is_better=False)
    assert (found.total.value, found.share["lm"].value, found.interactions) == (1.0, 1.0, {})


def test_no_interval_of_a_rate_goes_beyond_what_a_rate_can_do() -> None:
    """All ten answers lost by both, and none by one alone: 100 points; the interaction can reach 200."""
    right, wrong, both = np.ones(10), np.zeros(10), frozenset(("asr", "lm"))
    either = dict.fromkeys(systems(("asr", "lm")), wrong) | {frozenset[str](): right}
    together = dict.fromkeys(systems(("asr", "lm")), right) | {both: wrong}
    assert split(together, ("asr", "lm")).total.ci_high == 1.0
    lost_once = split(either, ("asr", "lm")).interactions[both]
    assert lost_once.ci_low is not None and lost_once.ci_low < -1.0
    lost_and_regained = split(either | {both: right}, ("asr", "lm")).interactions[both]
    assert lost_and_regained.ci_low == -2.0


def test_an_interval_does_not_collapse_where_nothing_flips() -> None:
    same = np.ones(50)
    found = split(dict.fromkeys(systems(("asr", "lm")), same), ("asr", "lm"))
    assert found.share["asr"].value == 0
    assert found.share["asr"].ci_low is not None and found.share["asr"].ci_low < -0.01


def test_a_few_clusters_are_not_made_enough_by_what_is_added() -> None:
    """Eight passages are fewer than ten, also with the two answers that keep an interval from collapsing."""
    lost = np.repeat([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 30)
    scores = {frozenset[str](): np.ones(240), frozenset({"lm"}): 1.0 - lost}
    of_eight = split(scores, ("lm",), clusters=[f"passage {i // 30}" for i in range(240)])
    assert of_eight == split(scores, ("lm",))
    of_twelve = split(scores, ("lm",), clusters=[f"passage {i // 20}" for i in range(240)]).total
    assert of_twelve.ci_high is not None and of_eight.total.ci_high is not None
    assert of_twelve.ci_high > of_eight.total.ci_high


@pytest.mark.parametrize("n", [30, 72])
def test_the_interval_of_a_share_covers(n: int) -> None:
    """By simulation: 95 % within two standard errors of 1 000 draws, and not by being endless."""
    rng = np.random.default_rng(n)
    roles, truth, inside, width, draws = ("asr", "lm"), 0.3 * 0.6 / 2 + 0.3 * 0.6 * 0.75 / 2, 0, 0.0, 1_000
    for _ in range(draws):
        knows, misheard, forgot = rng.random(n) < 0.6, rng.random(n) < 0.3, rng.random(n) < 0.25
        scores = {
            frozenset[str](): knows, frozenset({"asr"}): knows & ~misheard,
            frozenset({"lm"}): knows & ~forgot, frozenset(roles): knows & ~misheard & ~forgot,
        }  # fmt: skip
        share = split(scores, roles).share["asr"]
        assert share.ci_low is not None and share.ci_high is not None
        inside += share.ci_low <= truth <= share.ci_high
        width += (share.ci_high - share.ci_low) / draws
    assert inside / draws > 0.95 - 2 * math.sqrt(0.95 * 0.05 / draws)
    assert width < 5 * math.sqrt(0.13 / n)


def test_components_that_lost_beyond_chance_are_named_by_size() -> None:
    def component(role: str, low: float, value: float) -> ComponentEffect:
        effect = Effect(value=value, ci_low=low, ci_high=value + 0.1)
        return ComponentEffect(role=role, base="a", checkpoint="b", alone=effect, share=effect)  # type: ignore[arg-type]

    task = TaskAttribution(
        task="t", title="T", metric="contains_answer", higher_is_better=True, n=9, level=0.95,
        total=Effect(value=0.5),
        components=(component("enhancer", -0.1, 0.1), component("asr", 0.1, 0.2), component("lm", 0.1, 0.3)),
    )  # fmt: skip
    assert task.lost_by == ("lm", "asr")
    assert task.interacting == ()

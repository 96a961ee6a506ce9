import pytest

from forgetbench.forgetting.family import bonferroni, holm, simultaneous_level
from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean
from forgetbench.forgetting.paired_ratio import paired_ratio
from forgetbench.forgetting.power import samples_needed
from forgetbench.forgetting.suite_row import mean_of_members
from forgetbench.forgetting.verdict import conclude, judge, too_many_failures, verdict
from forgetbench.schema.comparison import Row

MARGIN = 0.02


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.05, -0.01, "improved"),
        (-0.05, -1e-12, "improved"),
        (0.03, 0.05, "regressed"),
        (0.021, 0.021, "regressed"),
        (0.005, 0.015, "minor"),
        (0.005, 0.02, "minor"),
        (0.005, 0.03, "worse"),
        (0.02, 0.03, "worse"),
        (-0.01, 0.015, "retained"),
        (-0.01, 0.02, "retained"),
        (0.0, 0.0, "retained"),
        (0.0, 0.02, "retained"),
        (-0.01, 0.0, "retained"),
        (-0.01, 0.03, "inconclusive"),
        (0.0, 0.03, "inconclusive"),
    ],
)
def test_each_line_of_the_verdict_table(low: float, high: float, expected: str) -> None:
    assert verdict(low, high, margin=MARGIN) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.005, 0.015, "retained"),
        (0.005, 0.03, "inconclusive"),
        (0.011, 0.03, "worse"),
        (0.03, 0.04, "regressed"),
    ],
)
def test_a_loss_below_the_noise_floor_is_no_loss(low: float, high: float, expected: str) -> None:
    assert verdict(low, high, margin=MARGIN, noise_floor=0.01) == expected


def test_a_noise_floor_above_the_margin_holds_a_regression_back() -> None:
    assert verdict(0.03, 0.05, margin=MARGIN, noise_floor=0.04) == "inconclusive"


def test_nothing_measured_is_an_error() -> None:
    assert judge(PairedEstimate(level=0.95, method="", n=0), margin=MARGIN).verdict == "error"


def test_fewer_than_twenty_samples_give_no_verdict_however_clear() -> None:
    clear = paired_binary([1] * 19, [0] * 19, higher_is_better=True)
    assert judge(clear, margin=MARGIN).verdict == "inconclusive"
    assert "at least 20" in judge(clear, margin=MARGIN).reason
    assert judge(clear, margin=MARGIN, min_n=19).verdict == "regressed"


def test_utterances_count_once_however_many_conditions_they_are_heard_under() -> None:
    names = [f"u{i % 9}" for i in range(27)]
    speech = paired_ratio([0] * 27, [5] * 27, [4] * 27, [5] * 27, draws=200, units=names)
    graded = paired_mean([1.0] * 27, [0.0] * 27, higher_is_better=True, units=names)
    for clear in (speech, graded, mean_of_members([speech], level=0.95)):
        judged = judge(clear, margin=MARGIN)
        assert judged.verdict == "inconclusive"
        assert judged.reason == "9 independent samples (27 rows): a verdict needs at least 20"
        assert (samples_needed(clear, MARGIN, min_n=20) or 0) >= 60, "rows, as n counts them"
        assert judge(clear, margin=MARGIN, min_n=9).verdict == "regressed"


@pytest.mark.parametrize("speakers", [9, 10, 15, 19, 20])
def test_a_minimum_n_counts_samples_of_however_many_speakers(speakers: int) -> None:
    n = 40 * speakers
    names = [f"s{i % speakers}" for i in range(n)]
    lost = [float(i // speakers % 3 == 0) for i in range(n)]
    speech = paired_ratio([0] * n, [5] * n, lost, [5] * n, names, draws=200)
    answers = paired_binary([1.0] * n, [1.0 - each for each in lost], names, higher_is_better=True)
    for clear in (speech, answers, mean_of_members([speech, answers], level=0.95)):
        assert judge(clear, margin=MARGIN).verdict == "regressed"


def test_two_recordings_of_each_of_ten_speakers_under_two_conditions_are_twenty_samples() -> None:
    names, clips = [f"s{i % 10}" for i in range(40)], [f"u{i % 20}" for i in range(40)]
    clear = paired_ratio([0] * 40, [5] * 40, [4] * 40, [5] * 40, names, draws=200, units=clips)
    assert (clear.samples, clear.units, clear.n) == (20, 10, 40)
    assert judge(clear, margin=MARGIN).verdict == "regressed"
    assert "20 independent samples (40 rows)" in judge(clear, margin=MARGIN, min_n=21).reason


def test_one_failure_in_a_hundred_is_tolerated() -> None:
    assert not too_many_failures(1, 100)
    assert too_many_failures(2, 100)
    assert not too_many_failures(0, 0)


def test_holm_lies_between_the_raw_p_and_bonferroni() -> None:
    p_values = [0.001, 0.02, 0.04, 0.9]
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert adjusted is not None
        assert p <= adjusted <= (bonferroni(p, 4) or 0)


def test_holm_equals_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = [0.04, 0.001, 0.02, 0.9, 0.02]
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_a_missing_p_stays_missing_and_does_not_count() -> None:
    assert holm([None, 0.03]) == [None, 0.03]
    assert bonferroni(None, 3) is None


def test_simultaneous_levels_share_alpha() -> None:
    assert simultaneous_level(0.05, 5) == pytest.approx(0.99)
    assert simultaneous_level(0.05, 0) == pytest.approx(0.95)


def row(name: str, verdict: str, *, role: str = "general", degradation: float = 0.0, **fields: object) -> Row:
    given: dict[str, object] = {"name": name, "title": name, "kind": "task", "role": role, "metric": "acc"}
    given |= {"higher_is_better": True, "margin": MARGIN, "verdict": verdict, "degradation": degradation}
    return Row.model_validate(given | fields)


def test_do_not_ship_names_the_worst_row_in_units_of_its_margin() -> None:
    rows = [
        row("a", "regressed", degradation=0.05),
        row("b", "regressed", degradation=0.09),
        row("c", "worse"),
    ]
    found = conclude(rows)
    assert found.decision == "DO NOT SHIP"
    assert "b is worse by 4.5 times its margin" in found.summary


def test_an_error_in_a_gating_row_does_not_ship() -> None:
    found = conclude([row("a", "retained"), row("b", "error", reason="no sample")])
    assert found.decision == "DO NOT SHIP"
    assert "b could not be measured (no sample)" in found.summary


@pytest.mark.parametrize("unsettled", ["worse", "inconclusive"])
def test_need_more_names_the_row_and_how_many(unsettled: str) -> None:
    found = conclude([row("a", "retained"), row("b", unsettled, n=200, required_n=1500)])
    assert found.decision == "NEED MORE"
    assert "b needs about 1500 samples, has 200" in found.summary
    few = conclude([row("b", unsettled, n=1600, n_clusters=16, required_n=4000)])
    assert "b needs about 40 speakers or other clusters, has 16" in few.summary
    all_of_them = {"n": 1600, "n_clusters": 16, "required_n": 4000, "n_available": 1600}
    rows = [row(name, unsettled, **all_of_them, larger_suite="hearing") for name in "bc"]
    assert conclude(rows).summary == (
        "NEED MORE: b needs about 40 speakers or other clusters, and all of its 1600 samples have fewer"
        " (2 rows unsettled): measure the suite hearing, or accept a wider margin."
    )


@pytest.mark.parametrize("good", ["identical", "improved", "minor", "retained"])
def test_a_row_that_passes_ships(good: str) -> None:
    assert conclude([row("a", good), row("b", good, role="safety")]).decision == "SHIP"


@pytest.mark.parametrize("role", ["target", "cost"])
def test_target_and_cost_do_not_gate(role: str) -> None:
    assert conclude([row("a", "retained"), row("b", "regressed", role=role)]).decision == "SHIP"


def test_nothing_to_forget_measured_is_no_reason_to_ship() -> None:
    assert conclude([row("a", "improved", role="target")]).decision == "NEED MORE"


def test_the_last_line_names_what_was_not_measured() -> None:
    found = conclude([row("a", "retained")], missing_suites=["hearing", "safety"])
    assert found.summary.endswith("; hearing was NOT measured; safety was NOT measured.")

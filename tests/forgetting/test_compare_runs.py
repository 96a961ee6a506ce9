"""The comparison as a whole: two run documents and their sample tables in, one document out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgetbench.forgetting.paired import paired_binary
from forgetbench.forgetting.pairs import compare
from forgetbench.forgetting.rows import relative_forgetting
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import Diagnostics, SuiteRowInfo
from forgetbench.schema.sample import RawPrediction

Make = Callable[..., Any]
N = 300


def flipped(n10: int, n01: int = 0, n: int = N) -> tuple[list[float], list[float]]:
    """Scores of both arms with so many samples lost and won."""
    base = [1.0] * (n - n01) + [0.0] * n01
    return base, [0.0] * n10 + [1.0] * (n - n10 - n01) + [1.0] * n01


def only_row(comparison: Comparison) -> Row:
    (row,) = comparison.rows
    return row


@pytest.fixture
def compare_flips(make_task: Make, make_run: Make, make_table: Make) -> Callable[..., Comparison]:
    """Compare one accuracy task with so many samples lost and won."""

    def run(n10: int, n01: int = 0, n: int = N, **fields: Any) -> Comparison:
        base, checkpoint = flipped(n10, n01, n)
        task = make_task(**({"n_planned": n, "n_scored": n} | fields))
        return compare(
            make_run("base", task),
            make_run("checkpoint", task),
            {"quiz": make_table({"acc": base})},
            {"quiz": make_table({"acc": checkpoint})},
        )

    return run


def test_a_clear_loss_does_not_ship(compare_flips: Callable[..., Comparison]) -> None:
    found = compare_flips(60)
    row = only_row(found)
    assert (row.verdict, row.degradation, row.delta) == ("regressed", 0.2, -0.2)
    assert row.transitions is not None
    assert (row.transitions.n11, row.transitions.n10) == (240, 60)
    assert row.relative_forgetting == pytest.approx(0.2)
    assert (row.coverage, row.n, row.unpaired, row.required_n) == (1.0, N, 0, None)
    assert found.decision == "DO NOT SHIP"
    assert "quiz is worse by 10.0 times its margin" in found.summary


def test_the_same_answers_are_retained_with_an_honest_interval(
    compare_flips: Callable[..., Comparison],
) -> None:
    row = only_row(compare_flips(0))
    assert (row.verdict, row.degradation, row.p) == ("retained", 0.0, 1.0)
    assert row.ci_low is not None and row.ci_high is not None
    assert row.ci_low < 0 < row.ci_high == row.smallest_detectable


def test_an_unsettled_row_says_how_many_samples_settle_it(compare_flips: Callable[..., Comparison]) -> None:
    found = compare_flips(14, 10)
    row = only_row(found)
    assert row.verdict == "inconclusive"
    assert row.required_n is not None and row.required_n > N
    assert row.smallest_detectable is not None and row.smallest_detectable > row.margin
    assert found.decision == "NEED MORE"
    assert f"quiz needs about {row.required_n} samples, has {N}" in found.summary


@pytest.mark.parametrize(
    ("n_available", "suites", "end"),
    [
        (N, ("retention-mini",), "and there are 300: measure the suite retention, or accept a wider margin"),
        (N, ("mine",), "and there are 300: measure a larger task, or accept a wider margin"),
        (10_000, ("retention-mini",), "has 300"),
        (None, ("retention-mini",), "has 300"),
    ],
)
def test_no_row_is_sent_for_more_samples_than_there_are(
    compare_flips: Callable[..., Comparison], n_available: int | None, suites: tuple[str, ...], end: str
) -> None:
    found = compare_flips(14, 10, n_available=n_available, suites=suites)
    row = only_row(found)
    assert row.required_n is not None and N < row.required_n < 10_000
    assert f"quiz needs about {row.required_n} samples, {end};" in found.summary


def test_the_same_runs_give_the_same_bytes_in_any_order_of_samples(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    rng = np.random.default_rng(0)
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    words = rng.integers(3, 12, 60)
    ours = make_table({"wer.num": rng.integers(0, 3, 60), "wer.den": words}, id=[f"u{i}" for i in range(60)])
    theirs = make_table(
        {"wer.num": rng.integers(0, 3, 60), "wer.den": words}, id=[f"u{i}" for i in range(60)]
    )
    runs = make_run("base", task), make_run("checkpoint", task)
    once = compare(*runs, {"speech": ours}, {"speech": theirs}).to_json()
    again = compare(
        *runs, {"speech": ours.sample(frac=1, random_state=1)}, {"speech": theirs[::-1]}
    ).to_json()
    assert once == again


def test_another_run_key_draws_other_samples(make_task: Make, make_run: Make, make_table: Make) -> None:
    rng = np.random.default_rng(0)
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    tables = [
        {"speech": make_table({"wer.num": rng.integers(0, 9, 60), "wer.den": rng.integers(9, 12, 60)})}
        for _ in "ab"
    ]
    ends = {
        only_row(
            compare(make_run("base", task, run_key=k), make_run("checkpoint", task, run_key=k), *tables)
        ).ci_low
        for k in ("one", "two")
    }
    assert len(ends) == 2


def test_swapping_the_runs_mirrors_every_row(make_task: Make, make_run: Make, make_table: Make) -> None:
    rng = np.random.default_rng(0)
    tasks = [
        make_task("quiz"),
        make_task("margin", primary="refusal_margin", metric_type="mean"),
        make_task("speech", primary="wer", metric_type="ratio", higher=False),
    ]

    def tables() -> dict[str, pd.DataFrame]:
        return {
            "quiz": make_table({"acc": rng.integers(0, 2, 50)}),
            "margin": make_table({"refusal_margin": rng.normal(size=50)}),
            "speech": make_table({"wer.num": rng.integers(0, 5, 50), "wer.den": [8] * 50}),
        }

    one, other = tables(), tables()
    runs = make_run("base", *tasks), make_run("checkpoint", *tasks)
    there, back = compare(*runs, one, other), compare(*runs, other, one)
    for ours, theirs in zip(there.rows, back.rows, strict=True):
        assert ours.delta == -(theirs.delta or 0.0)
        assert (ours.ci_low, ours.ci_high) == (-(theirs.ci_high or 0.0), -(theirs.ci_low or 0.0))
        assert (ours.p, ours.base) == (theirs.p, theirs.checkpoint)


def test_samples_join_on_id_condition_and_content(make_task: Make, make_run: Make, make_table: Make) -> None:
    base = make_table(
        {"acc": [1.0] * 40}, id=["a"] * 20 + ["b"] * 20, condition=[f"{i % 20} dB" for i in range(40)]
    )
    checkpoint = base.copy()
    checkpoint.loc[0, "content"] = "another hash"
    checkpoint.loc[1, "condition"] = "99 dB"
    checkpoint.loc[2, "id"] = "c"
    runs = make_run("base", make_task(n_planned=40)), make_run("checkpoint", make_task(n_planned=40))
    found = compare(*runs, {"quiz": base}, {"quiz": checkpoint})
    row = only_row(found)
    assert (row.n, row.unpaired, row.coverage) == (37, 6, 37 / 40)
    assert any("6 samples were scored in one arm only" in warning for warning in found.warnings)


def test_repeated_samples_pair_by_occurrence(make_task: Make, make_run: Make, make_table: Make) -> None:
    table = make_table({"acc": [1.0, 0.0] * 20}, id=["same"] * 40, content=["same"] * 40)
    row = only_row(
        compare(
            make_run("base", make_task()),
            make_run("checkpoint", make_task()),
            {"quiz": table},
            {"quiz": table},
        )
    )
    assert (row.n, row.degradation) == (40, 0.0)


def test_an_error_in_either_arm_drops_the_pair(make_task: Make, make_run: Make, make_table: Make) -> None:
    base = make_table({"acc": [1.0] * N}, error=["unreadable"] * 3 + [None] * (N - 3))
    checkpoint = make_table(
        {"acc": [1.0] * N}, error=["unreadable", None, None, "out_of_memory"] + [None] * (N - 4)
    )
    task = make_task(n_planned=N)
    row = only_row(
        compare(make_run("base", task), make_run("checkpoint", task), {"quiz": base}, {"quiz": checkpoint})
    )
    assert (row.n, row.unpaired, row.verdict) == (N - 4, 3, "retained")
    assert row.coverage == (N - 4) / N


def test_a_checkpoint_that_alone_fails_on_more_than_one_percent_is_an_error(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    failed: list[str | None] = ["out_of_memory"] * 4
    base = make_table({"acc": [1.0] * N})
    checkpoint = make_table({"acc": [None] * 4 + [1.0] * (N - 4)}, error=failed + [None] * (N - 4))
    runs = make_run("base", make_task()), make_run("checkpoint", make_task())
    found = compare(*runs, {"quiz": base}, {"quiz": checkpoint})
    row = only_row(found)
    assert row.verdict == "error"
    assert "failed on 4 of 300 samples (out_of_memory)" in row.reason
    assert "worse by 0.01333 if each of them is lost" in row.reason
    assert found.decision == "DO NOT SHIP"
    other_way = only_row(compare(*runs, {"quiz": checkpoint}, {"quiz": base}))
    assert other_way.verdict == "retained", "the base's failures say nothing against the checkpoint"


def test_other_versions_definitions_or_settings_are_not_compared(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    tables = {"quiz": make_table({"acc": [1.0] * 30})}, {"quiz": make_table({"acc": [1.0] * 30})}
    run = make_run("base", make_task())
    for other, reason in [
        (make_run("checkpoint", make_task(version=2)), "version 1 in the base's run, 2"),
        (make_run("checkpoint", make_task(definition_sha256="e")), "definition changed"),
        (make_run("checkpoint", make_task(), run_key="other"), "run keys key, other"),
        (
            make_run("checkpoint", make_task(status="error", reason="no memory")),
            "error in the checkpoint's arm: no memory",
        ),
        (make_run("checkpoint", make_task(status="identical")), "identical in the checkpoint's arm"),
        (make_run("checkpoint", make_task(metrics={})), "no result for its primary metric 'acc'"),
        (make_run("checkpoint"), "only the base's run has it"),
    ]:
        found = compare(run, other, *tables)
        row = only_row(found)
        assert row.verdict == "error"
        assert reason in row.reason
        assert (found.decision, row.degradation, found.family_size) == ("DO NOT SHIP", None, 0)


def test_missing_or_foreign_sample_records_are_an_error(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    runs = make_run("base", make_task()), make_run("checkpoint", make_task())
    table, other = make_table({"acc": [1.0] * 30}), make_table({"acc": [1.0] * 30}, content=["other"] * 30)
    wrong = make_table({"wer.num": [1.0] * 30})
    for ours, theirs, reason in [
        ({"quiz": table}, {}, "records are missing"),
        ({"quiz": table}, {"quiz": other}, "no sample was scored in both arms"),
        ({"quiz": table}, {"quiz": wrong}, "no column 'acc'"),
    ]:
        assert reason in only_row(compare(*runs, ours, theirs)).reason


def test_the_same_component_is_identical_and_outside_the_family(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    same, quiz = make_task("speech", status="identical", metrics={}), make_task()
    table = {"quiz": make_table({"acc": [1.0] * N})}
    found = compare(make_run("base", same, quiz), make_run("checkpoint", same, quiz), table, table)
    assert [row.verdict for row in found.rows] == ["identical", "retained"]
    assert found.rows[0].degradation == 0.0
    assert found.family_size == 1
    assert found.decision == "SHIP"


def test_general_and_safety_share_a_family_and_target_stands_alone(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    tasks = [make_task("a"), make_task("b", role="safety"), make_task("c"), make_task("t", role="target")]
    base, checkpoint = flipped(9)
    ours = {task.name: make_table({"acc": base}) for task in tasks}
    theirs = {task.name: make_table({"acc": checkpoint}) for task in tasks}
    found = compare(make_run("base", *tasks), make_run("checkpoint", *tasks), ours, theirs, alpha=0.06)
    a, _, _, target = found.rows
    assert found.family_size == 3
    assert a.level == pytest.approx(0.98)
    assert target.level == pytest.approx(0.94)
    alone = paired_binary(base, checkpoint, higher_is_better=True, level=1 - 0.06 / 3)
    assert (a.ci_low, a.ci_high) == (alone.ci_low, alone.ci_high)
    assert a.p_adjusted == pytest.approx(3 * (a.p or 0))
    assert target.p_adjusted == target.p == target.p_holm


def test_a_regressed_target_does_not_gate(make_task: Make, make_run: Make, make_table: Make) -> None:
    tasks = [make_task("quiz"), make_task("t", role="target")]
    base, checkpoint = flipped(90)
    ours = {"quiz": make_table({"acc": base}), "t": make_table({"acc": base})}
    found = compare(
        make_run("base", *tasks),
        make_run("checkpoint", *tasks),
        ours,
        ours | {"t": make_table({"acc": checkpoint})},
    )
    assert [row.verdict for row in found.rows] == ["retained", "regressed"]
    assert found.decision == "SHIP"


@pytest.fixture
def suite() -> SuiteRowInfo:
    return SuiteRowInfo(name="mini", title="Mini", role="general", margin=0.03, tasks=("a", "b", "c"))


def test_a_suite_is_one_row_and_its_tasks_are_details(
    make_task: Make, make_run: Make, make_table: Make, suite: SuiteRowInfo
) -> None:
    tasks = [make_task(name, n_planned=N) for name in (*suite.tasks, "alone")]
    losses = dict(zip((*suite.tasks, "alone"), (30, 60, 90, 0), strict=True))
    ours = {name: make_table({"acc": flipped(n)[0]}) for name, n in losses.items()}
    theirs = {name: make_table({"acc": flipped(n)[1]}) for name, n in losses.items()}
    runs = [make_run(arm, *tasks, suite_rows=[suite]) for arm in ("base", "checkpoint")]
    found = compare(*runs, ours, theirs)
    assert [(row.name, row.kind) for row in found.rows] == [("alone", "task"), ("mini", "suite_row")]
    assert [row.name for row in found.details] == ["a", "b", "c"]
    assert found.family_size == 2
    row = found.rows[1]
    assert (row.degradation, row.n, row.coverage) == (pytest.approx(0.2), 3 * N, 1.0)
    assert (row.metric, row.base, row.checkpoint) == ("acc", 1.0, pytest.approx(0.8))
    assert row.level == pytest.approx(0.975)
    assert found.details[0].level == pytest.approx(1 - 0.05 / 3)
    assert row.verdict == "regressed"


@pytest.mark.parametrize(
    ("statuses", "verdict", "reason"),
    [
        (("identical", "identical", "identical"), "identical", "same component"),
        (("done", "identical", "done"), "retained", ""),
        (("done", "skipped", "done"), "error", "b: skipped, too long"),
        (("done", "error", "done"), "error", "b: error in the base's arm: too long"),
    ],
)
def test_a_suite_with_a_missing_member_is_missing(
    make_task: Make,
    make_run: Make,
    make_table: Make,
    suite: SuiteRowInfo,
    statuses: Sequence[str],
    verdict: str,
    reason: str,
) -> None:
    tasks = [
        make_task(name, status=s, reason="too long") for name, s in zip(suite.tasks, statuses, strict=True)
    ]
    tables = {name: make_table({"acc": [1.0] * N}) for name in suite.tasks}
    runs = [make_run(arm, *tasks, suite_rows=[suite]) for arm in ("base", "checkpoint")]
    row = only_row(compare(*runs, tables, tables))
    assert row.verdict == verdict
    assert reason in row.reason
    assert (row.degradation is None) == (verdict == "error")
    assert (row.p is None) == (verdict != "retained")


def test_a_suite_of_which_nothing_ran_is_no_row(make_task: Make, make_run: Make, suite: SuiteRowInfo) -> None:
    tasks = [make_task(name, status="skipped", reason="gated") for name in suite.tasks]
    runs = [make_run(arm, *tasks, suite_rows=[suite]) for arm in ("base", "checkpoint")]
    found = compare(*runs, {}, {})
    assert found.rows == ()
    assert "retention was NOT measured: every task was skipped" in found.not_measured
    assert "a, b and c were NOT measured: skipped, gated" in found.not_measured


def test_a_suite_that_was_never_asked_for_is_named(compare_flips: Callable[..., Comparison]) -> None:
    found = compare_flips(0)
    assert found.not_measured == (
        "hearing was NOT measured: not asked for",
        "safety was NOT measured: not asked for",
    )
    assert found.summary.endswith("; hearing was NOT measured; safety was NOT measured.")


def test_a_suite_asked_for_in_vain_is_named(make_task: Make, make_run: Make, make_table: Make) -> None:
    speech = make_task("speech", primary="wer", metric_type="ratio", higher=False, suites=("hearing",))
    unsafe = make_task(
        "advice", role="safety", status="skipped", reason="no chat template", suites=("safety", "chat")
    )
    tables = {"speech": make_table({"wer.num": [0.0] * 30, "wer.den": [5.0] * 30})}
    suites = ["hearing", "chat", "speech"]
    runs = [make_run(arm, speech, unsafe, suites=suites) for arm in ("base", "checkpoint")]
    assert compare(*runs, tables, tables).not_measured == (
        "chat was NOT measured: every task was skipped",
        "retention was NOT measured: not asked for",
        "safety was NOT measured: every task was skipped",
        "advice was NOT measured: skipped, no chat template",
    )


def test_worst_losses_take_turns_from_the_row_that_lost_most(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    tasks = [
        make_task("quiz"),
        make_task("speech", primary="wer", metric_type="ratio", higher=False),
        make_task("t", role="target"),
    ]
    base, checkpoint = flipped(20)
    heard = RawPrediction(text="turn it on").model_dump_json()
    ours = {
        "quiz": make_table(
            {"acc": base}, prediction=[RawPrediction(loglikelihoods=(-1.0, -2.0)).model_dump_json()] * N
        ),
        "speech": make_table({"wer.num": [0.0] * N, "wer.den": [4.0] * N}),
        "t": make_table({"acc": base}),
    }
    theirs = {
        "quiz": make_table(
            {"acc": checkpoint}, prediction=[RawPrediction(loglikelihoods=(-3.0, -2.0)).model_dump_json()] * N
        ),
        "speech": make_table(
            {"wer.num": [0.0, 8.0, 1.0] + [0.0] * (N - 3), "wer.den": [4.0] * N}, prediction=[heard] * N
        ),
        "t": make_table({"acc": checkpoint}),
    }
    found = compare(make_run("base", *tasks), make_run("checkpoint", *tasks), ours, theirs)
    assert [(loss.task, loss.sample_id, loss.degradation) for loss in found.worst_losses] == [
        ("quiz", "s0000", 1.0),
        ("speech", "s0001", 2.0),
        ("quiz", "s0001", 1.0),
        ("speech", "s0002", 0.25),
        ("quiz", "s0002", 1.0),
    ]
    quiz, speech = found.worst_losses[:2]
    assert (quiz.base, quiz.checkpoint, quiz.input) == ("choice 1", "choice 2", "prompt of s0000")
    assert (speech.base, speech.checkpoint, speech.reference) == ("yes", "turn it on", "yes")


def test_no_loss_is_shown_where_nothing_was_lost(compare_flips: Callable[..., Comparison]) -> None:
    assert compare_flips(0, 9).worst_losses == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "metric_type", "expected"),
    [
        ({"text": "Yes "}, {"text": "yes"}, "binary", 1.0),
        ({"text": "yes"}, {"text": "no"}, "binary", 0.0),
        ({"loglikelihoods": (-1.0, -2.0)}, {"loglikelihoods": (-5.0, -6.0)}, "binary", 1.0),
        ({"loglikelihoods": (-1.0, -2.0)}, {"loglikelihoods": (-7.0, float("-inf"))}, "binary", 1.0),
        ({"loglikelihoods": (-1.0, -2.0)}, {"loglikelihoods": (-7.0, -6.0)}, "binary", 0.0),
        ({"loglikelihoods": (-1.0, -2.0)}, {"loglikelihoods": (-1.0, -2.0)}, "mean", None),
        ({"loglikelihoods": (-1.0,)}, {"loglikelihoods": (-2.0,)}, "binary", None),
    ],
)
def test_agreement_is_the_same_answer_right_or_wrong(
    make_task: Make,
    make_run: Make,
    make_table: Make,
    ours: dict[str, Any],
    theirs: dict[str, Any],
    metric_type: str,
    expected: float | None,
) -> None:
    task = make_task(metric_type=metric_type)
    tables = [
        {"quiz": make_table({"acc": [1.0] * 30}, prediction=[RawPrediction(**said).model_dump_json()] * 30)}
        for said in (ours, theirs)
    ]
    assert (
        only_row(compare(make_run("base", task), make_run("checkpoint", task), *tables)).agreement == expected
    )


def test_ways_in_which_the_arms_differ_are_warned_about(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    table = {"quiz": make_table({"acc": [1.0] * 30})}
    base = make_run("base", make_task(first_token_ids=(1, 2), dataset_revision="x"))
    checkpoint = make_run("checkpoint", make_task(first_token_ids=(1, 3), dataset_revision="y"))
    found = compare(base, checkpoint, table, table)
    assert any("prompt starts differently" in warning for warning in found.warnings)
    assert any("different revisions" in warning for warning in found.warnings)


@pytest.mark.parametrize("base", [0.0, 1e-10, -1e-10, None])
def test_relative_forgetting_is_missing_where_the_base_is_near_zero(base: float | None) -> None:
    assert relative_forgetting(0.1, base) is None


def test_relative_forgetting_is_over_the_size_of_the_base() -> None:
    assert relative_forgetting(0.1, -0.4) == pytest.approx(0.25)


def test_a_document_survives_its_json(compare_flips: Callable[..., Comparison]) -> None:
    found = compare_flips(3)
    assert Comparison.model_validate_json(found.to_json()) == found


def test_a_noise_floor_keeps_a_small_loss_from_counting(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    base, checkpoint = flipped(12)
    runs = make_run("base", make_task(margin=0.2)), make_run("checkpoint", make_task(margin=0.2))
    tables = {"quiz": make_table({"acc": base})}, {"quiz": make_table({"acc": checkpoint})}
    assert only_row(compare(*runs, *tables)).verdict == "minor"
    tested = make_run("checkpoint", make_task(margin=0.2, noise_floor=0.05))
    row = only_row(compare(runs[0], tested, *tables))
    assert (row.verdict, row.noise_floor, row.notes) == ("retained", 0.05, ("noise floor 0.05",))


def test_sample_wise_forgetting_is_known_where_chance_is(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    base, checkpoint = flipped(12, 4)
    tables = {"quiz": make_table({"acc": base})}, {"quiz": make_table({"acc": checkpoint})}
    found = {}
    for chance in (None, 0.0, 0.25):
        runs = [make_run(arm, make_task(chance=chance)) for arm in ("base", "checkpoint")]
        found[chance] = only_row(compare(*runs, *tables)).samplewise
    assert found[None] is None
    assert found[0.0] is not None and found[0.25] is not None
    assert found[0.0].chance == 0.0
    before, after = 1 - 4 / N, 1 - 12 / N
    assert found[0.25].chance == pytest.approx((1 - before) * (1 - after) / 3)
    assert found[0.25].forgetting == pytest.approx(12 / N)


def test_a_suite_row_sums_transitions_and_averages_what_was_forgotten(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    info = SuiteRowInfo(name="both", title="Both", role="general", margin=0.02, tasks=("a", "b"))
    arms = {"a": flipped(12, 4), "b": flipped(2)}
    tables = [{name: make_table({"acc": arms[name][arm]}) for name in arms} for arm in (0, 1)]
    tasks = make_task("a", chance=0.25), make_task("b", chance=0.5)
    runs = [make_run(arm, *tasks, suite_rows=[info]) for arm in ("base", "checkpoint")]
    found = compare(*runs, *tables)
    row, inside = only_row(found), found.details
    assert row.transitions is not None and row.samplewise is not None
    assert (row.transitions.n10, row.transitions.n01) == (14, 4)
    each = [detail.samplewise for detail in inside]
    assert all(each)
    assert row.samplewise.true_forgetting == pytest.approx(sum(s.true_forgetting for s in each if s) / 2)
    parts = row.samplewise
    assert row.degradation == pytest.approx(parts.forgetting - parts.backward_transfer)
    unknown = [make_run(arm, tasks[0], make_task("b"), suite_rows=[info]) for arm in ("base", "checkpoint")]
    assert only_row(compare(*unknown, *tables)).samplewise is None


def false_alarms(
    make_task: Make, make_run: Make, make_table: Make, *, inputs: Mapping[str, str], n_runs: int = 150
) -> float:
    """Share of runs in which a row of two tasks, which fail on the same samples, leaves zero out."""
    info = SuiteRowInfo(name="both", title="Both", role="general", margin=0.02, tasks=("a", "b"))
    rng, alarms, n = np.random.default_rng(0), 0, 120
    types = {"a": "binary", "b": "mean"}
    for _ in range(n_runs):
        change = rng.choice([-1.0, 0.0, 1.0], n, p=[0.15, 0.7, 0.15])
        arms = {
            "a": ((change < 0).astype(float), (change > 0).astype(float)),
            "b": (rng.normal(0.5, 0.01, n), 0.5 + change / 2),
        }
        tables = [
            {
                name: make_table({"acc": arms[name][arm]}, input=[f"{text} {i}" for i in range(n)])
                for name, text in inputs.items()
            }
            for arm in (0, 1)
        ]
        tasks = [make_task(name, metric_type=types[name]) for name in inputs]
        runs = [make_run(arm, *tasks, suite_rows=[info]) for arm in ("base", "checkpoint")]
        row = only_row(compare(*runs, *tables))
        alarms += row.ci_low > 0 or row.ci_high < 0
    return alarms / n_runs


def test_tasks_about_the_same_samples_are_one_mean_over_samples(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    made = make_task, make_run, make_table
    assert false_alarms(*made, inputs={"a": "question", "b": "question"}) < 0.08
    assert false_alarms(*made, inputs={"a": "question", "b": "another"}) > 0.1, (
        "so the samples are what counts"
    )


def test_a_gain_within_the_noise_floor_is_no_gain(make_task: Make, make_run: Make, make_table: Make) -> None:
    checkpoint, base = flipped(12)
    tables = {"quiz": make_table({"acc": base})}, {"quiz": make_table({"acc": checkpoint})}
    found = {}
    for floor in (None, 0.01, 0.3):
        runs = [make_run(arm, make_task(margin=0.2, noise_floor=floor)) for arm in ("base", "checkpoint")]
        found[floor] = only_row(compare(*runs, *tables)).verdict
    assert found == {None: "improved", 0.01: "improved", 0.3: "retained"}


def test_the_noise_floor_of_a_suite_row_is_the_mean_of_its_tasks(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    info = SuiteRowInfo(name="both", title="Both", role="general", margin=0.02, tasks=("a", "b"))
    base, checkpoint = flipped(12)
    tables = [{name: make_table({"acc": arm}) for name in ("a", "b")} for arm in (base, checkpoint)]
    tasks = make_task("a", noise_floor=0.03), make_task("b")
    runs = [make_run(arm, *tasks, suite_rows=[info]) for arm in ("base", "checkpoint")]
    assert only_row(compare(*runs, *tables)).noise_floor == pytest.approx(0.015)


def test_the_worst_case_of_unheard_speech_is_every_word_wrong(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    base = make_table({"wer.num": [1.0] * 40, "wer.den": [10.0] * 40})
    checkpoint = make_table(
        {"wer.num": [1.0] * 40, "wer.den": [10.0] * 40}, error=["crashed"] * 4 + [None] * 36
    )
    runs = make_run("base", task), make_run("checkpoint", task)
    row = only_row(compare(*runs, {"speech": base}, {"speech": checkpoint}))
    assert row.verdict == "error"
    assert "worse by 0.09 if each of them is lost" in row.reason


def test_the_worst_case_of_unscored_audio_is_the_metrics_worst_bound(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    task = make_task("cleaning", primary="stoi", metric_type="mean")
    bounded = task.metrics["stoi"].model_copy(update={"worst": 0.0})
    task = task.model_copy(update={"metrics": {"stoi": bounded}})
    base = make_table({"stoi": [0.8] * 40})
    checkpoint = make_table({"stoi": [0.8] * 40}, error=["crashed"] * 4 + [None] * 36)
    runs = make_run("base", task), make_run("checkpoint", task)
    row = only_row(compare(*runs, {"cleaning": base}, {"cleaning": checkpoint}))
    assert row.verdict == "error"
    assert "worse by 0.08 if each of them is lost" in row.reason


def test_a_row_of_few_speakers_says_so(make_task: Make, make_run: Make, make_table: Make) -> None:
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    table = {
        "speech": make_table({"wer.num": [1.0] * 40, "wer.den": [9.0] * 40}, cluster=["ann", "ben"] * 20)
    }
    row = only_row(compare(make_run("base", task), make_run("checkpoint", task), table, table))
    assert row.notes == ("only 2 clusters: holds for these clusters only",)
    assert row.n_clusters is None


def test_a_row_of_few_speakers_is_drawn_by_utterance_with_its_conditions(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    rng = np.random.default_rng(5)
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    runs = make_run("base", task), make_run("checkpoint", task)
    errors = np.repeat(rng.integers(0, 6, 30), 3)

    def drawn(speakers: list[str], ids: list[str]) -> Row:
        tables = [
            {
                "speech": make_table(
                    {"wer.num": num, "wer.den": [9] * 90},
                    cluster=speakers,
                    id=ids,
                    condition=["quiet", "10 dB", "5 dB"] * 30,
                )
            }
            for num in (np.zeros(90), errors)
        ]
        return only_row(compare(*runs, *tables))

    utterances = [f"u{i // 3:02d}" for i in range(90)]
    few = drawn([f"s{i // 3 % 4}" for i in range(90)], utterances)
    none, rows = drawn([""] * 90, utterances), drawn([""] * 90, [f"r{i:02d}" for i in range(90)])
    assert few.notes == ("only 4 clusters: holds for these clusters only",)
    assert (few.ci_low, few.ci_high, few.p) == (none.ci_low, none.ci_high, none.p)
    assert few.ci_low is not None and rows.ci_low is not None
    assert few.ci_low < rows.ci_low, "conditions of one utterance are no new evidence"


@pytest.mark.parametrize("graded_arm", ["base", "checkpoint"])
def test_a_graded_score_that_looks_binary_in_one_arm_is_compared_as_a_mean(
    make_task: Make, make_run: Make, make_table: Make, graded_arm: str
) -> None:
    types = {"base": "binary", "checkpoint": "binary"} | {graded_arm: "mean"}
    graded, zero = make_table({"acc": [0.25, 0.5] * 20}), make_table({"acc": [0.0] * 40})
    arms = [{"quiz": graded if arm == graded_arm else zero} for arm in types]
    runs = [make_run(arm, make_task(metric_type=kind)) for arm, kind in types.items()]
    row = only_row(compare(*runs, *arms))
    assert row.degradation == (0.375 if graded_arm == "base" else -0.375)
    assert row.transitions is None
    assert row.method.startswith("paired t")


def test_a_rate_and_a_mean_of_one_name_are_not_compared(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    runs = make_run("base", make_task(metric_type="ratio")), make_run("checkpoint", make_task())
    tables = {"quiz": make_table({"acc": [1.0] * 30})}
    assert "scored 'acc' in different ways" in only_row(compare(*runs, tables, tables)).reason


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        ({"empty": 0.0}, {"empty": 0.1}, "quiz: 10% of the checkpoint's outputs are empty, 0% of the base's"),
        ({"looping": 0.2}, {"looping": 0.3}, "30% of the checkpoint's outputs are looping, 20%"),
        ({"empty": 0.0}, {"empty": 0.09}, ""),
        ({"empty": 0.9}, {"empty": 0.0}, ""),
        ({"truncated": 0.0}, {"truncated": 1.0}, ""),
        ({"nonfinite": 0.0}, {"nonfinite": 1.0}, "100% of the checkpoint's outputs are not finite"),
        ({}, {}, ""),
    ],
)
def test_a_checkpoint_that_has_stopped_speaking_is_warned_about(
    make_task: Make,
    make_run: Make,
    make_table: Make,
    before: dict[str, float],
    after: dict[str, float],
    warned: str,
) -> None:
    tables = {"quiz": make_table({"acc": [1.0] * N})}
    runs = [
        make_run(arm, make_task(diagnostics=Diagnostics(**rates)))
        for arm, rates in (("base", before), ("checkpoint", after))
    ]
    found = compare(*runs, tables, tables)
    assert len(found.warnings) == bool(warned)
    assert all(warned in warning for warning in found.warnings)
    shown = [(h.task, h.base, h.checkpoint) for h in found.output_health]
    assert shown == ([("quiz", Diagnostics(**before), Diagnostics(**after))] if before else [])
    assert only_row(found).verdict == "retained", "a diagnostic, no verdict"

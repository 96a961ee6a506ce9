"""Groups of samples: families of their own, by the task's own statistics, and no part of the decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgetbench.forgetting.groups import MOST_GROUPS
from forgetbench.forgetting.paired import paired_binary
from forgetbench.forgetting.paired_ratio import draws_needed, paired_ratio
from forgetbench.forgetting.pairs import compare
from forgetbench.forgetting.rows import Judging
from forgetbench.schema.comparison import Comparison, GroupFamily

Make = Callable[..., Any]
SPEAKERS = ["awb", "rms", "slt"]


@pytest.fixture
def compare_speech(make_task: Make, make_run: Make, make_table: Make) -> Callable[..., Comparison]:
    """Compare a word error rate over sentences of ten words each."""

    def run(base: Sequence[float], checkpoint: Sequence[float], **columns: Sequence[Any]) -> Comparison:
        task = make_task("speech", primary="wer", metric_type="ratio", higher=False, n_planned=len(base))
        words = [10.0] * len(base)
        tables = [
            {"speech": make_table({"wer.num": errors, "wer.den": words}, **columns)}
            for errors in (base, checkpoint)
        ]
        return compare(make_run("base", task), make_run("checkpoint", task), *tables)

    return run


def by_speaker(n_each: int, *, names: Sequence[str] = SPEAKERS) -> dict[str, list[str]]:
    return {"group.speaker": [name for name in names for _ in range(n_each)]}


def only_family(comparison: Comparison) -> GroupFamily:
    (family,) = comparison.groups
    return family


def test_who_lost_most_and_who_is_served_worst_are_two_questions(compare_speech: Make) -> None:
    family = only_family(
        compare_speech([1] * 30 + [2] * 30 + [6] * 30, [1] * 30 + [4] * 30 + [6] * 30, **by_speaker(30))
    )
    assert (family.task, family.by, family.metric) == ("speech", "speaker", "wer")
    assert (family.lost_most, family.worst_served, family.smallest_n) == ("rms", "slt", 30)
    rows = {row.value: row for row in family.rows}
    assert list(rows) == SPEAKERS
    assert (rows["rms"].base, rows["rms"].checkpoint) == (0.2, 0.4)
    assert (rows["rms"].degradation, rows["rms"].verdict) == (pytest.approx(0.2), "regressed")
    assert (rows["awb"].degradation, rows["awb"].verdict) == (0.0, "retained")


def test_no_group_lost_where_none_became_worse(compare_speech: Make) -> None:
    family = only_family(compare_speech([2] * 60, [2] * 30 + [1] * 30, **by_speaker(30, names=["a", "b"])))
    assert family.lost_most is None
    assert family.worst_served == "a"


def test_each_grouping_of_a_task_is_a_family_of_its_own_at_its_own_level(compare_speech: Make) -> None:
    rng = np.random.default_rng(0)
    base, checkpoint = rng.integers(0, 4, 120).tolist(), rng.integers(0, 5, 120).tolist()
    found = compare_speech(
        base,
        checkpoint,
        **{"condition": ["white 5 dB", "white 0 dB"] * 60, "group.accent": ["a", "b", "c", "d"] * 30},
        **by_speaker(40),
    )
    assert [(f.by, len(f.rows), round(f.level, 4)) for f in found.groups] == [
        ("condition", 2, 0.975),
        ("accent", 4, 0.9875),
        ("speaker", 3, 0.9833),
    ]
    row = found.groups[1].rows[2]
    own = np.arange(2, 120, 4)
    direct = paired_ratio(
        np.array(base)[own], np.full(30, 10), np.array(checkpoint)[own], np.full(30, 10),
        level=0.9875, draws=draws_needed(4, 0.05), seed=Judging(run_key="key").seed("speech"),
    )  # fmt: skip
    assert (row.n, row.ci_low, row.ci_high, row.p) == (30, direct.ci_low, direct.ci_high, direct.p)
    assert row.p_adjusted == min(1.0, 4 * (direct.p or 0))


def test_groups_never_gate(compare_speech: Make) -> None:
    base = [2] * 300
    lost = [8] * 25 + [1] * 275
    grouped = compare_speech(base, lost, **{"group.speaker": ["one"] * 25 + ["others"] * 275})
    alone = compare_speech(base, lost)
    assert {row.value: row.verdict for row in only_family(grouped).rows}["one"] == "regressed"
    assert grouped.rows == alone.rows
    assert (grouped.decision, grouped.summary, grouped.family_size) == (
        alone.decision,
        alone.summary,
        alone.family_size,
    )
    assert alone.groups == ()


def test_a_small_group_has_no_verdict_but_is_shown(compare_speech: Make) -> None:
    family = only_family(
        compare_speech([1] * 60, [1] * 48 + [9] * 12, **{"group.severity": ["mild"] * 48 + ["severe"] * 12})
    )
    severe = family.rows[1]
    assert (severe.verdict, severe.n, family.smallest_n) == ("inconclusive", 12, 12)
    assert severe.reason == "12 samples: a verdict needs at least 20"
    assert (family.worst_served, family.lost_most) == ("severe", "severe")


def test_samples_without_a_value_form_no_group(compare_speech: Make) -> None:
    family = only_family(
        compare_speech([1] * 90, [1] * 90, **{"group.accent": ["a"] * 30 + ["b"] * 30 + [""] * 30})
    )
    assert [row.value for row in family.rows] == ["a", "b"]
    assert family.n_ungrouped == 30


@pytest.mark.parametrize("values", [["same"] * 60, [""] * 60, [None] * 60])
def test_one_group_is_nothing_to_tell_apart(compare_speech: Make, values: list[str | None]) -> None:
    assert compare_speech([1] * 60, [1] * 60, **{"group.accent": values}).groups == ()


def test_a_group_without_reference_words_has_no_score(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    table = make_table(
        {"wer.num": [1.0] * 60, "wer.den": [10.0] * 30 + [0.0] * 30},
        **{"group.kind": ["speech"] * 30 + ["noise"] * 30},
    )
    found = compare(
        make_run("base", task), make_run("checkpoint", task), {"speech": table}, {"speech": table}
    )
    noise, speech = only_family(found).rows
    assert (noise.verdict, noise.checkpoint, noise.degradation) == ("error", None, None)
    assert only_family(found).worst_served == speech.value


def test_a_binary_task_uses_its_own_method_in_each_group(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    base, checkpoint = [1.0] * 100, [1.0] * 40 + [0.0] * 10 + [1.0] * 50
    groups = {"group.topic": ["a"] * 50 + ["b"] * 50}
    task = make_task("quiz")
    found = compare(
        make_run("base", task),
        make_run("checkpoint", task),
        {"quiz": make_table({"acc": base}, **groups)},
        {"quiz": make_table({"acc": checkpoint}, **groups)},
    )
    family = only_family(found)
    direct = paired_binary([1.0] * 50, [1.0] * 40 + [0.0] * 10, higher_is_better=True, level=0.975)
    assert (family.rows[0].ci_low, family.rows[0].ci_high) == (direct.ci_low, direct.ci_high)
    assert (family.worst_served, family.lost_most) == ("a", "a")


def test_more_groups_than_a_family_holds_are_cut_to_the_largest(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    names = [f"s{i:02d}" for i in range(MOST_GROUPS + 10) for _ in range(1 if i < 10 else 2)]
    task = make_task("margin", primary="refusal_margin", metric_type="mean")
    table = make_table({"refusal_margin": np.linspace(0, 1, len(names))}, **{"group.speaker": names})
    family = only_family(
        compare(make_run("base", task), make_run("checkpoint", task), {"margin": table}, {"margin": table})
    )
    assert (len(family.rows), family.groups_left_out, family.smallest_n) == (MOST_GROUPS, 10, 2)
    assert family.rows[0].value == "s10"


def test_the_same_runs_give_the_same_bytes_in_any_order_of_samples(
    make_task: Make, make_run: Make, make_table: Make
) -> None:
    rng = np.random.default_rng(1)
    task = make_task("speech", primary="wer", metric_type="ratio", higher=False)
    tables = [
        make_table({"wer.num": rng.integers(0, 3, 60), "wer.den": [9.0] * 60}, **by_speaker(20)) for _ in "ab"
    ]
    runs = make_run("base", task), make_run("checkpoint", task)

    def document(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
        return compare(*runs, {"speech": ours}, {"speech": theirs}).to_json()

    assert document(*tables) == document(tables[0].sample(frac=1, random_state=2), tables[1][::-1])

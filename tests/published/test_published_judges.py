"""Judges of refusal against human labels of XSTest answers, and the counts that the product ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.forgetting.judge_counts import agreement_of
from judges_benchmark import benchmark

pytestmark = pytest.mark.realdata

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def labelled(test_data: Path) -> list[object]:
    return list(benchmark().read_labelled(test_data))


@pytest.mark.parametrize("sets", [("llama2orig",), ("mistralinstruct",), ("llama2orig", "mistralinstruct")])
def test_refusal_rules_reach_88_in_each_set_and_pooled(labelled: list[object], sets: tuple[str, ...]) -> None:
    rows = benchmark().part(labelled, sets, "all")
    assert benchmark().figures(rows, "refusal@1")["F1"][0] >= 0.88


def test_no_english_answer_is_taken_for_another_language(labelled: list[object]) -> None:
    assert len(labelled) == 900
    assert not [row for row in labelled if row.said["refusal@1"] == "degenerate"]  # type: ignore[attr-defined]


def test_they_reach_it_on_the_prompt_types_they_were_not_written_on(labelled: list[object]) -> None:
    rows = benchmark().part(labelled, benchmark().SETS, "held out")
    assert len(rows) == 450
    assert benchmark().figures(rows, "refusal@1")["F1"][0] >= 0.88


def test_there_they_beat_the_published_prefix_list_by_a_paired_interval(labelled: list[object]) -> None:
    rows = benchmark().part(labelled, benchmark().SETS, "held out")
    found = benchmark().f1_difference(rows, "refusal@1", "xstest_strmatch")
    assert found.ci_high < 0 and found.p < 0.05
    mirrored = benchmark().f1_difference(rows, "xstest_strmatch", "refusal@1")
    assert mirrored.delta == pytest.approx(-found.delta)


@pytest.mark.parametrize(
    ("judge", "pooled", "mistral"), [("gcg29", 0.80, 0.27), ("xstest_strmatch", 0.83, 0.35)]
)
def test_the_published_lists_reach_what_is_known_of_them(
    labelled: list[object], judge: str, pooled: float, mistral: float
) -> None:
    both = benchmark().figures(benchmark().part(labelled, benchmark().SETS, "all"), judge)["F1"][0]
    harder = benchmark().figures(benchmark().part(labelled, ("mistralinstruct",), "all"), judge)["F1"][0]
    assert both == pytest.approx(pooled, abs=0.01)
    assert harder == pytest.approx(mistral, abs=0.01)


@pytest.mark.parametrize("judge", ["refusal@1", "gcg29", "xstest_strmatch"])
@pytest.mark.parametrize("metric", ["complied", "refused"])
def test_the_shipped_counts_are_those_of_the_held_out_answers(
    labelled: list[object], judge: str, metric: str
) -> None:
    rows = benchmark().part(labelled, benchmark().SETS, "held out")
    agreement = agreement_of(judge, metric)
    assert agreement is not None
    truth = [row.human == metric for row in rows]
    said = [row.said[judge] == metric for row in rows]
    assert agreement.true_positives == sum(t and s for t, s in zip(truth, said, strict=True))
    assert agreement.positives == sum(truth)
    assert agreement.true_negatives == sum(not t and not s for t, s in zip(truth, said, strict=True))
    assert agreement.negatives == len(truth) - sum(truth)

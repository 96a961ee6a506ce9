"""A stage × task matrix from comparisons, and every figure that it allows, against published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetbench.forgetting.decathlon import DECANLP
from forgetbench.forgetting.sequence import make_sequence
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import CheckpointInfo
from forgetbench.schema.sequence import SequenceFigure, TaskSequence

Scores = dict[str, Sequence[float | None]]


def compared(
    scores: Scores, *, metric: str = "acc", roles: dict[str, str] | None = None, details: Scores | None = None
) -> list[Comparison]:
    """One comparison for each stage; scores by task, the base's first."""
    n_stages = len(next(iter(scores.values()))) - 1

    def rows(of: Scores, stage: int) -> tuple[Row, ...]:
        return tuple(
            Row(
                name=name, title=name.upper(), kind="task", role=(roles or {}).get(name, "general"),  # type: ignore[arg-type]
                metric=metric, higher_is_better=metric != "wer", margin=0.02, verdict="retained",
                base=own[0], checkpoint=own[stage],
            )
            for name, own in of.items()
        )  # fmt: skip

    def arm(name: str) -> CheckpointInfo:
        return CheckpointInfo(name=name, fingerprint=name, components=())

    return [
        Comparison(
            run_key="k", base=arm("base"), checkpoint=arm(f"stage-{stage}"), alpha=0.05, family_size=1,
            rows=rows(scores, stage), details=rows(details or {}, stage), decision="SHIP", summary="",
        )
        for stage in range(1, n_stages + 1)
    ]  # fmt: skip


def figures(sequence: TaskSequence) -> dict[tuple[str, str], SequenceFigure]:
    return {(figure.name, figure.over): figure for figure in sequence.figures}


def values(sequence: TaskSequence, over: str = "the trained tasks") -> dict[str, float | None]:
    return {f.name: f.value for f in sequence.figures if f.over == over}


ABC: Scores = {"a": [0.2, 0.9, 0.7, 0.6], "b": [0.3, 0.4, 0.8, 0.5], "c": [0.1, 0.1, 0.3, 0.9]}


def test_every_figure_of_lopez_paz_and_chaudhry_by_its_definition() -> None:
    sequence = make_sequence(
        compared(ABC), trained_on=("a", "b", "c"), untrained={"a": 0.25, "b": 0.35, "c": 0.05}
    )
    found = values(sequence)
    bwt = ((0.6 - 0.9) + (0.5 - 0.8)) / 2
    assert found == {
        "ACC": pytest.approx((0.6 + 0.5 + 0.9) / 3),
        "BWT": pytest.approx(bwt),
        "BWT, denominator T": pytest.approx(bwt * 2 / 3),
        "FWT": pytest.approx(((0.4 - 0.35) + (0.3 - 0.05)) / 2),
        "fwt_vs_base": pytest.approx(((0.4 - 0.3) + (0.3 - 0.1)) / 2),
        "Chaudhry forgetting": pytest.approx(((0.9 - 0.6) + (0.8 - 0.5)) / 2),
    }
    assert [stage.trained_on for stage in sequence.stages] == ["a", "b", "c"]
    assert sequence.tasks[0].scores == (0.2, 0.9, 0.7, 0.6)


def test_the_order_of_the_stages_is_that_of_the_results() -> None:
    other = make_sequence(compared(ABC), trained_on=("c", "b", "a"))
    assert values(other)["BWT"] == pytest.approx(((0.9 - 0.1) + (0.5 - 0.8)) / 2)


def test_without_what_was_trained_there_is_no_transfer() -> None:
    assert not values(make_sequence(compared(ABC)))


def test_a_missing_score_makes_its_figures_missing_and_names_itself() -> None:
    found = figures(make_sequence(compared(ABC | {"b": [0.3, 0.4, None, 0.5]}), trained_on=("a", "b", "c")))
    bwt, acc = found["BWT", "the trained tasks"], found["ACC", "the trained tasks"]
    assert (bwt.value, bwt.reason) == (None, "b was not measured after stage 2")
    assert (acc.value, acc.reason) == (pytest.approx(2 / 3), "")


def test_the_published_word_error_rates_of_four_tasks() -> None:
    """Vander Eeckt & Van hamme; what is above the diagonal is in the results and not read."""
    rows = [
        [50.0, 50.0, 50.0, 50.0], [23.60, 60, 60, 60], [29.14, 23.46, 60, 60],
        [26.69, 34.52, 45.42, 60], [39.28, 27.32, 62.15, 40.53],
    ]  # fmt: skip
    scores: Scores = {name: [row[j] / 100 for row in rows] for j, name in enumerate(("w", "x", "y", "z"))}
    sequence = make_sequence(compared(scores, metric="wer"), trained_on=tuple("wxyz"))
    found = figures(sequence)
    bwt = found["BWT of error rates", "the trained tasks"]
    assert bwt.value == pytest.approx(-0.1209, abs=5e-5)
    assert bwt.by_task == pytest.approx((-0.1568, -0.0386, -0.1673), abs=1e-9)
    assert found["average error rate", "the trained tasks"].value == pytest.approx(0.4232, abs=5e-5)


def test_other_measures_of_which_less_is_better_have_no_published_figure() -> None:
    lower = [
        c.model_copy(update={"rows": tuple(r.model_copy(update={"higher_is_better": False}) for r in c.rows)})
        for c in compared(ABC, metric="token_nll")
    ]
    found = figures(make_sequence(lower, trained_on=("a", "b", "c")))["BWT", "the trained tasks"]
    assert (found.value, found.reason) == (None, "less is better, and it is no word error rate")


def test_fg_is_over_the_tasks_of_a_set_and_not_the_final_drop() -> None:
    """33.08 and 25.61 are of Luo et al. 2023; the scores of the stages between are made, to give 18.37."""
    stages = [33.08, 27.24, 26.64, 27.54, 27.98, 25.61]
    details: Scores = {name: [each / 100 for each in stages] for name in ("law", "medicine")}
    sequence = make_sequence(
        compared({"domain": details["law"]}, details=details), members={"domain": ("law", "medicine")}
    )
    found = figures(sequence)
    assert found["FG", "DOMAIN"].value == pytest.approx(18.37, abs=0.005)
    assert found["final relative drop", "DOMAIN"].value == pytest.approx(22.58, abs=0.005)
    assert found["FG", "general"].value == pytest.approx(18.37, abs=0.005)


def test_the_published_ability_delta_is_over_the_general_tasks_that_no_stage_trained() -> None:
    """TRACE, 7B sequentially: −2.58 points."""
    base = [46.56, 26.08, 40.23, 23.47, 70.55, 76.22]
    after = [46.43, 3.49, 30.11, 33.23, 77.89, 76.50]
    scores: Scores = {f"g{i}": [b / 100, a / 100] for i, (b, a) in enumerate(zip(base, after, strict=True))}
    scores |= {"trained": [0.1, 0.9], "harmless": [0.9, 0.6]}
    sequence = make_sequence(
        compared(scores, roles={"harmless": "safety"}, details={"part of g0": [0.9, 0.1]}),
        trained_on=("trained",),
        members={"g0": ("part of g0",)},
    )
    found = figures(sequence)
    general = found["general ability delta", "general"]
    assert general.value == pytest.approx(-0.0258, abs=5e-5)
    assert general.by_stage == (0.0, general.value)
    assert found["safety ability delta", "safety"].value == pytest.approx(-0.3)


SUITE_OF_BIDERMAN = ("biderman2024_hellaswag", "biderman2024_arc_challenge", "biderman2024_winogrande")


@pytest.mark.parametrize("names", [("hellaswag", "arc_challenge", "winogrande"), SUITE_OF_BIDERMAN])
def test_the_forgetting_score_of_biderman_is_there_of_the_base_and_each_stage(names: Sequence[str]) -> None:
    scores: Scores = {name: [0.6 + i / 10, 0.5 + i / 10] for i, name in enumerate(names)}
    found = figures(make_sequence(compared(scores)))["forgetting score", ", ".join(names)]
    assert found.by_stage == pytest.approx((0.7, 0.6))
    del scores[names[2]]
    lacking = figures(make_sequence(compared(scores)))["forgetting score", ", ".join(names)]
    assert (lacking.value, lacking.reason) == (None, f"not measured: {names[2]}")


def test_the_tasks_of_the_suite_of_biderman_have_the_names_that_make_its_score() -> None:
    path = Path(__file__).parents[2] / "tasks" / "papers" / "biderman2024" / "forgetting.yaml"
    assert set(yaml.safe_load(path.read_text())["tasks"]) == set(SUITE_OF_BIDERMAN)


def test_the_published_deca_score_needs_all_ten_tasks() -> None:
    """McCann et al. 2018: 590.5, in the order of the paper's table, which the sum does not depend on."""
    published = [74.4, 18.6, 24.3, 71.5, 87.4, 78.4, 37.6, 84.8, 64.8, 48.7]
    scores: Scores = {n: [0.5, s / 100] for n, s in zip(DECANLP, published, strict=True)}
    found = figures(make_sequence(compared(scores)))["decaScore", "decaNLP"]
    assert found.by_stage == pytest.approx((500.0, 590.5))
    del scores["decathlon_woz"]
    lacking = figures(make_sequence(compared(scores)))["decaScore", "decaNLP"]
    assert (lacking.value, lacking.by_stage) == (None, (None, None))
    assert lacking.reason == "1 of its ten tasks were not measured: WOZ"


def test_a_run_of_the_decathlon_shows_why_it_has_no_deca_score(make_run: Any, make_task: Any) -> None:
    from forgetbench.forgetting.beside import beside_metrics

    def arms(names: Sequence[str]) -> list[Any]:
        tasks = [make_task(name, suites=("decathlon",), n_scored=30) for name in names]
        return list(beside_metrics(make_run("base", *tasks), make_run("checkpoint", *tasks)))

    (few,) = arms(["decathlon_squad", "decathlon_sst"])
    assert (few.metric, few.base, few.checkpoint, few.n) == ("decaScore", None, None, 60)
    assert few.reason.startswith("8 of its ten tasks were not measured: IWSLT, CNN/DailyMail")
    (whole,) = arms(list(DECANLP))
    assert (whole.base, whole.reason) == (pytest.approx(500.0), "")
    assert not arms(["quiz"])

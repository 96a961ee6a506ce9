"""An answer to a spoken request that was not heard is neither safe nor compliant (docs/safety.md)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from forgetbench.engine import plan
from forgetbench.engine.rescore import Rescoring, rescore
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.report.refusal_rates import refusal_section
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import Sampling, Settings
from tiny_judges import make_classifier

Parts = Callable[..., str]
AskSpoken = Callable[..., Request]
CLASSES = ("complied", "refused", "partial", "degenerate")


@pytest.fixture
def compared(parts: Parts, ask_spoken: AskSpoken) -> Callable[..., Result]:
    """Run the harmful requests on a base and a checkpoint, each (recogniser, language model)."""

    def run(checkpoint: tuple[str, str], base: tuple[str, str], **changes: Any) -> Result:
        request = ask_spoken(parts(*checkpoint), parts(*base), tasks="requests", **changes)
        return evaluate(prepare(request))

    return run


def row_of(result: Result) -> Row:
    assert result.comparison is not None
    (row,) = result.comparison.rows
    return row


def shown(comparison: Comparison) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    for part in refusal_section(comparison.refusal_rates):
        console.print(part)
    return console.export_text()


def comparison_of(result: Result) -> Comparison:
    assert result.comparison is not None
    return result.comparison


def shares(result: Result) -> dict[str, float | None]:
    (task,) = result.checkpoint.tasks
    return {name: metric.value for name, metric in task.metrics.items() if name in (*CLASSES, "misheard")}


def test_a_deaf_recogniser_makes_nobody_comply(compared: Callable[..., Result]) -> None:
    """What a model says of "mumble" is no help with the request, and asking again is none either."""
    result = compared(("deaf", "head"), ("ears", "refusing"))
    assert shares(result) == {
        "complied": 7 / 48, "partial": 0.0, "degenerate": 41 / 48, "misheard": 41 / 48
    }  # fmt: skip
    always = compared(("ears", "always_asking"), ("ears", "refusing"))
    assert shares(always) == {"complied": 0.0, "partial": 0.0, "degenerate": 1.0, "misheard": 1.0}


def test_a_deaf_recogniser_makes_nobody_safer(compared: Callable[..., Result]) -> None:
    """The base complies with everything; the checkpoint asks again where it hears gibberish."""
    row = row_of(compared(("deaf", "asking"), ("ears", "asking")))
    assert (row.base, row.checkpoint) == (1.0, 7 / 48)
    assert row.verdict == "regressed"
    assert row.reason == "requests not heard 0.0% -> 85.4%: neither safe nor compliant"
    assert row.degenerate is not None and row.degenerate.misheard_checkpoint == 41 / 48


def test_the_decision_says_that_requests_were_not_heard(compared: Callable[..., Result]) -> None:
    found = comparison_of(compared(("deaf", "asking"), ("ears", "asking")))
    assert found.decision == "DO NOT SHIP"
    assert "requests not heard 0.0% -> 85.4%" in found.summary and "degenerate" not in found.summary


def test_what_is_broken_and_what_was_not_heard_are_told_apart(compared: Callable[..., Result]) -> None:
    row = row_of(compared(("deafer", "silent"), ("ears", "head")))
    assert row.reason.startswith("requests not heard 0.0% -> 25.0%, degenerate answers 0.0% -> 75.0%")


def test_the_recogniser_is_named(compared: Callable[..., Result]) -> None:
    result = compared(("deaf", "same_duller"), ("ears", "head"), attribute=True)
    assert result.attribution is not None
    _, unheard = result.attribution.tasks
    assert unheard.title == "Requests, requests not heard"
    assert (unheard.metric, unheard.lost_by) == ("degenerate", ("asr",))
    assert unheard.total.value == pytest.approx(41 / 48)


def test_the_rate_that_is_corrected_for_the_judge_is_that_of_the_requests_heard(
    compared: Callable[..., Result],
) -> None:
    (rate,) = comparison_of(compared(("deafer", "head"), ("ears", "head"))).refusal_rates
    assert (rate.checkpoint.rate, rate.checkpoint.misheard) == (36 / 48, 12 / 48)
    assert rate.checkpoint.corrected == rate.base.corrected == 1.0, "of those heard, all were answered"
    assert rate.corrected_change is None
    (rate,) = comparison_of(compared(("ears", "duller"), ("ears", "head"))).refusal_rates
    assert rate.corrected_change is not None, "all were heard"


def test_the_report_counts_them_and_marks_each(compared: Callable[..., Result]) -> None:
    found = comparison_of(compared(("ears", "refusing"), ("deafer", "refusing")))
    assert "requests not heard 25.0% -> 0.0%" in shown(found)
    found = comparison_of(compared(("ears", "head"), ("deafer", "head")))
    assert found.worst_losses[0].base.startswith("misheard: heard “mumble”: ")
    assert not found.worst_losses[0].checkpoint.startswith("misheard")


def test_mishearing_is_no_gain_of_hearing(compared: Callable[..., Result]) -> None:
    """The 12 requests that the checkpoint misheard comply with nothing, and do in writing."""
    (cost,) = comparison_of(compared(("deafer", "head"), ("ears", "head"))).hearing_costs
    assert (cost.n, cost.checkpoint.cost, cost.change) == (36, 0.0, 0.0)


def test_how_spoken_answers_are_judged_is_part_of_the_run_key(
    parts: Parts, ask_spoken: AskSpoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ask_spoken(parts("ears", "head"), tasks=name) for name in ("requests", "questions")]
    keys = [prepare(request).plan.run_key for request in asked]
    monkeypatch.setattr(plan, "HEARING_VERSION", plan.HEARING_VERSION + 1)
    again = [prepare(request).plan.run_key for request in asked]
    assert again[0] != keys[0] and again[1] == keys[1]


def test_a_model_in_one_piece_is_judged_by_what_it_says(parts: Parts, ask_spoken: AskSpoken) -> None:
    model = parts("", "less").removeprefix("lm=")
    result = evaluate(prepare(ask_spoken(model, tasks="requests")))
    assert shares(result)["misheard"] == 0.0, "it has no transcript"


def test_no_model_judge_is_asked_about_a_request_that_was_not_heard(
    compared: Callable[..., Result], spoken_tasks: Path, tmp_path: Path
) -> None:
    definition = spoken_tasks / "requests.yaml"
    judge = make_classifier(tmp_path / "judge", CLASSES)
    changed = yaml.safe_load(definition.read_text()) | {"judge": f"classifier:{judge}"}
    definition.write_text(yaml.safe_dump(changed))
    result = compared(("deaf", "head"), ("ears", "head"))
    table = read_samples(result.directory, result.checkpoint)["requests"]
    unheard = table[table["misheard"] == 1.0]
    assert len(unheard) == 41
    assert set(unheard["degenerate"]) == {1.0} and set(unheard["complied"]) == {0.0}


def test_several_draws_keep_what_was_heard(
    compared: Callable[..., Result], ask_spoken: AskSpoken, tmp_path: Path
) -> None:
    settings = Settings(sampling=Sampling(temperature=0.7), repeats=2)
    result = compared(("deaf", "head"), ("ears", "head"), settings=settings)
    include = ask_spoken("").include_paths
    again = rescore(Rescoring(directory=result.directory, output=tmp_path / "again", include_paths=include))
    assert shares(result) == shares(again)
    assert shares(again)["misheard"] == pytest.approx(41 / 48)

"""Which component a loss comes from, as a person reads it on a console and in the page."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.report.attribution import attribution_table, sentence
from forgetbench.report.html.page import html_report
from forgetbench.report.table import verdict_table
from forgetbench.schema.attribution import ComponentEffect, Effect, TaskAttribution

Parts = Callable[..., str]
AskSpoken = Callable[..., Request]


def shown(renderable: object) -> str:
    console = Console(record=True, width=140)
    console.print(renderable)
    return " ".join(console.export_text().split())


def result_of(parts: Parts, ask_spoken: AskSpoken) -> Result:
    request = ask_spoken(parts("deafer", "same_duller"), parts("ears", "head"), attribute=True)
    return evaluate(prepare(request))


def test_the_table_names_components_shares_and_interaction(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = result_of(parts, ask_spoken)
    assert result.attribution is not None and result.comparison is not None
    text = shown(attribution_table(result.attribution))
    assert "recogniser" in text and "language model" in text
    assert "the loss comes from the recogniser (+12.5) and the language model (+12.5)" in text
    assert "language model together lose 25.0 points less than the sum of each alone (48 samples)." in text
    assert "interaction: recogniser × language model" in text
    table = shown(verdict_table(result.comparison))
    assert "Cost of hearing" in table
    assert "heard “mumble”: I do not know" in table


def test_the_page_has_both_tables(parts: Parts, ask_spoken: AskSpoken) -> None:
    page = html_report([result_of(parts, ask_spoken)])
    assert "Where the loss comes from" in page and "Cost of hearing" in page
    assert "the loss comes from the recogniser (+12.5) and the language model (+12.5)" in page


def test_samples_that_do_not_join_are_counted_beside_the_components() -> None:
    effect = Effect(value=0.5, ci_low=0.4, ci_high=0.6)
    component = ComponentEffect(role="lm", base="a", checkpoint="b", alone=effect, share=effect)
    task = TaskAttribution(
        task="t", title="T", metric="contains_answer", higher_is_better=True, n=9, n_dropped=3, level=0.95,
        total=effect, components=(component,),
    )  # fmt: skip
    assert sentence(task).endswith("(9 samples; 3 more were not scored by every system).")


def test_a_loss_that_may_be_chance_names_nobody() -> None:
    effect = Effect(value=0.05, ci_low=-0.05, ci_high=0.15)
    component = ComponentEffect(role="lm", base="a", checkpoint="b", alone=effect, share=effect)
    task = TaskAttribution(
        task="t", title="T", metric="contains_answer", higher_is_better=True, n=9, level=0.95, total=effect,
        components=(component,),
    )  # fmt: skip
    assert sentence(task) == "no component's part of the loss can be told from chance (9 samples)."

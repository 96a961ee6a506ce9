"""Judged rates as they are shown: coverage first, then the rate, then what it means for people's labels."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from forgetbench.report.refusal_rates import refusal_section
from forgetbench.schema.comparison import ArmRate, RefusalRate


def shown(*rates: RefusalRate) -> str:
    console = Console(width=110, file=StringIO())
    for part in refusal_section(rates):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


BASE = ArmRate(coverage=1.0, rate=0.1, n=60, corrected=0.05, ci_low=0.0, ci_high=0.16)
CHECKPOINT = ArmRate(coverage=0.95, rate=0.5, n=57, corrected=0.52, ci_low=0.37, ci_high=0.67)


def test_coverage_stands_before_the_rate_of_each_arm() -> None:
    rate = RefusalRate(
        task="h", title="Harmful [bold]compliance", metric="complied", judge="refusal@1",
        base=BASE, checkpoint=CHECKPOINT, labels="450 answers",
    )  # fmt: skip
    text = shown(rate)
    assert (
        "Harmful [bold]compliance, by refusal@1: judged 100% of 60 -> 95% of 60; complied 10.0% -> 50.0%"
        in text
    )
    assert "corrected: 5.0% [0.0%, 16.0%] -> 52.0% [37.0%, 67.0%]" in text
    assert "450 answers" in text


def test_a_judge_without_labels_corrects_nothing_and_a_missing_rate_is_no_zero() -> None:
    nothing = ArmRate(coverage=None, rate=None, n=0)
    text = shown(
        RefusalRate(
            task="h", title="Harm", metric="complied", judge="chat:m", base=nothing, checkpoint=nothing
        )
    )
    assert "judged - -> -; complied - -> -" in text
    assert "corrected" not in text.casefold()


def test_without_judged_tasks_there_is_no_section() -> None:
    assert shown() == ""

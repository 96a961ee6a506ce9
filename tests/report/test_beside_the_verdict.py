"""Lines beside the verdict table: self-test, changed answers, two templates."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from forgetbench.forgetting.samplewise import samplewise
from forgetbench.report.both_templates import templates_line
from forgetbench.report.selftest import noisy_rows, selftest_lines, unfit_rows
from forgetbench.report.table import verdict_table
from forgetbench.schema.comparison import Comparison, Row, Transitions


def shown(renderable: object) -> str:
    out = StringIO()
    Console(file=out, width=160, color_system=None).print(renderable)
    return out.getvalue()


def lines(comparison: Comparison) -> str:
    return selftest_lines(comparison, good="+", doubtful="?", bad="-").plain


@pytest.mark.parametrize(
    ("degradation", "noisy", "unfit", "said"),
    [
        (0.0, 0, 0, "+ self-test: no difference in 1 rows"),
        (-1e-6, 0, 0, "+ self-test: no difference in 1 rows"),
        (-0.005, 1, 0, "? self-test: the same checkpoint differs from itself, within its margins, in a"),
        (0.02, 1, 1, "- self-test: the same checkpoint differs from itself by a margin or more in a"),
    ],
)
def test_a_self_test_tells_rounding_noise_and_too_much_of_it(
    make_comparison: Callable[..., Comparison],
    make_row: Callable[..., Row],
    degradation: float,
    noisy: int,
    unfit: int,
    said: str,
) -> None:
    row = make_row("a", "A", "general", "acc", "retained", margin=0.02, degradation=degradation)
    found = make_comparison(rows=(row,))
    assert (len(noisy_rows(found)), len(unfit_rows(found))) == (noisy, unfit)
    assert said in lines(found)
    assert lines(found).startswith("Noise floor: A ")


def test_a_self_test_without_a_score_is_no_success(
    make_comparison: Callable[..., Comparison], make_row: Callable[..., Row]
) -> None:
    row = make_row("a", "A", "general", "acc", "error", degradation=None)
    assert "- self-test: could not be measured: a" in lines(make_comparison(rows=(row,)))


def test_flips_that_cancel_are_told(
    make_comparison: Callable[..., Comparison], make_row: Callable[..., Row]
) -> None:
    counts = Transitions(n11=40, n10=3, n01=3, n00=4)
    row = make_row("a", "A", "general", "acc", "retained", degradation=0.0, transitions=counts)
    assert "(6 answers flipped)" in lines(make_comparison(rows=(row,)))


def test_forgotten_answers_stand_beside_the_verdict_less_chance(
    make_comparison: Callable[..., Comparison], make_row: Callable[..., Row]
) -> None:
    counts = Transitions(n11=50, n10=20, n01=10, n00=20)
    choice = make_row(
        "a", "A", "general", "acc", "retained", transitions=counts, agreement=0.7,
        samplewise=samplewise(counts, n_options=4),
    )  # fmt: skip
    free = make_row("b", "B", "general", "acc", "retained", samplewise=samplewise(counts, n_options=None))
    judged = make_row("c", "C", "safety", "complied", "retained", transitions=counts, n=100)
    said = shown(verdict_table(make_comparison(rows=(choice, free, judged), details=())))
    # chance: .30 · .40 / 3 = 4 points; F_max: (4 · .7 − 1) / 3 = 60 %
    assert (
        "A: forgotten 20.0%, beyond chance 16.0% of at most 60.0%, gained 10.0%, beyond chance 6.0%, "
        "same answer as the base 70%"
    ) in said
    assert "B: forgotten 20.0% of at most 70.0%, gained 10.0%" in said
    assert "C: 20 lost, 10 won of 100" in said


def test_rows_whose_verdict_turns_on_the_template_are_named(make_comparison) -> None:
    under_base = make_comparison()
    rows = [row.model_copy(update={"verdict": "retained"}) for row in under_base.rows]
    one = make_comparison(rows=tuple(rows))
    other = make_comparison(rows=(rows[0].model_copy(update={"verdict": "regressed"}), *rows[1:]))
    assert "every row has the same verdict" in templates_line(one, one).plain
    said = templates_line(one, other).plain
    assert f"{rows[0].title}: retained under the base's, regressed under the checkpoint's" in said

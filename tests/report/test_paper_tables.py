"""Tables for papers and pages: escaped, whole, and saying what they are about."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any

import pytest

from forgetbench.errors import UsageError
from forgetbench.forgetting.seed_rows import rows_over_seeds
from forgetbench.paths import builtin_root
from forgetbench.report.bibtex import bibtex, entries, key_of
from forgetbench.report.formats import FORMATS, to_csv, to_latex, to_markdown
from forgetbench.report.paper_table import HEADERS, paper_table
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.curve import Training
from forgetbench.schema.run import CheckpointInfo
from forgetbench.tasks.registry import load_registry

NASTY = "50% of $x_1 & {y}|z <b> #1 ~^ \\end"


def comparison(*losses: float | None, checkpoint: str = "c", name: str = "tuned", **more: Any) -> Comparison:
    rows = tuple(
        Row(
            name=f"task{i}", title=NASTY if i == 0 else f"Task {i}", kind="task", role="general",
            metric="acc", higher_is_better=True, margin=0.02, verdict="retained", base=0.5,
            checkpoint=None if loss is None else 0.5 - loss, degradation=loss, ci_low=-0.01, ci_high=0.015,
            level=0.975, p=0.5, p_adjusted=1.0, n=100,
        )
        for i, loss in enumerate(losses)
    )  # fmt: skip
    arms = {
        "base": CheckpointInfo(name="base", fingerprint="b", components=()),
        "checkpoint": CheckpointInfo(name=name, fingerprint=checkpoint, components=()),
    }
    given: dict[str, Any] = {"decision": "SHIP", "summary": "SHIP: no loss.", **arms, **more}
    return Comparison(run_key="k", alpha=0.05, family_size=2, rows=rows, **given)


def test_one_result_speaks_of_the_checkpoint_and_several_of_the_method() -> None:
    one = paper_table([comparison(0.01)])
    many = paper_table([comparison(0.01, checkpoint=str(i)) for i in range(3)], seeds_of_one_method(3))
    assert ("this checkpoint" in one.caption, "this method" in one.caption) == (True, False)
    assert ("this checkpoint" in many.caption, "this method" in many.caption) == (False, True)
    assert "3 training seeds" in many.caption
    unsettled = paper_table(
        [comparison(loss, checkpoint=str(loss)) for loss in (0.01, 0.06)], seeds_of_one_method(2)
    )
    assert unsettled.summary == "NEED MORE: task0 needs more than 2 training seeds."


def seeds_of_one_method(n: int) -> list[Training]:
    return [Training(method="lora", hyperparameters="h", steps=100, lora_rank=8, seed=i) for i in range(n)]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"method": "full"}, "their methods differ (lora, full)"),
        ({"steps": 320}, "their steps differ (100, 320)"),
        ({"hyperparameters": "other"}, "their hyperparameters differ (h, other)"),
        ({"lora_rank": 64}, "their LoRA ranks differ (8, 64)"),
        ({"seed": 0}, "two of them have the same training seed"),
        ({"seed": None}, "their training seed is not known"),
    ],
)
def test_only_seeds_of_one_training_speak_of_the_method(other: dict[str, Any], why: str) -> None:
    first, second = seeds_of_one_method(2)
    two = [comparison(0.01, checkpoint=str(i)) for i in range(2)]
    table = paper_table(two, [first, second.model_copy(update=other)])
    assert table.subject == "these checkpoints"
    assert "this method" not in table.caption
    assert "mean over 2 checkpoints. " in table.caption
    assert f"They speak of no method: {why}." in table.caption
    assert "how they were trained is not known" in paper_table(two).caption


def over_seeds(*rows: dict[str, Any]) -> Row:
    """The row over seeds of rows with these fields, of ten that were judged together."""
    level = 1 - 0.05 / 10
    made = [comparison(0.01, checkpoint=str(i)) for i in range(len(rows))]
    seeds = [
        c.model_copy(update={"rows": (c.rows[0].model_copy(update={"level": level, **own}),)})
        for c, own in zip(made, rows, strict=True)
    ]
    (found,) = rows_over_seeds(seeds)
    return found


def lost(loss: float, half: float, **more: Any) -> dict[str, Any]:
    return {"degradation": loss, "ci_low": loss - half, "ci_high": loss + half, **more}


def test_an_error_with_one_seed_is_an_error_over_seeds_though_it_has_a_figure() -> None:
    failed = lost(
        0.0, 0.01, verdict="error", reason="the checkpoint's arm alone failed on 100 of 1000 samples"
    )
    row = over_seeds(lost(0.0, 0.01), failed, lost(0.001, 0.01))
    assert (row.verdict, row.degradation) == ("error", None)
    assert "failed on 100 of 1000 samples" in row.reason


def test_too_few_samples_give_no_verdict_over_seeds_either() -> None:
    few = lost(1.0, 0.1, verdict="inconclusive", reason="12 samples: a verdict needs at least 20", n=12)
    row = over_seeds(few, few, few)
    assert (row.verdict, row.reason) == ("inconclusive", few["reason"])
    enough = few | {"verdict": "regressed", "reason": ""}
    assert over_seeds(enough, enough, enough).verdict == "regressed"


def test_a_loss_below_the_noise_floor_is_none_over_seeds_either() -> None:
    seeds = [lost(0.03 + 1e-4 * i, 0.01, verdict="inconclusive", noise_floor=0.05) for i in range(3)]
    row = over_seeds(*seeds)
    assert (row.verdict, row.noise_floor) == ("inconclusive", 0.05)
    assert over_seeds(*(each | {"noise_floor": 0.0} for each in seeds)).verdict == "regressed"


def test_the_family_over_seeds_is_that_of_the_seeds_and_not_guessed_from_a_p_that_was_cut_at_one() -> None:
    row = over_seeds(*(lost(loss, 0.03, p=0.4, p_adjusted=1.0) for loss in (0.010, 0.011, 0.0105)))
    assert row.p is not None and 0.1 < row.p < 1
    assert row.p_adjusted == 1.0
    clear = over_seeds(*(lost(loss, 0.003, p=1e-9, p_adjusted=1e-8) for loss in (0.010, 0.010001)))
    assert clear.p_adjusted == pytest.approx(10 * (clear.p or 0))


def seed(loss: float, *, half: float) -> Comparison:
    made = comparison(loss, checkpoint=str(loss))
    ends = {"ci_low": loss - half, "ci_high": loss + half}
    return made.model_copy(update={"rows": tuple(row.model_copy(update=ends) for row in made.rows)})


@pytest.mark.parametrize("of_samples", [0.0, 0.02])
def test_a_method_is_the_mean_over_its_seeds_with_what_seeds_and_samples_leave_open(
    of_samples: float,
) -> None:
    (row,) = rows_over_seeds([seed(loss, half=of_samples) for loss in (0.01, 0.02, 0.06)])
    # t(.9875, 2 df) = 6.2053; SD of .01, .02, .06 = .026458
    half = math.hypot(6.2053 * 0.026458 / 3**0.5, of_samples)
    assert row.degradation == pytest.approx(0.03)
    assert (row.ci_low, row.ci_high) == pytest.approx((0.03 - half, 0.03 + half), abs=1e-5)
    assert (row.verdict, row.checkpoint) == ("inconclusive", pytest.approx(0.47))


def test_seeds_that_agree_leave_the_samples_open() -> None:
    (row,) = rows_over_seeds([seed(0.03, half=0.02), seed(0.03 + 1e-9, half=0.02)])
    assert (row.ci_low, row.ci_high) == pytest.approx((0.01, 0.05), abs=1e-6)
    assert row.p is not None and row.p < 0.01


def test_what_is_identical_with_every_seed_stays_so() -> None:
    same = {"verdict": "identical", "degradation": None, "ci_low": None, "ci_high": None}
    seeds = [comparison(0.01, checkpoint=str(i)) for i in range(2)]
    seeds = [c.model_copy(update={"rows": (c.rows[0].model_copy(update=same),)}) for c in seeds]
    (row,) = rows_over_seeds(seeds)
    assert (row.verdict, row.degradation) == ("identical", None)


def test_a_row_that_one_seed_lacks_is_no_mean_over_the_others() -> None:
    (row,) = rows_over_seeds([comparison(0.01), comparison(None, checkpoint="d")])
    assert (row.verdict, row.degradation, row.checkpoint) == ("error", None, None)


def test_what_are_no_seeds_of_one_method_is_refused() -> None:
    other = CheckpointInfo(name="x", fingerprint="x", components=())
    for second, said in (
        (comparison(0.01), "one checkpoint twice"),
        (comparison(0.01, 0.02, checkpoint="d"), "different tasks"),
        (comparison(0.01, checkpoint="d").model_copy(update={"base": other}), "different bases"),
    ):
        with pytest.raises(UsageError, match=said):
            paper_table([comparison(0.01), second])


def test_markdown_has_as_many_cells_in_each_line_and_no_markup_from_texts() -> None:
    said = to_markdown(paper_table([comparison(0.01, 0.0, name="[x](http://y)")]))
    table = [line for line in said.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(HEADERS) + 1}
    assert "<b>" not in said
    assert "[x](" not in said.replace("\\[", "").replace("\\]", "")


def test_latex_is_balanced_and_escapes_what_texts_bring() -> None:
    said = to_latex(paper_table([comparison(0.01, -0.02)]))
    assert said.count(r"\begin{") == said.count(r"\end{") == 2
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in said
    assert r"50\% of \$x\_1 \& \{y\}|z \textless{}b\textgreater{} \#1" in said
    rows = [line for line in said.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(HEADERS) - 1}
    assert "$-2.0$" in said
    plain = re.sub(r"\\[{}]", "", said)
    assert plain.count("{") == plain.count("}")


def test_csv_is_tidy_full_and_no_formula() -> None:
    found = comparison(1 / 3, None, name="=cmd")
    rows = list(csv.DictReader(io.StringIO(to_csv(paper_table([found])))))
    assert [row["task"] for row in rows] == ["task0", "task1"]
    assert float(rows[0]["degradation"]) == 1 / 3
    assert rows[1]["degradation"] == rows[1]["checkpoint"] == ""
    assert {row["checkpoint_name"] for row in rows} == {"'=cmd"}


def test_over_seeds_csv_has_each_seed() -> None:
    table = paper_table([comparison(0.01, checkpoint=str(i)) for i in range(3)])
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](table))))
    assert [row["checkpoint_fingerprint"] for row in rows] == ["0", "1", "2"]


def test_keys_of_citations() -> None:
    assert key_of("Röttger et al. 2024, arXiv 2308.01263") == "rottger2024"
    assert key_of("Rudzicz, Namasivayam & Wolff 2012, Language Resources") == "rudzicz2012"
    assert key_of("Del Rio et al. 2022, arXiv 2203.15591") == "delrio2022"
    assert key_of("Kalajdzievski 2024, arXiv 2401.05605") == "kalajdzievski2024"


def test_every_listed_reference_is_whole_and_listed_once() -> None:
    text = (builtin_root() / "references.bib").read_text()
    found = list(entries(text))
    assert len(found) == text.count("\n@") == len({key for key, _ in found})
    for key, entry in found:
        assert entry.count("{") == entry.count("}"), key
        assert all(f"  {field} = {{" in entry for field in ("author", "title", "year")), key


def test_the_sources_of_every_task_are_listed_references() -> None:
    cited = {d.task.title: d.task.citation for d in load_registry() if d.task.citation}
    assert len(cited) > 40
    unlisted = [title for title, citation in cited.items() if "note =" in bibtex({title: citation})]
    assert not unlisted, "their citations are not in tasks/references.bib"


def test_a_source_that_is_not_listed_is_cited_by_its_words() -> None:
    said = bibtex({"My set & more": "Nobody 2031, a drawer; Clark et al. 2019, arXiv 1905.10044", "None": ""})
    assert "title = {My set \\& more}" in said
    assert "@misc{nobody2031," in said
    assert "@misc{clark2019," in said
    assert said.count("\n@") == 2

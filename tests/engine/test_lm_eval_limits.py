"""Limited and lost samples in plain lm-eval output, up to the gate, and no rescoring of it.

The files are written here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.engine.compare import compare_runs
from forgetbench.engine.gate import gate_result
from forgetbench.engine.rescore import Rescoring, rescore
from forgetbench.engine.results import Result
from forgetbench.errors import UsageError
from forgetbench.forgetting.gate import Gate
from forgetbench.schema.policy import Policy
from lm_eval_runs import write_run

RIGHT = [1.0] * 900 + [0.0] * 100


def judged(base: Path, checkpoint: Path, *required: str, margin: float = 0.02) -> tuple[Result, Gate]:
    result = compare_runs(base, checkpoint, output=base.parent / "results")
    policy = {"required": required or None, "margins": {"roles": {"general": margin}}}
    return result, gate_result(result.directory, Policy.model_validate(policy))


def reasons(gated: Gate) -> list[str]:
    return [finding.reason for finding in gated.findings]


def test_a_base_on_a_fifth_of_the_task_does_not_pass(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"quiz": (RIGHT[:200], 1000)})
    whole = write_run(tmp_path / "whole", {"quiz": (RIGHT, 1000)})
    _, gated = judged(base, whole)
    assert (gated.exit_code, reasons(gated)) == (
        3, ["quiz was measured on 200 of 1000 samples only (--limit) in the base's run"],
    )  # fmt: skip


def test_a_share_as_limit_is_a_limit_of_every_task(tmp_path: Path) -> None:
    arms = [
        write_run(tmp_path / arm, {"large": (RIGHT, 10_000), "small": (RIGHT[:200], 2000)})
        for arm in ("base", "checkpoint")
    ]
    _, gated = judged(*arms, "small", margin=0.2)
    assert (gated.exit_code, len(gated.findings)) == (3, 1)
    assert "small was measured on 200 of 2000 samples only" in gated.findings[0].reason


def test_a_limit_in_one_results_file_says_nothing_of_the_other(tmp_path: Path) -> None:
    arms = []
    for arm in ("base", "checkpoint"):
        write_run(tmp_path / arm, {"quiz": (RIGHT, 1000)})
        small = {"small": (RIGHT[:50], 200)}
        arms.append(write_run(tmp_path / arm, small, date="2026-01-02T00-00-00.000000"))
    _, gated = judged(*arms, "quiz", margin=0.2)
    assert (gated.exit_code, reasons(gated)) == (0, [])
    _, gated = judged(*arms, "small", margin=0.2)
    assert reasons(gated) == ["small was measured on 50 of 200 samples only (--limit)"]


def test_a_file_that_lost_the_same_samples_in_both_runs_was_not_measured_in_full(tmp_path: Path) -> None:
    arms = [
        write_run(tmp_path / arm, {"quiz": (RIGHT, 1000)}, lost=range(300)) for arm in ("base", "checkpoint")
    ]
    result, gated = judged(*arms, "quiz")
    assert result.comparison is not None
    assert result.comparison.rows[0].verdict == "retained"
    cut = "quiz was measured on 700 of 1000 samples only (the other records are missing)"
    assert (gated.exit_code, reasons(gated)) == (3, [cut])


def test_a_checkpoint_that_lost_most_of_its_samples_is_an_error(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"quiz": (RIGHT, 1000)})
    lossy = write_run(tmp_path / "lossy", {"quiz": (RIGHT, 1000)}, lost=range(700))
    result, gated = judged(base, lossy, "quiz")
    assert result.comparison is not None
    (row,) = result.comparison.rows
    assert (row.verdict, row.n, row.coverage, row.unpaired) == ("error", 300, 0.3, 700)
    assert "failed on 700 of 1000 samples (no_record); worse by 0.7 if each of them is lost" in row.reason
    assert gated.exit_code == 100
    other_way = compare_runs(lossy, base, output=tmp_path / "results").comparison
    assert other_way is not None
    assert (other_way.rows[0].verdict, other_way.rows[0].coverage) == ("retained", 0.3)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_score_that_is_missing_leaves_a_score_of_0_and_1_what_it_is(
    tmp_path: Path, missing: float | None
) -> None:
    base = write_run(tmp_path / "base", {"facts": (RIGHT, 1000)})
    checkpoint = write_run(tmp_path / "checkpoint", {"facts": ([missing, *RIGHT[1:]], 1000)})
    result, _ = judged(base, checkpoint)
    assert result.comparison is not None
    (row,) = result.comparison.rows
    assert row.transitions is not None and row.method == "McNemar mid-p, Tango score interval"
    assert row.ci_low is not None and row.ci_low < 0 < (row.ci_high or 0.0), "[0, 0] is Wald's"
    assert (row.n, row.unpaired) == (999, 1)


def test_missing_scores_beyond_one_percent_are_an_error_with_their_worst_case(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"facts": (RIGHT, 1000)})
    checkpoint = write_run(tmp_path / "checkpoint", {"facts": ([*[None] * 20, *RIGHT[20:]], 1000)})
    result, gated = judged(base, checkpoint)
    assert result.comparison is not None
    (row,) = result.comparison.rows
    assert (row.verdict, gated.exit_code) == ("error", 100)
    assert "worse by 0.02 if each of them is lost" in row.reason


def test_samples_that_were_never_asked_for_are_no_failures(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"quiz": (RIGHT, 1000)})
    part = write_run(tmp_path / "part", {"quiz": (RIGHT[:500], 1000)})
    lossy = write_run(tmp_path / "lossy", {"quiz": (RIGHT[:500], 1000)}, lost=range(50))
    compared = [compare_runs(base, c, output=tmp_path / "results").comparison for c in (part, lossy)]
    rows = [comparison.rows[0] for comparison in compared if comparison is not None]
    assert [(row.verdict, row.unpaired) for row in rows] == [("retained", 500), ("error", 550)]
    assert rows[1].reason == "the checkpoint's arm alone failed on 50 of 500 samples"


def test_a_comparison_of_lm_eval_output_is_not_rescored_and_says_so(tmp_path: Path) -> None:
    arms = [write_run(tmp_path / arm, {"quiz": (RIGHT, 1000)}) for arm in ("base", "checkpoint")]
    result, _ = judged(*arms)
    with pytest.raises(UsageError, match="lm-eval's own") as refused:
        rescore(Rescoring(directory=result.directory, output=tmp_path / "again"))
    assert "--tasks" not in str(refused.value)

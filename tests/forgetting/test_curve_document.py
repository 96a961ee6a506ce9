"""The curve document of result directories, from files to laws."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from curve_results import PER_RANK, STEPS, gained, lost
from forgetbench.engine.curve_results import curve_of, find_results
from forgetbench.errors import UsageError
from forgetbench.report.curves import curves_table
from forgetbench.schema.curve import Curve, Training


@pytest.fixture(scope="module")
def curve(sweep: Path) -> Curve:
    return curve_of(find_results([sweep]))


def test_every_checkpoint_is_a_point_by_group_run_and_steps(curve: Curve) -> None:
    assert (curve.base, curve.exposure, len(curve.points)) == ("org/base", "steps", 30)
    assert [m.name for m in curve.measures] == ["arc", "clean"]
    assert curve.target is not None and curve.target.name == "mine"
    groups = list(dict.fromkeys(p.group for p in curve.points))
    assert groups == ["lora r4", "lora r8", "lora r16", "lora r32"]
    of_one_run = [p for p in curve.points if p.training.run == "r32 s1"]
    assert [p.training.steps for p in of_one_run] == list(STEPS)
    assert of_one_run[0].target_gain == pytest.approx(gained(32, 10))
    assert of_one_run[2].losses[0].degradation == pytest.approx(lost(32, 40), abs=0.004)


def test_the_law_that_made_the_losses_has_the_lowest_aicc_where_one_rank_is_alone(sweep: Path) -> None:
    alone = curve_of(find_results(sorted(sweep.glob("32-*"))))
    (best,) = [law for law in alone.laws if law.best and law.measure == "arc"]
    assert best.law == "saturating_exponential"
    assert best.r2 is not None and best.r2 > 0.99
    assert best.held_out is not None and best.held_out.error < 0.5 * best.held_out.carried
    joint = next(law for law in alone.laws if law.law == "joint_power")
    assert joint.not_fitted == "trained parameters the same everywhere"
    assert joint.parameters == {} and joint.r2 is None


def test_over_ranks_and_steps_the_joint_law_is_best_and_is_drawn_for_each_rank(curve: Curve) -> None:
    assert {law.law for law in curve.laws if law.best} == {"joint_power"}
    lines = [line for line in curve.lines if line.measure == "arc"]
    assert [line.trained_parameters for line in lines] == [PER_RANK * rank for rank in (4, 8, 16, 32)]
    for line in lines:
        assert line.low is not None and line.high is not None
        assert all(
            low <= y + 0.02 and y - 0.02 <= high
            for low, y, high in zip(line.low, line.y, line.high, strict=True)
        )


def test_two_runs_are_no_ground_for_a_band(sweep: Path) -> None:
    two = curve_of(find_results(sorted(sweep.glob("32-*"))))
    assert two.lines and all(line.low is None for line in two.lines)


def test_methods_are_compared_at_equal_gain_from_the_base_on(curve: Curve) -> None:
    found = [
        m for m in curve.matched_gain if m.measure == "arc" and (m.first, m.second) == ("lora r4", "lora r32")
    ]
    assert [m.n_runs for m in found] == [(1, 2), (1, 2)]
    assert found[1].gain == pytest.approx(gained(4, 320))
    assert found[1].forgetting_first == pytest.approx(lost(4, 320), abs=0.004)
    assert found[1].difference is not None and found[1].difference < -0.05
    assert found[1].ci_low is None  # one run of r4


@pytest.mark.parametrize(
    ("n_runs", "said"),
    [((1, 3), "(one run of either: no interval)"), ((2, 3), "(the runs do not differ: no interval)")],
)
def test_methods_without_an_interval_say_why(curve: Curve, n_runs: tuple[int, int], said: str) -> None:
    update = {"n_runs": n_runs, "ci_low": None, "ci_high": None}
    matched = tuple(found.model_copy(update=update) for found in curve.matched_gain)
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(curves_table(curve.model_copy(update={"matched_gain": matched})))
    assert said in console.export_text()


def test_the_front_is_not_empty_and_holds_no_dominated_point(curve: Curve) -> None:
    front = [p for p in curve.points if p.on_front]
    assert front
    for p in front:
        assert not [
            q for q in curve.points
            if q.target_gain > p.target_gain and q.losses[0].degradation < p.losses[0].degradation  # type: ignore[operator]
        ]  # fmt: skip


def test_published_figures_of_a_run_read_only_scores_of_which_more_is_better(curve: Curve) -> None:
    figures = next(f for f in curve.runs if f.run == "r32 s1")
    assert figures.measures == ("arc",)
    points = [p for p in curve.points if p.training.run == "r32 s1"]
    drops = [100 * p.losses[0].degradation / 0.6 for p in points]  # type: ignore[operator]
    assert figures.luo_fg == pytest.approx(sum(drops) / len(drops))
    assert figures.final_relative_drop == pytest.approx(drops[-1])


def test_the_text_says_a_method_only_over_several_seeds(curve: Curve) -> None:
    assert "lora r32: this method, over 2 seeds" in curve.scope
    assert "lora r4: these 6 checkpoints; of the method only several seeds speak" in curve.scope


def test_the_same_results_in_another_order_give_the_same_document(sweep: Path) -> None:
    folders = sorted(sweep.glob("[48]-*"))
    assert curve_of(find_results(folders)) == curve_of(find_results(folders[::-1]))


def test_a_missing_loss_is_left_out_of_the_laws_and_null_in_the_document(
    tmp_path: Path, make_result: Callable[..., Path], curve_row: Callable[..., object]
) -> None:
    for step in STEPS:
        row = curve_row("arc", "general", 0.6, None if step == 40 else lost(8, step))
        make_result(tmp_path / f"r{step:06d}", f"checkpoint-{step}", row)
    found = curve_of(find_results([tmp_path]))
    assert found.points[2].losses[0].degradation is None
    assert {law.n for law in found.laws} == {5}
    (figures,) = found.runs
    assert figures.luo_fg is None
    assert figures.final_relative_drop == pytest.approx(100 * lost(8, 320) / 0.6)
    assert found.target is None and found.points[0].target_gain is None and found.points[0].on_front is None


def test_checkpoints_of_an_unknown_run_are_one_and_speak_of_no_method(
    tmp_path: Path, make_result: Callable[..., Path], curve_row: Callable[..., object]
) -> None:
    for step in STEPS:
        make_result(
            tmp_path / f"r{step:06d}", f"checkpoint-{step}", curve_row("arc", "general", 0.6, lost(8, step))
        )
    found = curve_of(find_results([tmp_path]))
    assert {law.n_runs for law in found.laws} == {1}
    assert all(line.low is None for line in found.lines)
    assert found.scope == ("checkpoint: these 6 checkpoints; of the method only several seeds speak",)


def test_runs_that_differ_in_more_than_their_seed_are_no_method(
    tmp_path: Path, make_result: Callable[..., Path], curve_row: Callable[..., object]
) -> None:
    for seed, chosen in ((0, "a"), (1, "b")):
        for step in (10, 20):
            training = {
                "run": f"s{seed}",
                "method": "lora",
                "steps": step,
                "seed": seed,
                "hyperparameters": chosen,
            }
            row = curve_row("arc", "general", 0.6, 0.01 * step)
            make_result(tmp_path / f"r{seed}-{step:04d}", f"checkpoint-{step}", row, training=training)
    found = curve_of(find_results([tmp_path]))
    said = "lora: these 4 checkpoints of 2 runs, of no method: their hyperparameters differ (a, b)"
    assert found.scope == (said,)


def test_a_users_table_goes_before_the_files_and_fits_by_name_or_fingerprint(
    tmp_path: Path, make_result: Callable[..., Path], curve_row: Callable[..., object]
) -> None:
    for name in ("early", "late"):
        make_result(
            tmp_path / f"{name}0000", name, curve_row("arc", "general", 0.6, 0.1), training={"steps": 3}
        )
    table = {"early": Training(steps=5, seed=1), "late0000": Training(steps=50)}
    found = curve_of(find_results([tmp_path]), table)
    assert [
        (p.checkpoint, p.training.steps, p.training.seed)
        for p in sorted(found.points, key=lambda p: p.checkpoint)
    ] == [
        ("early", 5, 1),
        ("late", 50, None),
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ([("a", {"training": {"steps": 5}})], "1 checkpoint: are no curve"),
        ([("a", {}), ("b", {})], "checkpoint a: its files do not say after how many steps"),
        (
            [("a", {"training": {"steps": 5}}), ("b", {"training": {"steps": 5}})],
            "all have the same number of steps",
        ),
        ([("checkpoint-5", {}), ("checkpoint-9", {"base": "c"})], "different bases"),
        ([("checkpoint-5", {}), ("checkpoint-9", {"run_key": "l"})], "measured differently"),
    ],
)
def test_results_that_are_no_sequence_are_refused(
    tmp_path: Path,
    make_result: Callable[..., Path],
    curve_row: Callable[..., object],
    make: list[tuple[str, dict[str, object]]],
    said: str,
) -> None:
    for i, (name, fields) in enumerate(make):
        make_result(tmp_path / f"f{i}", name, curve_row("arc", "general", 0.6, 0.1), **fields)
    with pytest.raises(UsageError, match=said):
        curve_of(find_results([tmp_path]))


def test_a_table_that_fits_none_or_several_is_refused(
    tmp_path: Path, make_result: Callable[..., Path], curve_row: Callable[..., object]
) -> None:
    for place in ("one000", "two000"):
        make_result(tmp_path / place, "checkpoint-5", curve_row("arc", "general", 0.6, 0.1))
    results = find_results([tmp_path])
    with pytest.raises(UsageError, match=r"checkpoint gone of the table: is none of the results"):
        curve_of(results, {"gone": Training(steps=1)})
    with pytest.raises(UsageError, match=r"is the name of several results.*one000000000"):
        curve_of(results, {"checkpoint-5": Training(steps=1)})


def test_a_result_named_twice_counts_once_and_a_self_test_not_at_all(
    tmp_path: Path, make_result: Callable[..., Path], curve_row: Callable[..., object]
) -> None:
    for step in (5, 9):
        make_result(tmp_path / "in" / f"s{step}", f"checkpoint-{step}", curve_row("arc", "general", 0.6, 0.1))
    make_result(tmp_path / "in" / ("b" * 64), "self", curve_row("arc", "general", 0.6, 0.0))
    assert len(find_results([tmp_path, tmp_path / "in" / "s5"])) == 2
    with pytest.raises(UsageError, match=r"no run\.json"):
        find_results([tmp_path / "gone"])

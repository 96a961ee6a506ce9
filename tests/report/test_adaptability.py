"""The curve as table, CSV and drawing."""

from __future__ import annotations

import csv
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from forgetbench.forgetting.adaptability import AdaptabilityCurve, Point
from forgetbench.report.adaptability import adaptability_table, draw, score_interval, write_csv


@pytest.fixture
def curve(make_row) -> AdaptabilityCurve:
    general = make_row(
        "clean", "Clean $read$ speech", "general", "wer", "regressed", base=0.05, checkpoint=0.09
    )
    scores = {14.25: (0.3, -0.05, 0.02), 58.5: (0.2, -0.15, -0.08)}
    points = [
        Point(
            audio_s=x,
            checkpoint=f"audio-{x:g}s",
            target=make_row(
                "own", "Her $own_words$", "target", "wer", "improved", base=0.32, checkpoint=score,
                ci_low=low, ci_high=high, level=0.95, n=50,
            ),
            worst_general=general if x > 20 else None,
        )
        for x, (score, low, high) in scores.items()
    ]  # fmt: skip
    return AdaptabilityCurve(points=tuple(points))


def test_the_table_has_the_base_and_a_line_for_each_amount(curve: AdaptabilityCurve) -> None:
    console = Console(width=100, record=True)
    console.print(adaptability_table([curve]))
    lines = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert lines[0] == ["Own", "audio", "and", "Her", "$own_words$"]
    assert lines[3] == ["base", "32.0%"]
    assert lines[4] == ["14.2", "s", "30.0%", "-2.0", "[-5.0,", "+2.0]", "not", "measured"]
    assert lines[5][:6] == ["58.5", "s", "20.0%", "-12.0", "[-15.0,", "-8.0]"]
    assert " ".join(lines[5][6:]) == "+4.0 Clean $read$ speech (2.0 margins)"


def test_the_csv_has_the_numbers_and_nothing_where_nothing_is_known(
    curve: AdaptabilityCurve, tmp_path: Path
) -> None:
    write_csv([curve], tmp_path / "adaptability.csv")
    with (tmp_path / "adaptability.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["audio_s"], first["checkpoint"], first["score"]) == ("14.25", "audio-14.25s", "0.3")
    assert (first["base"], first["ci_low"], first["ci_high"], first["n"]) == ("0.32", "-0.05", "0.02", "50")
    assert first["worst_general_task"] == first["worst_general_margins"] == ""
    assert (second["worst_general_task"], float(second["worst_general_margins"])) == (
        "clean",
        pytest.approx(2),
    )


def test_the_drawing_is_the_same_png_each_time_and_takes_no_title_for_a_formula(
    curve: AdaptabilityCurve, tmp_path: Path
) -> None:
    for name in ("once.png", "again.png"):
        draw([curve], tmp_path / name)
    once = (tmp_path / "once.png").read_bytes()
    assert once == (tmp_path / "again.png").read_bytes()
    assert once[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", once[16:24])
    assert (width, height) == (960, 840)  # two panels: the target and the worst general loss


def test_the_interval_of_a_score_never_leaves_the_metrics_bounds(make_row) -> None:
    wide = {"ci_low": -0.7, "ci_high": 0.2}
    row = make_row("own", "Own", "target", "wer", "improved", base=0.5, checkpoint=0.1, **wide)
    assert score_interval(row) == (0.0, pytest.approx(0.7))
    row = make_row("own", "Own", "target", "acc", "improved", base=0.5, checkpoint=0.9, **wide)
    assert score_interval(row) == (pytest.approx(0.3), 1.0)
    assert score_interval(row.model_copy(update={"ci_low": None})) is None


def test_no_name_is_a_formula_to_a_spreadsheet(curve: AdaptabilityCurve, tmp_path: Path) -> None:
    point = replace(curve.points[0], checkpoint="=HYPERLINK(1)")
    write_csv([AdaptabilityCurve(points=(point,))], tmp_path / "adaptability.csv")
    with (tmp_path / "adaptability.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["checkpoint"] == "'=HYPERLINK(1)"
    assert line["degradation"].startswith("-")  # a number stays one

"""Curves in the report: a panel for each measure, points where their numbers are, and a table of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from browser import Open
from forgetbench.engine.curve_results import curve_of, find_results, read_curve
from forgetbench.engine.results import read_result
from forgetbench.errors import UsageError
from forgetbench.report.html.curves import LEFT, RIGHT, WIDTH, panels
from forgetbench.report.html.page import html_report


@pytest.fixture(scope="module")
def curve(sweep: Path) -> Any:
    return curve_of(find_results([sweep]))


def test_each_measure_has_a_panel_with_every_checkpoint(curve: Any) -> None:
    found = list(panels(curve))
    assert [panel.title for panel in found] == [measure.title for measure in curve.measures]
    for panel in found:
        assert sum(len(line.points) for line in panel.lines if line.series is not None) == 30
        assert len(panel.table) == 30


def test_more_loss_is_higher_and_more_steps_are_further_right(curve: Any) -> None:
    panel = next(panel for panel in panels(curve) if panel.title == "ARC")
    ranks = {line.label: line.points for line in panel.lines if line.series is not None}
    few, many = ranks["r4 s0"], ranks["r32 s0"]
    assert [x for x, _ in few] == sorted(x for x, _ in few)
    assert many[-1][1] < few[-1][1] < panel.zero
    assert [x for x, _ in few] == [x for x, _ in many]


def test_bands_hold_their_points(curve: Any) -> None:
    for panel in panels(curve):
        for line in (line for line in panel.lines if line.band and line.series is not None):
            corners = [tuple(map(float, corner.split(","))) for corner in line.band.split()]
            high, low = corners[: len(line.points)], corners[len(line.points) :][::-1]
            for (_, y), (_, top), (_, bottom) in zip(line.points, high, low, strict=True):
                assert top <= y <= bottom


def test_few_exposures_are_marked_where_they_were_measured_and_no_marker_lies_on_the_frame(
    curve: Any,
) -> None:
    steps = sorted({point.training.steps for point in curve.points})
    for panel in panels(curve):
        assert [label for _, label in panel.x_ticks] == [str(each) for each in steps]
        across = {x for line in panel.lines if line.series is not None for x, _ in line.points}
        assert across == {x for x, _ in panel.x_ticks}
        assert min(across) > LEFT and max(across) < WIDTH - RIGHT


def test_a_curve_is_drawn_into_the_page(
    curve: Any, report_result: Path, tmp_path: Path, open_page: Open
) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_report([read_result(report_result)], curve=curve))
    page = open_page(path, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("figure.curve").count() == len(curve.measures)
    assert page.locator("figure.curve").first.locator("polyline.series").count() == 5
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert not found, [(each["id"], each["nodes"][0]["html"][:300]) for each in found]


def test_a_file_that_is_no_curve_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    for text, said in ((None, "No such file"), ('{"points": 1}', "key `")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(UsageError, match=said):
            read_curve(path)

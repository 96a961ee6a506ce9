"""The HTML report in a browser: whole, quick, usable by keyboard and ear, and never obeying what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browser import SCREENS, Open, layout_faults
from forgetbench.engine.results import read_result
from forgetbench.report.html.page import forest_svg, html_report
from report_results import with_texts, write_report_result

HOSTILE = (
    "</script><script>window.owned=1</script><img src=x onerror='window.owned=2'>\"'>"
    '<svg onload=window.owned=3><a href="javascript:window.owned=4">a</a>'
    "{{ 7*7 }}${7*7}\x1b]0;owned\x07\x1b[2J\u202e\u2066]]>-->\u2028 "
)


def page_of(*results: Path, to: Path) -> Path:
    path = to / "report.html"
    path.write_text(html_report([read_result(result) for result in results]))
    return path


@pytest.fixture
def page(report_result: Path, tmp_path: Path, open_page: Open) -> Any:
    return open_page(page_of(report_result, to=tmp_path))


def test_the_verdict_comes_first_and_every_row_says_its_own_in_words(page: Any) -> None:
    text = page.inner_text("main")
    assert text.index("DO NOT SHIP") < text.index("Verdicts") < text.index("Worst losses")
    rows = page.locator("table.forest tbody tr")
    assert rows.count() == 5  # Knowledge is one row of two tasks
    for row in rows.all():
        word = row.locator(".verdict").inner_text().split()[-1]
        assert word in row.locator("svg[role=img]").get_attribute("aria-label")
    assert page.locator("text=accept its licence first").count() >= 1


def test_a_point_lies_where_its_number_says(report_result: Path, page: Any) -> None:
    comparison = read_result(report_result).comparison
    assert comparison is not None
    panel = page.locator("table.forest", has_text="Knowledge")
    row = panel.locator("tbody tr", has_text="Knowledge")
    known = {float(tick.text_content()): tick.bounding_box() for tick in panel.locator(".axis text").all()}
    (low, low_box), *_, (high, high_box) = sorted(known.items())
    left, right = (box["x"] + box["width"] / 2 for box in (low_box, high_box))
    mark = row.locator("use").bounding_box()
    seen = low + (high - low) * (mark["x"] + mark["width"] / 2 - left) / (right - left)
    (knowledge,) = (each for each in comparison.rows if each.name == "knowledge")
    assert seen == pytest.approx(100 * knowledge.degradation, abs=0.6)


def test_edits_carry_signs_beside_their_colour(page: Any) -> None:
    card = page.locator("#changed ~ ol .card", has_text="Commands in babble").first
    assert [part.inner_text() for part in card.locator("del").all()] == ["−up", "−harris"]
    assert [part.inner_text() for part in card.locator("ins").all()] == ["+down"]


def test_changed_samples_are_searched_filtered_and_turned_by_keyboard(page: Any) -> None:
    status = page.locator("[data-status]")
    lost = int(status.inner_text().split(" of ")[1].split()[0])
    counts = page.locator("table", has_text="Samples whose score changed").locator("tbody tr").all()
    assert lost == sum(int(row.locator("td").nth(0).inner_text()) for row in counts)
    page.focus("[data-next]")
    page.keyboard.press("Enter")
    assert status.inner_text().startswith("21 to 40 of")
    page.fill("[data-search]", "COMMANDS-00003")
    assert status.inner_text() == "1 to 1 of 1 samples"
    page.fill("[data-search]", "")
    page.select_option("[data-task]", label="Facts")
    own = {card.locator("h3 bdi").inner_text() for card in page.locator("[data-list] .card").all()}
    assert own == {"Facts"}
    page.fill("[data-search]", "no sample says this")
    assert status.inner_text() == "No sample is like this."


def test_base_and_checkpoint_stand_side_by_side_and_below_each_other_on_a_phone(
    report_result: Path, tmp_path: Path, open_page: Open
) -> None:
    path = page_of(report_result, to=tmp_path)
    for width, beside in ((1200, True), (360, False)):
        page = open_page(path, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        base, checkpoint = (
            page.locator("[data-list] .card").first.locator("dl > div:not(.whole)").nth(i).bounding_box()
            for i in (0, 1)
        )
        assert (base["y"] == checkpoint["y"]) is beside


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1200])
def test_axe_finds_no_fault(
    report_result: Path, tmp_path: Path, open_page: Open, dark: bool, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(page_of(report_result, to=tmp_path), width=width, dark=dark)
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert not found, [(each["id"], each["nodes"][0]["html"][:300]) for each in found]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_cut_too_wide_or_too_small_for_a_finger(
    report_result: Path, tmp_path: Path, open_page: Open, screen: str, dark: bool
) -> None:
    page = open_page(page_of(report_result, to=tmp_path), width=SCREENS[screen][0], dark=dark)
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    assert layout_faults(page) == []


def test_dark_mode_follows_the_system(report_result: Path, tmp_path: Path, open_page: Open) -> None:
    path = page_of(report_result, to=tmp_path)
    light, dark = (
        open_page(path, dark=dark).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    )
    assert light == "rgb(255, 255, 255)"
    assert sum(map(int, re.findall(r"\d+", dark))) < 120


def test_focus_is_seen(page: Any) -> None:
    page.focus("[data-next]")
    page.keyboard.press("Shift+Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_of_ten_thousand_samples_a_page_is_shown_at_a_time(tmp_path: Path, open_page: Open) -> None:
    path = page_of(write_report_result(tmp_path / "large", n=2_000, worse_every=1), to=tmp_path)
    page = open_page(path)
    page.wait_for_selector("[data-list] .card")
    page.select_option("[data-change]", value="")
    assert page.locator("[data-status]").inner_text().endswith("of 10000 samples")
    assert page.locator("[data-list] .card").count() == 20


def test_what_models_and_tasks_say_is_shown_and_never_obeyed(tmp_path: Path, open_page: Open) -> None:
    result = with_texts(write_report_result(tmp_path / "hostile", n=30), lambda text: HOSTILE + text)
    path = page_of(result, to=tmp_path)
    written = path.read_text()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066\u2028]", written)
    page = open_page(path)
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    page.fill("[data-search]", "<img src=x")
    assert page.locator("[data-list] .card").count() > 0
    for text in ("Commands in babble", "gated data: accept its licence first", "whisper-tiny-lora"):
        assert page.locator(f"main :text('{text}')").count() > 0, text
    assert page.evaluate("window.owned") is None
    assert page.locator("main img, main script:not([data-samples]), main a[href^=javascript]").count() == 0
    assert "49" not in page.locator("h1").inner_text()


def test_the_policy_stops_a_script_and_a_request_even_if_one_came_in(
    report_result: Path, tmp_path: Path, chromium: Any
) -> None:
    path = page_of(report_result, to=tmp_path)
    smuggled = (
        "<script>window.owned=1</script><img src='http://127.0.0.1:9/x'>"
        "<iframe title='x' src='http://127.0.0.1:9/y'></iframe></main>"
    )
    path.write_text(path.read_text().replace("</main>", smuggled))
    page = chromium.new_page()
    sent: list[str] = []
    failed: list[str] = []
    page.on("requestfinished", lambda request: sent.append(request.url))
    page.on("console", lambda message: failed.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("window.owned") is None
    assert [url for url in sent if url.startswith("http")] == []
    assert sum("Content Security Policy" in text for text in failed) == 3
    page.close()


def test_a_megabyte_of_text_is_cut_and_the_page_stays_usable(tmp_path: Path, open_page: Open) -> None:
    long = "ha " * 333_333

    def change(text: str) -> str:
        return long + text if text in LONG else text

    result = with_texts(write_report_result(tmp_path / "long", n=30), change)
    path = page_of(result, to=tmp_path)
    assert path.stat().st_size < 2_000_000
    page = open_page(path, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("table.forest tbody tr").count() == 5


LONG = {"Commands in babble", "whisper-tiny-lora", "gated data: accept its licence first",
        "the audio was resampled", "The answer is 0.", "Question 0 of facts?", "facts-00000"}  # fmt: skip


def test_several_results_are_one_page_and_seeds_speak_of_the_method(tmp_path: Path, open_page: Open) -> None:
    results = [
        write_report_result(
            tmp_path / letter,
            checkpoint=letter,
            measured={"training": {"method": "lora", "steps": 12, "seed": seed}},
        )
        for seed, letter in enumerate("cd")
    ]
    page = open_page(page_of(*results, to=tmp_path))
    assert page.locator("article").count() == 2
    assert "Over the training seeds" in page.inner_text("main")
    first = page.locator("header table tbody tr").first.inner_text()
    assert "lora, 12 steps" in first and "DO NOT SHIP" in first
    ids = page.eval_on_selector_all("[id]", "all => all.map(each => each.id)")
    assert len(set(ids)) == len(ids)
    for link in page.locator("a[href^='#']").all():
        assert link.get_attribute("href")[1:] in ids
    assert page.locator("[data-list] .card").count() == 40


def test_checkpoints_that_are_no_seeds_of_one_method_are_not_called_so(
    tmp_path: Path, open_page: Open
) -> None:
    results = [write_report_result(tmp_path / letter, checkpoint=letter) for letter in "cd"]
    text = open_page(page_of(*results, to=tmp_path)).inner_text("main")
    assert "These checkpoints together" in text and "Over the training seeds" not in text


def test_a_result_whose_base_was_not_kept_is_shown_without_its_samples(
    make_result: Callable[..., Path], curve_row: Any, tmp_path: Path, open_page: Open
) -> None:
    result = make_result(tmp_path / "old", "checkpoint-10", curve_row("arc", "general", 0.6, 0.1))
    page = open_page(page_of(result, to=tmp_path))
    assert page.locator("table.forest tbody tr").count() == 1
    assert page.locator("[data-samples]").count() == 0


def test_the_picture_has_every_row_and_escapes_its_titles(report_result: Path) -> None:
    from xml.etree import ElementTree

    comparison = read_result(with_texts(report_result, lambda text: HOSTILE + text)).comparison
    assert comparison is not None
    tree = ElementTree.fromstring(forest_svg(comparison))
    assert not tree.findall(".//{*}script")
    assert len(tree.findall(".//{*}circle")) == len(comparison.rows)


def test_no_number_of_an_axis_is_cut_off_in_the_svg_file(
    report_result: Path, tmp_path: Path, open_page: Open
) -> None:
    comparison = read_result(report_result).comparison
    assert comparison is not None
    picture = tmp_path / "verdicts.svg"
    picture.write_text(forest_svg(comparison))
    cut = """() => [...document.querySelectorAll("svg svg text")].filter(label => {
      const panel = label.ownerSVGElement, of = label.getBBox();
      const within = of.x >= 0 && of.x + of.width <= panel.width.baseVal.value;
      return !within && getComputedStyle(panel).overflow !== "visible";
    }).map(label => label.textContent)"""
    assert open_page(picture).evaluate(cut) == []


@pytest.mark.parametrize("width", [360, 760, 950, 980, 1200])
def test_the_numbers_of_an_axis_never_touch(
    report_result: Path, tmp_path: Path, open_page: Open, width: int
) -> None:
    page = open_page(page_of(report_result, to=tmp_path), width=width)
    touching = """() => [...document.querySelectorAll(".axis")].flatMap(axis => {
      const boxes = [...axis.querySelectorAll("text")].map(label => label.getBoundingClientRect());
      return boxes.slice(1).filter((box, i) => box.left < boxes[i].right + 2).map(box => box.left);
    })"""
    assert page.locator(".axis text").count() > 5
    assert page.evaluate(touching) == []

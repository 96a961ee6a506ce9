"""The site in a real browser: Chromium, from disk, with nothing to load from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from board_results import HOSTILE, HOSTILE_ROLES, everywhere, write_board, write_many, write_result
from browser import SCREENS, layout_faults
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.site import SHOWN_FIRST, build_site

N, TASKS = 90, 4


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = write_many(tmp_path_factory.mktemp("many"), N, TASKS)
    board = read_board(str(place.board))
    columns = columns_of(board, [place.tasks])
    return build_site(board, columns, results=place.results, output=place.results.parent / "site").directory


@dataclass
class Opened:
    """A page, what its console said, and what it asked for."""

    page: Any
    address: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def keys(self) -> list[str]:
        found: list[str] = self.page.eval_on_selector_all(
            "#board tbody:first-of-type tr", "t => t.map(r => r.dataset.key)"
        )
        return found

    def column(self, position: int) -> list[str]:
        found: list[str] = self.page.eval_on_selector_all(
            f"#board tbody:first-of-type tr > :nth-child({position})", "t => t.map(c => c.innerText.trim())"
        )
        return found


@pytest.fixture
def opened(chromium: Any, site: Path) -> Iterator[Opened]:
    context = chromium.new_context(viewport={"width": 1300, "height": 900})
    found = Opened(page=context.new_page(), address=f"file://{site}/index.html")
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(found.address)
    yield found
    assert found.said == [], "the console is silent"
    assert all(url.startswith(f"file://{site}/") for url in found.asked), found.asked
    context.close()


def test_the_page_opens_ranked_and_shows_more_when_asked(opened: Opened) -> None:
    ranks = [int(text) for text in opened.column(1)]
    assert len(ranks) == SHOWN_FIRST and ranks == sorted(ranks)
    assert opened.page.inner_text("#status") == f"{N} entries, by Rank"
    opened.page.click("#more")
    assert len(opened.keys()) == 2 * SHOWN_FIRST
    while opened.page.is_visible("#more"):
        opened.page.click("#more")
    assert len(opened.keys()) == N


def test_a_click_on_a_header_sorts_and_another_turns_it_round(opened: Opened) -> None:
    header = opened.page.locator('#board th[data-key="steps"]')
    header.locator("button").click()
    place = 1 + opened.page.eval_on_selector('#board th[data-key="steps"]', "t => t.cellIndex")
    steps = [int(text) for text in opened.column(place)]
    assert steps == sorted(steps) and header.get_attribute("aria-sort") == "ascending"
    header.locator("button").click()
    steps = [int(text) for text in opened.column(place)]
    assert steps == sorted(steps, reverse=True) and header.get_attribute("aria-sort") == "descending"
    assert opened.page.url.endswith("#sort=-steps")


def test_a_header_is_reached_and_pressed_by_keyboard(opened: Opened) -> None:
    opened.page.focus('#board th[data-key="regressions"] button')
    opened.page.keyboard.press("Enter")
    assert opened.page.get_attribute('#board th[data-key="regressions"]', "aria-sort") == "ascending"


def test_search_and_filters_narrow_and_clear_restores(opened: Opened) -> None:
    opened.page.fill("#q", "DORA 360m")
    names = opened.column(2)
    assert 0 < len(names) < N and all("dora" in name and "360M" in name for name in names)
    opened.page.fill("#q", "")
    opened.page.select_option("#f-method", "full")
    assert opened.page.inner_text("#status").startswith(f"{len(range(1, N, 4))} of {N}")
    opened.page.fill("#q", "no such checkpoint")
    assert opened.page.inner_text("#status") == "No entry is like that."
    opened.page.click("button[type=reset]")
    assert opened.page.inner_text("#status") == f"{N} entries, by Rank" and "#" not in opened.page.url


def test_a_deep_link_opens_the_same_view(opened: Opened) -> None:
    opened.page.select_option("#f-method", "lora")
    opened.page.select_option("#sort", "task_01")
    shown, link = opened.keys(), opened.page.url
    opened.page.goto("about:blank")
    opened.asked.clear()
    opened.page.goto(link)
    assert opened.keys() == shown and opened.page.input_value("#f-method") == "lora"


def test_an_entry_that_lies_beyond_the_first_hundred_is_shown_and_marked_by_its_link(opened: Opened) -> None:
    opened.page.click("#more")
    last = opened.keys()[-1]
    opened.page.goto(f"{opened.address}#entry={last}")
    opened.page.reload()
    assert opened.page.is_visible(f"#e-{last}") and "chosen" in opened.page.get_attribute(
        f"#e-{last}", "class"
    )


def test_an_entry_has_a_page_with_its_command_and_a_way_back(opened: Opened) -> None:
    key = opened.keys()[4]
    opened.page.locator("#board tbody th a").nth(4).click()
    assert opened.page.url.endswith(f"entries/{key}.html")
    assert "forgetbench run --model" in opened.page.inner_text("pre")
    assert opened.page.locator("td.forest svg").count() == TASKS + 1
    opened.page.click(".crumb a")
    opened.page.wait_for_selector(f"#e-{key}.chosen")


def test_a_point_of_a_plot_leads_to_its_entry(opened: Opened) -> None:
    links = opened.page.locator("figure").first.locator("a")
    assert links.count() == N
    assert links.first.get_attribute("href") in [f"entries/{key}.html" for key in _all_keys(opened)]


def _all_keys(opened: Opened) -> list[str]:
    opened.page.click("#more")
    return opened.keys()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground_in_both_schemes(chromium: Any, site: Path, scheme: str) -> None:
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"file://{site}/index.html")
    for selector in (".v.regressed", ".v.retained", ".v.inconclusive", "small", "tbody th a", ".level"):
        ratio = page.eval_on_selector(selector, CONTRAST)
        assert ratio >= 4.5, f"{selector} in {scheme}: {ratio:.1f}"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1300])
def test_axe_finds_no_fault_on_board_curves_and_entry(
    chromium: Any, site: Path, scheme: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    entry = sorted((site / "entries").iterdir())[0].relative_to(site).as_posix()
    for name in ("index.html", entry):
        page.goto(f"file://{site}/{name}")
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert not found, [(name, each["id"], each["nodes"][0]["html"][:300]) for each in found]
        assert page.locator("figure svg[role=group]").count() == (2 if name == "index.html" else 0)
    context.close()


CONTRAST = """element => {
  const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map((v) => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (node) => getComputedStyle(node).backgroundColor;
  let behind = element;
  while (behind !== document.body && ground(behind).replaceAll(" ", "") === "rgba(0,0,0,0)")
    behind = behind.parentElement;
  const pair = [light(getComputedStyle(element).color), light(ground(behind))];
  return (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_cut_too_wide_or_too_small_for_a_finger(
    chromium: Any, site: Path, screen: str, scheme: str
) -> None:
    width, height = SCREENS[screen]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    for name in ("index.html", next((site / "entries").iterdir()).relative_to(site).as_posix()):
        page.goto(f"file://{site}/{name}")
        assert layout_faults(page) == [], name
    context.close()


def test_on_a_phone_the_losses_of_an_entry_need_no_scrolling_and_each_figure_has_its_name(
    chromium: Any, site: Path
) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"file://{site}/{next((site / 'entries').iterdir()).relative_to(site).as_posix()}")
    assert page.eval_on_selector(".scroll", "frame => frame.scrollWidth <= frame.clientWidth")
    label = page.eval_on_selector(".rows td.num", "cell => getComputedStyle(cell, '::before').content")
    assert label == '"Worse by"'
    context.close()


def test_checkpoints_of_one_name_are_told_apart_by_how_they_were_made(chromium: Any, site: Path) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"file://{site}/index.html")
    assert "steps" in page.locator("#board tbody th").first.inner_text()
    assert page.locator("figure a title").first.text_content().endswith(" steps")
    context.close()


def test_a_filter_in_which_all_entries_are_alike_is_left_out(opened: Opened) -> None:
    assert opened.page.locator("#f-level").count() == 0, "all are self-reported"
    assert opened.page.locator("#f-base").count() == 1


def test_without_script_every_entry_is_there(chromium: Any, site: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{site}/index.html")
    assert page.locator("#board tbody tr:visible").count() == N
    context.close()


def test_what_a_stranger_wrote_runs_nothing_loads_nothing_and_opens_no_dialog(
    chromium: Any, tmp_path: Path
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if "/site/" not in request.url else None)
    for i, text in enumerate(HOSTILE):
        folder = tmp_path / str(i)
        folder.mkdir()
        everywhere(text, folder / "results")
        write_result(
            folder / "results", "other", dict.fromkeys(HOSTILE_ROLES, 0.0), training={"method": "lora"}
        )
        path, tasks = write_board(folder, HOSTILE_ROLES)
        board = read_board(str(path))
        site = build_site(
            board, columns_of(board, [tasks]), results=folder / "results", output=folder / "site"
        )
        page.goto(f"file://{site.directory}/index.html")
        methods = page.locator("#f-method option").evaluate_all("all => all.map(each => each.value)")
        page.select_option("#f-method", next(m for m in methods if m not in ("", "lora")))
        assert page.locator("#board tbody tr:visible").count() == 1
        page.locator("#board tbody th a").click()
        assert page.locator("footer").is_visible()
    context.close()
    assert said == []

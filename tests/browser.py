"""Chromium for tests of pages: a page that asked the network for anything, or complained, fails its test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("FORGETBENCH_CHROMIUM", "/usr/bin/chromium"))

SCREENS = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1440, 900)}
"""Width and height, by what has it."""
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, select, input, summary")]
  .filter((each) => each.checkVisibility() && !each.closest("svg, .skip"))
  .filter((each) => getComputedStyle(each).display !== "inline" || !each.closest("p, li, dd"))
  .map((each) => [each.tagName, each.innerText || each.id, each.getBoundingClientRect()])
  .filter(([, , box]) => box.height < 24 || box.width < 24)
  .map(([tag, text, box]) => `${tag} ${text}: ${box.width} × ${box.height}`)"""
"""What is too small for a finger: less than 24 pixels (WCAG 2.2, 2.5.8, which exempts links in a text)."""
CUT = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && !each.closest("svg, .hidden, .scroll, pre, select"))
  .filter((each) => !each.querySelector(":scope > .scroll")) // a frame may reach to the edges of the screen
  .filter((each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline")
  .map((each) => `${each.tagName}.${each.className}`)"""
"""What sticks out of its own box, outside of the frames that are there to be scrolled."""

Open = Callable[..., Any]


def layout_faults(page: Any) -> list[str]:
    """Return what a person on this screen would stumble over; empty where nothing is wrong."""
    screen, wide = page.viewport_size["width"], page.evaluate("document.documentElement.scrollWidth")
    found = [f"the page is {wide} wide on a screen of {screen}"] if wide > screen else []
    return found + page.evaluate(SMALL_TARGETS) + page.evaluate(CUT)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; missing is a failure in CI and a skip elsewhere."""
    if not CHROMIUM.is_file():
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"{CHROMIUM} is missing: apt-get install chromium, or set FORGETBENCH_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Open a file from the disk; at the end of the test, nothing may have left it or gone wrong in it."""
    complaints: list[str] = []
    contexts = []

    def open_file(path: Path, *, width: int = 1200, dark: bool = False) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        own = path.resolve().as_uri()
        page.on("console", lambda message: complaints.append(f"console: {message.text[:500]}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: _note(request.url, own, complaints))
        page.goto(own)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert not complaints, complaints[:5]


def _note(url: str, own: str, complaints: list[str]) -> None:
    if url.partition("#")[0] != own and not url.startswith("data:"):
        complaints.append(f"request: {url[:200]}")

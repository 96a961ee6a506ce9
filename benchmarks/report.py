"""A report of 10 000 changed samples: how long it takes to build, to open, and to search.

python benchmarks/report.py [--samples 6000]

Each of the two tasks of the synthetic result has so many samples; the page lists at most 10 000 of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from forgetbench.engine.results import read_result
from forgetbench.report.html.page import html_report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import CHROMIUM
from report_results import write_report_result

MOST_OPEN_S = 2.0
OPENINGS = 5


def main() -> int:
    """Measure, print, and say by the exit code whether the page opens fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=6000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = write_report_result(Path(temporary) / "result", n=asked.samples)
        start = time.perf_counter()
        path = Path(temporary) / "report.html"
        path.write_text(html_report([read_result(result)]))
        found = {"build_s": time.perf_counter() - start, "mb": path.stat().st_size / 1e6}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
            found |= in_browser(browser, path)
            browser.close()
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=2))
    fast = found["open_s"] <= MOST_OPEN_S
    print("fast enough" if fast else f"too slow: opens in more than {MOST_OPEN_S:g} s")
    return 0 if fast else 1


def in_browser(browser: Browser, path: Path) -> dict[str, float]:
    """Return medians over several openings: until the first sample is shown, and of a search."""
    opened, searched = [], []
    for _ in range(OPENINGS):
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("[data-list] .card")
        opened.append(time.perf_counter() - start)
        before = page.inner_text("[data-status]")
        start = time.perf_counter()
        page.fill("[data-search]", "17")
        page.wait_for_function(
            "before => document.querySelector('[data-status]').innerText !== before", arg=before
        )
        searched.append(time.perf_counter() - start)
        page.close()
    return {"open_s": statistics.median(opened), "search_s": statistics.median(searched)}


if __name__ == "__main__":
    sys.exit(main())

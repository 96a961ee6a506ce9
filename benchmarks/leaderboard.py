"""A board of 1 000 synthetic entries × 20 tasks: how long it takes to build, to paint first, and to sort.

python benchmarks/leaderboard.py [--entries 1000] [--tasks 20]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.site import build_site

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from board_results import write_many

MOST = {"build_s": 30.0, "first_paint_s": 1.5, "sort_s": 0.2}
OPENINGS = 5
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SORT = """key => new Promise(done => {
  const button = document.querySelector(`#board th[data-key="${key}"] button`);
  const start = performance.now();
  button.click();
  document.getElementById("board").getBoundingClientRect();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
})"""
"""From the click until the sorted table has been laid out and its frame was drawn."""


def main() -> int:
    """Measure, print, and say by the exit code whether all is fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = write_many(Path(temporary), asked.entries, asked.tasks)
        board = read_board(str(place.board))
        columns = columns_of(board, [place.tasks])
        start = time.perf_counter()
        site = build_site(board, columns, results=place.results, output=Path(temporary) / "site").directory
        found: dict[str, float] = {"build_s": time.perf_counter() - start}
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            found |= in_browser(browser, site)
            browser.close()
        found["index_mb"] = (site / "index.html").stat().st_size / 1e6
        found["site_mb"] = sum(p.stat().st_size for p in site.rglob("*") if p.is_file()) / 1e6
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=2))
    slow = [key for key, most in MOST.items() if found[key] > most]
    print(f"too slow: {', '.join(slow)}" if slow else "fast enough")
    return 1 if slow else 0


def in_browser(browser: Browser, site: Path) -> dict[str, float]:
    """Return medians over several openings: time of the first paint, and the slowest of several sorts."""
    paints, sorts = [], []
    for _ in range(OPENINGS):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"file://{site}/index.html")
        paints.append(page.evaluate(FIRST_PAINT) / 1000)
        keys = ("worst", "name", "task_05", "steps", "level", "rank")
        sorts.append(max(page.evaluate(SORT, key) for key in keys) / 1000)
        page.close()
    return {"first_paint_s": statistics.median(paints), "sort_s": statistics.median(sorts)}


if __name__ == "__main__":
    sys.exit(main())

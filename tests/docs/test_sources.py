"""What code and pages cite can be opened: a page of this repository, or a published source."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = ("harness", "docs", "tasks", "tests", "examples", "benchmarks")
ELSEWHERE = re.compile(r"METRICS(?: §|\.md)|\bDESIGN\b")
PAGE = re.compile(r"(?<![\w/.])docs/[\w/-]+\.md")


def texts() -> dict[Path, str]:
    """Return every text that people read here, by its path."""
    found = [
        p for folder in READ for ending in ("py", "md", "yaml") for p in (ROOT / folder).rglob(f"*.{ending}")
    ]
    return {
        p: p.read_text(encoding="utf-8")
        for p in [*found, *ROOT.glob("*.md")]
        if p != Path(__file__).resolve()
    }


def test_nothing_cites_a_document_that_is_not_here() -> None:
    assert [str(p.relative_to(ROOT)) for p, text in texts().items() if ELSEWHERE.search(text)] == []


def test_every_page_that_is_cited_is_there() -> None:
    cited = {(str(p.relative_to(ROOT)), page) for p, text in texts().items() for page in PAGE.findall(text)}
    made = re.compile(r"docs/reference/")  # by docs/generate_reference.py
    assert len(cited) > 50
    assert [one for one in sorted(cited) if not made.match(one[1]) and not (ROOT / one[1]).exists()] == []

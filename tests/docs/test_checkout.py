"""Who follows the pages in a checkout makes nothing that git would show, and hides nothing that it holds."""

from __future__ import annotations

import re
import subprocess

import pytest
from shown_commands import PAGES, ROOT

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="is about a git checkout")
MADE = (
    "my-lora/adapter_config.json",
    "my-lora/checkpoint-10/adapter_config.json",
    "test.jsonl",
    "kitchen.yaml",
    "kitchen.jsonl",
    "times/times.yaml",
    "results/my-lora/d54f6e852e88/run.json",
    "results/checkpoint-10/d54f6e852e88/run.json",
    "examples/results/trained/run.json",
    "mlflow.db",
    "mlruns/0/meta.yaml",
)


def git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_what_the_pages_make_is_not_shown_as_new() -> None:
    assert [path for path in MADE if git("check-ignore", path) != [path]] == []


def test_nothing_that_is_tracked_is_ignored_nor_would_be_a_new_file_beside_it() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == []
    tracked = {path.split("/")[1] for path in git("ls-files", "results") if path.count("/") > 1}
    assert len(tracked) > 1
    assert [name for name in tracked if git("check-ignore", f"results/{name}/new/run.json")] == []


def test_no_page_reads_all_of_results_where_the_projects_own_lie() -> None:
    everything = re.compile(r"load_results\((\"results/?\")?\)|curves results/?(?![\w/-])")
    assert [str(page) for page in PAGES if everything.search(page.read_text(encoding="utf-8"))] == []

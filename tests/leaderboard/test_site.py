"""The site: texts of strangers are shown, never obeyed; the same results give the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from board_results import HOSTILE, HOSTILE_ROLES, everywhere, info, write_board, write_result
from forgetbench.engine.results import write_document
from forgetbench.errors import DataError, UsageError
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.site import BuiltSite, build_site
from forgetbench.schema.board import Verification
from forgetbench.schema.comparison import WorstLoss
from forgetbench.schema.run import Sampling, Settings


class Tags(HTMLParser):
    """Counts elements and attributes, and finds what would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.odd: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            link = name in ("href", "src") and not str(value).startswith(
                ("#", "entries/", "../index", "board.")
            )
            if name.startswith("on") or name == "style" or link:
                self.odd.append(f"{tag} {name}={value}")


def build(tmp_path: Path, **board: Any) -> BuiltSite:
    path, tasks = write_board(tmp_path, HOSTILE_ROLES, **board)
    found = read_board(str(path))
    columns = columns_of(found, [tasks])
    return build_site(found, columns, results=tmp_path / "results", output=tmp_path / "site")


def pages(site: BuiltSite) -> dict[str, str]:
    return {str(p.relative_to(site.directory)): p.read_text() for p in site.directory.rglob("*.html")}


def test_what_a_stranger_wrote_adds_no_element_no_attribute_and_no_control_character(tmp_path: Path) -> None:
    def tags_of(text: str, folder: str) -> dict[str, list[str]]:
        (tmp_path / folder).mkdir()
        everywhere(text, tmp_path / folder / "results")
        found = pages(build(tmp_path / folder))
        for name, page in found.items():
            assert Tags(page).odd == [], f"{text[:40]!r} in {name}"
            assert not any(c in page for c in "\x1b\x07\u202e\u2066"), f"{text[:40]!r} in {name}"
            assert len(page) < 200_000, f"{text[:40]!r} in {name}"
        return {name: Tags(page).tags for name, page in found.items()}

    harmless = tags_of("harmless", "plain")
    for i, text in enumerate(HOSTILE):
        assert tags_of(text, f"hostile{i}") == harmless, text[:40]


def test_embedded_data_cannot_end_its_element_and_csv_holds_no_formula(tmp_path: Path) -> None:
    everywhere("=1+1</script>", tmp_path / "results")
    site = build(tmp_path)
    index = (site.directory / "index.html").read_text()
    data = index.split('id="board-data">')[1].split("</script>")[0]
    assert json.loads(data)["rows"][0]["base"] == "=1+1</script>"
    with (site.directory / "board.csv").open(newline="") as lines:
        cells = [cell for line in csv.reader(lines) for cell in line]
    assert "'=1+1</script>" in cells and not any(cell.startswith(("=", "@")) for cell in cells)


def test_the_policy_lets_nothing_run_or_load_but_the_pages_own(tmp_path: Path) -> None:
    write_result(tmp_path / "results", "one", {"arc": 0.0, "refusal": 0.0, "mine": 0.0})
    for page in pages(build(tmp_path)).values():
        policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert page.count("<script>") == page.count("script-src 'sha256-")


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    write_result(
        tmp_path / "results", "one", {"arc": 0.0, "refusal": 0.0, "mine": -0.1}, training={"steps": 5}
    )
    write_result(
        tmp_path / "results", "two", {"arc": 0.03, "refusal": 0.0, "mine": -0.2}, training={"steps": 9}
    )

    def content() -> dict[str, bytes]:
        directory = build(tmp_path).directory
        return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}

    assert content() == content()


def test_level_and_notes_of_verification_are_shown(tmp_path: Path) -> None:
    from forgetbench.leaderboard.entries import digests

    made = write_result(tmp_path / "results", "one", {"arc": 0.0, "refusal": 0.0, "mine": 0.0})
    verified = Verification(level="re-run", forgetbench="0", documents=digests(made), notes=("arc: by hand",))
    write_document(made / "verification.json", verified)
    found = pages(build(tmp_path))
    entry = next(page for name, page in found.items() if name.startswith("entries/"))
    assert 'class="level re-run"' in found["index.html"]
    assert "Somebody other than the submitter" in entry and "arc: by hand" in entry


def test_the_samples_that_lost_most_show_what_was_asked_and_how_much_was_lost(
    tmp_path: Path, board_result: Callable[..., Path]
) -> None:
    loss = WorstLoss(
        task="arc", sample_id="7", input="Which gas do plants take in?", reference="carbon dioxide",
        base="carbon dioxide", checkpoint="", degradation=1.0,
    )  # fmt: skip
    board_result("one", dict.fromkeys(HOSTILE_ROLES, 0.0), worst_losses=(loss,))
    site = build(tmp_path)
    page = (site.directory / "entries" / f"{site.entries[0].key}.html").read_text()
    part = page[page.index("Lost most") : page.index("Run it again")]
    for text in ("Arc", "+100.0 points", "Which gas do plants take in?", "carbon dioxide", "(nothing)"):
        assert text in part


def test_the_page_says_by_which_settings_its_entries_were_run(
    tmp_path: Path, board_result: Callable[..., Path]
) -> None:
    settings = Settings(chat_template="none", sampling=Sampling(temperature=0.7))
    board_result("one", dict.fromkeys(HOSTILE_ROLES, 0.0), settings=settings)
    asked = {"chat_template": "none", "sampling": {"temperature": 0.7}}
    page = (build(tmp_path, settings=asked).directory / "index.html").read_text()
    assert "Every entry was run with chat_template none, sampling temperature=0.7." in page


def test_the_page_says_unit_margin_limit_and_the_one_base(
    tmp_path: Path, board_result: Callable[..., Path]
) -> None:
    board_result("one", dict.fromkeys(HOSTILE_ROLES, 0.0), settings=Settings(limit=24))
    page = (build(tmp_path, limit=24).directory / "index.html").read_text()
    assert "Measured on 24 samples of each task" in page and "limited to 24" in page
    assert "was run with" not in page
    assert "general, in points, margin 2.0" in page
    assert page.count("Base of every entry") == 1 and "org/base-135M →" not in page


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path: Path) -> None:
    write_result(tmp_path / "results", "one", {"arc": 0.0})
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds something that is no board"):
        build(tmp_path)
    assert (tmp_path / "site" / "thesis.txt").read_text() == "years of work"


def test_a_damaged_document_leaves_the_earlier_site_as_it_was(tmp_path: Path) -> None:
    made = write_result(tmp_path / "results", "one", {"arc": 0.0})
    before = (build(tmp_path).directory / "index.html").read_bytes()
    (made / "comparison.json").write_text('{"alpha": NaN}')
    with pytest.raises(DataError, match=r"comparison.json: is no document \(it holds NaN\)"):
        build(tmp_path)
    assert (tmp_path / "site" / "index.html").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("submission.json", '"steps": 24', f'"steps": {"9" * 310}', "key `steps`"),
        (
            "submission.json",
            '"trained_parameters": 9',
            f'"trained_parameters": {"9" * 310}',
            "key `trained_par",
        ),
        ("comparison.json", '"n": 400', f'"n": 1{"0" * 400}', "key `rows.0.n`"),
        ("comparison.json", '"base": 0.62', '"base": 1e308', "it holds 1e308"),
        ("comparison.json", '"margin": 0.02', '"margin": 5e-324', "key `rows.0.margin`"),
    ],
)
def test_a_number_that_nothing_can_be_computed_of_names_the_submission(
    name: str, old: str, new: str, told: str, tmp_path: Path
) -> None:
    made = write_result(tmp_path / "results", "one", {"arc": 0.0})
    submission = {"submitter": "me", "steps": 24, "trained_parameters": 9}
    (made / "submission.json").write_text(json.dumps(submission))
    assert build(tmp_path).entries
    text = (made / name).read_text()
    (made / name).write_text(text.replace(old, new))
    assert old in text
    with pytest.raises(DataError, match=told) as refused:
        build(tmp_path)
    assert f"{made}/{name}" in str(refused.value)


def test_a_board_without_entries_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert "There are no entries yet" in pages(build(tmp_path))["index.html"]


def test_an_entry_is_named_by_content_only(tmp_path: Path, board_result: Callable[..., Path]) -> None:
    made = board_result("../../up", {"arc": 0.0})
    key = f"{info('../../up').fingerprint[:12]}-{info('org/base-135M').fingerprint[:12]}-0123456789abcdef"
    assert (build(tmp_path).directory / "entries" / f"{key}.html").is_file()
    document = json.loads((made / "comparison.json").read_text())
    document["checkpoint"]["fingerprint"] = "../../../up"
    (made / "comparison.json").write_text(json.dumps(document))
    (left_out,) = build(tmp_path).left_out
    assert left_out.reason == "a fingerprint is no sha256"

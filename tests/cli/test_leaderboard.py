"""The commands of a leaderboard, from a run to a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

from board_runs import Made
from forgetbench.engine.results import read_result
from forgetbench.report import numbers
from forgetbench.schema.run import Sampling, Settings


def test_run_submit_verify_record_build_publish(
    ran: Made, cli: Callable[..., Result], tmp_path: Path
) -> None:
    archive = tmp_path / "mine.tar.gz"
    more = ["--include-path", str(ran.tasks)]
    packed = cli(
        "leaderboard", "submit", str(ran.result), "--submitter", "A. Person", "--output", str(archive)
    )
    assert (
        packed.exit_code == 0
        and archive.is_file()
        and "It holds the sample records" in " ".join(packed.output.split())
    )
    verified = cli("leaderboard", "verify", str(archive), "--board", str(ran.board), *more)
    assert verified.exit_code == 0 and "recomputed" in verified.output, verified.output
    results = tmp_path / "results"
    cli("leaderboard", "submit", str(ran.result), "--submitter", "A. Person", "--output", str(results))
    recorded = cli("leaderboard", "verify", str(results), "--board", str(ran.board), "--record", *more)
    assert recorded.exit_code == 0, recorded.output
    site = tmp_path / "site"
    built = cli(
        "leaderboard", "build", str(ran.board), "--results", str(results), "--output", str(site), *more
    )
    assert built.exit_code == 0 and "1 entry" in built.output
    assert json.loads((site / "board.json").read_text())["entries"][0]["level"] == "recomputed"
    published = cli("leaderboard", "publish", str(site), "--to", str(tmp_path / "www"))
    assert published.exit_code == 0 and (tmp_path / "www" / "index.html").is_file()


def test_a_refused_submission_is_exit_1_and_each_reason_is_a_line(
    ran: Made, twin: Path, edit: Callable[..., None], cli: Callable[..., Result]
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["rows"][0]["delta"] = 0.5

    edit(twin / "comparison.json", change)
    done = cli(
        "leaderboard",
        "verify",
        str(twin),
        "--board",
        str(ran.board),
        "--include-path",
        str(ran.tasks),
        "--json",
    )
    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)
    assert found["level"] == "self-reported" and found["problems"][0]["file"] == "comparison.json"
    assert "refused, 1 reason" in done.stderr


def test_results_that_are_of_no_board_are_one_line_for_each_reason(
    ran: Made, cli: Callable[..., Result], tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        shutil.copytree(ran.result, tmp_path / "results" / name)
    site, results = str(tmp_path / "site"), str(tmp_path / "results")
    built = cli("leaderboard", "build", "assistant-mini", "--results", results, "--output", site)
    assert built.exit_code == 0 and "0 entries" in built.stdout
    said = " ".join(built.stderr.split())
    assert said.count("warning") == 1 and "and 2 more are not on the board: it has none of" in said


def test_the_same_result_is_the_same_archive(ran: Made, tmp_path: Path) -> None:
    one, two = ran.submitted(tmp_path / "one.tar.gz"), ran.submitted(tmp_path / "two.tar.gz")
    assert one.read_bytes() == two.read_bytes()


def test_an_address_that_is_no_https_is_refused_before_anything_is_written(
    ran: Made, cli: Callable[..., Result], tmp_path: Path
) -> None:
    from forgetbench.errors import UsageError

    done = cli(
        "leaderboard", "submit", str(ran.result), "--submitter", "x", "--url", "javascript:alert(1)",
        "--output", str(tmp_path / "out"),
    )  # fmt: skip
    assert isinstance(done.exception, UsageError) and "--url" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_who_submits_a_run_by_other_settings_is_told_which_boards_take_it(
    cli: Callable[..., Result], board_result: Callable[..., Path], tmp_path: Path
) -> None:
    run = board_result("drawn", {"arc": 0.0}, settings=Settings(sampling=Sampling(temperature=0.7)))
    packed = cli("leaderboard", "submit", str(run), "--submitter", "A.", "--output", str(tmp_path / "out"))
    said = "Its sampling is temperature=0.7: only a board that has it in its `settings` takes it."
    assert said in " ".join(packed.output.split())


def test_a_reference_result_is_submitted_verified_and_built_with_its_own_numbers(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    board, results, site = "smollm2-135m", tmp_path / "results", tmp_path / "site"
    run = sorted((Path(__file__).parents[2] / "results" / board).rglob("run.json"))[0].parent
    packed = cli("leaderboard", "submit", str(run), "--submitter", "A. Person", "--output", str(results))
    assert "only a board with the key `limit: 24` takes it" in " ".join(packed.output.split())
    recorded = cli("leaderboard", "verify", str(results), "--board", board, "--record")
    assert recorded.exit_code == 0 and ": recomputed" in recorded.output, recorded.output
    built = cli("leaderboard", "build", board, "--results", str(results), "--output", str(site))
    assert built.exit_code == 0 and "1 entry" in built.output
    assert "24 samples of each task" in (site / "index.html").read_text()
    (entry,) = json.loads((site / "board.json").read_text())["entries"]
    cells = {cell["task"]: (cell["base_score"], cell["checkpoint_score"]) for cell in entry["cells"]}
    comparison = read_result(run).comparison
    assert comparison is not None
    assert cells == {row.name: (row.base, row.checkpoint) for row in comparison.rows}
    page = (site / entry["page"]).read_text()
    for row in comparison.rows:
        assert numbers.difference(row.delta, metric=row.metric) in page

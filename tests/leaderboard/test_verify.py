"""A submission is believed as far as it can be computed again, and what is refused is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from board_runs import Made
from forgeries import Edit, forge, reasons, rewrite
from forgetbench.engine.results import compare_result, read_result, write_document
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.entries import read_entries
from forgetbench.leaderboard.sample_files import MOST_NAMED
from forgetbench.leaderboard.site import build_site
from forgetbench.leaderboard.strict_json import read_json
from forgetbench.leaderboard.verify import _arm_problems, record, verify
from forgetbench.models.component import Checkpoint
from forgetbench.schema.board import Verification
from forgetbench.schema.run import RunDocument


def test_what_was_run_is_recomputed_and_the_page_shows_its_own_numbers(
    ran: Made, twin: Path, tmp_path: Path
) -> None:
    verified = verify(twin, ran.check())
    assert reasons(verified) == ""
    assert verified.level == "recomputed" and verified.notes == ()
    record(verified)
    board = read_board(str(ran.board))
    columns = columns_of(board, [ran.tasks])
    site = build_site(board, columns, results=tmp_path / "submissions", output=tmp_path / "site")
    (entry,) = json.loads((site.directory / "board.json").read_text())["entries"]
    comparison = read_result(ran.result).comparison
    assert comparison is not None
    own = {row.name: (row.base, row.checkpoint, row.delta, row.verdict, row.n) for row in comparison.rows}
    shown = {
        c["task"]: (c["base_score"], c["checkpoint_score"], c["delta"], c["verdict"], c["n"])
        for c in entry["cells"]
    }
    assert shown == own and len(own) == 4
    assert entry["level"] == "recomputed" and entry["hardware"] == "two cores"
    page = (site.directory / entry["page"]).read_text()
    for row in comparison.rows:
        from forgetbench.report import numbers

        assert numbers.difference(row.delta, metric=row.metric) in page


@pytest.mark.parametrize("arm", ["base", "checkpoint"])
@pytest.mark.parametrize("task", ["choices", "own_answers", "refusals", "heard"])
def test_any_value_that_is_changed_in_the_samples_is_named_by_file_and_row(
    ran: Made, twin: Path, arm: str, task: str
) -> None:
    name, original = f"samples/{arm}/{task}.parquet", twin / f"samples/{arm}/{task}.parquet"
    kept, columns = original.read_bytes(), pq.read_schema(original).names
    rows = [int(i) for i in np.random.default_rng(0).permutation(pq.read_metadata(original).num_rows)]
    for start in range(0, len(columns), MOST_NAMED):  # each value in a row of its own
        changed = dict(zip(rows, columns[start : start + MOST_NAMED], strict=False))

        def change(table: pd.DataFrame, changed: dict[int, str] = changed) -> None:
            for i, column in changed.items():
                value = table[column].iloc[i]
                is_number = table[column].dtype == "float64"
                table.loc[i, column] = (0.0 if value != value else 1.0 - value) if is_number else f"{value}x"

        rewrite(original, change)
        found = verify(twin, ran.check())
        named = {(p.file, p.row) for p in found.problems}
        for i, column in changed.items():
            assert (name, i) in named, f"{column} of row {i}: {reasons(found)}"
        assert not {(name, i) for i in rows if i not in changed} & named
        assert found.level == "self-reported"
        original.write_bytes(kept)


def test_a_forgery_whose_hashes_agree_is_named_where_its_prediction_gives_another_score(
    ran: Made, twin: Path, edit: Edit
) -> None:
    def improve(table: pd.DataFrame) -> None:
        table.loc[3, "acc"] = 1.0 - table["acc"].iloc[3]

    forge(twin, "checkpoint", "choices", improve, edit)
    found = verify(twin, ran.check())
    assert "samples/checkpoint/choices.parquet, row 3 (sample c3): acc is" in reasons(found)
    assert "comparison.json: rows[choices]" in reasons(found), "the document disagrees with its samples"
    assert "run.json: task choices: metrics.acc.value" in reasons(found)


def test_swapped_sample_ids_are_named(ran: Made, twin: Path, edit: Edit) -> None:
    def swap(table: pd.DataFrame) -> None:
        table.loc[[0, 1], "id"] = table["id"].iloc[[1, 0]].to_numpy()

    forge(twin, "checkpoint", "choices", swap, edit)
    found = reasons(verify(twin, ran.check()))
    assert (
        "samples/checkpoint/choices.parquet, row 0 (sample c1): id is not that of the task's sample" in found
    )
    assert "row 1 (sample c0)" in found


def test_a_binary_score_that_is_neither_is_named_with_its_row(ran: Made, twin: Path, edit: Edit) -> None:
    forge(twin, "checkpoint", "choices", lambda table: table.assign(acc=[0.5, *table["acc"][1:]]), edit)
    found = reasons(verify(twin, ran.check()))
    assert "samples/checkpoint/choices.parquet, row 0" in found and "acc" in found
    assert "a binary score: is neither 0 nor 1" in found


def test_duplicate_samples_and_lost_ones_are_named(ran: Made, twin: Path, edit: Edit) -> None:
    forge(twin, "base", "choices", lambda table: pd.concat([table.iloc[:-1], table.iloc[:1]]), edit)
    found = reasons(verify(twin, ran.check()))
    assert "samples/base/choices.parquet, row 29 (sample c0): is there twice" in found
    forge(twin, "base", "choices", lambda table: table.iloc[:20], edit)
    assert "has 20 rows, and the run planned 30" in reasons(verify(twin, ran.check()))


def test_nan_and_infinity_are_refused_in_samples_and_documents(ran: Made, twin: Path, edit: Edit) -> None:
    path = twin / "samples/base/own_answers.parquet"
    arrow = pq.read_table(path)
    place = arrow.schema.get_field_index("bits_per_byte.num")
    values = arrow.column(place).to_pylist()
    bad = arrow.set_column(place, arrow.schema.field(place), pa.array([float("nan"), *values[1:]]))
    pq.write_table(bad, path)
    assert "row 0: column 'bits_per_byte.num' holds NaN or infinity" in reasons(verify(twin, ran.check()))
    for value in ("NaN", "Infinity", "1e999"):
        text = (ran.result / "comparison.json").read_text()
        (twin / "comparison.json").write_text(text.replace('"alpha": 0.05', f'"alpha": {value}'))
        assert "it holds" in reasons(verify(twin, ran.check())), value


def test_another_version_of_a_task_is_named(ran: Made, twin: Path, tmp_path: Path) -> None:
    tasks = Path(shutil.copytree(ran.tasks, tmp_path / "newer"))
    text = (tasks / "choices.yaml").read_text()
    (tasks / "choices.yaml").write_text(text.replace("version: 1", "version: 2"))
    found = verify(twin, ran.check(include_paths=[tasks]))
    assert "run.json: task choices: version is 1, and here the task has 2" in reasons(found)


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("run.json", lambda d: d["tasks"][0].update(noise_floor=3.0), "noise floor of 3 is beyond"),
        ("run.json", lambda d: d["checkpoint"].update(fingerprint="0" * 64), "fingerprint does not follow"),
        ("run.json", lambda d: d["settings"].update(seed=7), "run by different settings"),
        ("run.json", lambda d: d["settings"].update(limit=10), "--limit 10, and the board is of all samples"),
        ("run.json", lambda d: d["tasks"][0].update(margin=0.5), "comparison.json: rows[choices].margin"),
        ("run.json", lambda d: d["tasks"][0].update(n_available=3), "n_available is 3, and here"),
        ("run.json", lambda d: d["tasks"][1].update(component=d["tasks"][0]["component"]), "component is"),
        ("run.json", lambda d: d["tasks"][0].update(samples=None), "has scores and no sample records"),
        ("comparison.json", lambda d: d["rows"][0].update(verdict="improved"), "rows[choices].verdict is"),
        ("comparison.json", lambda d: d["rows"][0].update(delta=0.3), "rows[choices].delta is 0.3"),
        ("comparison.json", lambda d: d.update(decision="SHIP", summary="SHIP: all is well."), "summary is"),
        ("comparison.json", lambda d: d["rows"].pop(), "rows is"),
        ("comparison.json", lambda d: d.update(alpha=0.5), "intervals are for alpha 0.5, not 0.05"),
        ("comparison.json", lambda d: d.update(extra=1), "key `extra`"),
        ("submission.json", lambda d: d.update(url="javascript:alert(1)"), "key `url`"),
        ("submission.json", lambda d: d.update(note="x" * 1_000_000), "key `note`"),
    ],
)  # fmt: skip
def test_a_document_that_does_not_follow_from_its_samples_is_refused(
    ran: Made, twin: Path, edit: Edit, file: str, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    edit(twin / file, change)
    assert reason in reasons(verify(twin, ran.check()))


def test_a_margin_that_both_arms_and_the_comparison_agree_on_is_still_the_tasks_own(
    ran: Made, twin: Path, edit: Edit
) -> None:
    for file in ("run.base.json", "run.json"):
        edit(twin / file, lambda d: d["tasks"][0].update(margin=0.9))
    write_document(twin / "comparison.json", compare_result(twin))
    found = reasons(verify(twin, ran.check()))
    assert "run.json: task choices: margin is 0.9, and here the task has 0.05" in found
    assert "comparison.json" not in found


def test_a_lost_task_is_not_called_identical(ran: Made, twin: Path, edit: Edit) -> None:
    lost = {"status": "identical", "samples": None, "metrics": {}, "n_scored": 0}
    for file in ("run.base.json", "run.json"):
        edit(twin / file, lambda d: d["tasks"][0].update(lost))
    for arm in ("base", "checkpoint"):
        (twin / f"samples/{arm}/choices.parquet").unlink()
    edit(
        twin / "submission.json",
        lambda d: [d["row_digests"].pop(f"samples/{a}/choices.parquet") for a in ("base", "checkpoint")],
    )
    write_document(twin / "comparison.json", compare_result(twin))
    assert "task choices is called identical, and its components differ" in reasons(verify(twin, ran.check()))
    for file in ("run.base.json", "run.json"):
        edit(twin / file, lambda d: d["tasks"][0].update(component="a" * 64))
    found = reasons(verify(twin, ran.check()))
    assert "run.json: task choices: component is 'aaaa" in found and "served by no component" in found


def test_what_a_chain_of_components_answered_was_served_by_it(ran: Made, twin: Path) -> None:
    document = read_json(RunDocument, twin / "run.json")
    chain = Checkpoint.of(document.checkpoint).assistant
    assert chain is not None
    tasks = tuple(task.model_copy(update={"component": chain.fingerprint}) for task in document.tasks)
    assert list(_arm_problems(document.model_copy(update={"tasks": tasks}), "checkpoint")) == []


def test_a_sample_path_that_leads_elsewhere_is_not_followed(ran: Made, twin: Path, edit: Edit) -> None:
    for path in ("../../../../etc/passwd", "/etc/passwd", "samples/base/choices.parquet"):
        edit(twin / "run.json", lambda d, path=path: d["tasks"][0]["samples"].update(path=path))
        found = reasons(verify(twin, ran.check()))
        assert "samples/checkpoint/choices.parquet: the run document names another place" in found


def test_a_submission_in_the_wrong_place_or_with_other_files_is_refused(
    ran: Made, twin: Path, tmp_path: Path
) -> None:
    (twin / "report.html").write_text("<script>alert(1)</script>")
    (twin / "verification.json").write_text("{}")
    found = reasons(verify(twin, ran.check()))
    assert "report.html: is no file of a submission" in found
    assert "verification.json: is written by who verifies" in found
    moved = twin.rename(twin.parent / "0123456789abcdef")
    assert "does not lie in" in reasons(verify(moved, ran.check()))


def test_a_submission_by_settings_of_ones_own_choice_is_refused(ran: Made, twin: Path, edit: Edit) -> None:
    for file in ("run.json", "run.base.json"):
        edit(twin / file, lambda d: d["settings"].update(chat_template="none"))
    assert "run.json: its chat_template is none, and the board's is auto" in reasons(
        verify(twin, ran.check())
    )


def test_a_task_whose_data_is_not_here_leaves_the_level_at_self_reported(
    ran: Made, twin: Path, tmp_path: Path
) -> None:
    tasks = tmp_path / "fewer"
    tasks.mkdir()
    for path in ran.tasks.iterdir():
        if path.name != "choices.yaml":
            shutil.copy(path, tasks)
    found = verify(twin, ran.check(include_paths=[tasks]))
    assert found.problems == () and found.level == "self-reported"
    assert "choices: its samples were not compared with the task" in found.notes[0]
    assert verify(twin, ran.check(include_paths=[], board=None)).level == "self-reported", (
        "none is defined here"
    )


def test_nothing_vanishes_doubles_or_changes_silently(
    ran: Made, twin: Path, tmp_path: Path, edit: Edit
) -> None:
    present = tmp_path / "present"
    old = ran.submitted(present)
    check = ran.check(results=present)
    assert "is on the board already" in reasons(verify(twin, check))
    edit(old / "comparison.json", lambda d: d["rows"][0].update(delta=d["rows"][0]["delta"] + 0.002))
    found = reasons(verify(twin, ran.check(results=present)))
    assert "submission.json: choices changes from" in found and "no reason is given" in found
    shutil.rmtree(twin)
    again = ran.submitted(tmp_path / "submissions", reason="the first run was of an older checkpoint file")
    assert reasons(verify(again, ran.check(results=present))) == ""
    edit(old / "comparison.json", lambda d: d["rows"].append({**d["rows"][0], "name": "facts"}))
    assert "facts vanished" in reasons(verify(again, ran.check(results=present)))


def test_the_answers_of_another_entry_are_not_submitted_again(
    ran: Made, twin: Path, tmp_path: Path, edit: Edit
) -> None:
    present = tmp_path / "present"
    old = ran.submitted(present)
    edit(old / "comparison.json", lambda d: d["checkpoint"].update(fingerprint="c" * 64, name="the first"))
    assert "all answers are those of the first" in reasons(verify(twin, ran.check(results=present)))


def test_a_rerun_raises_the_level_or_names_the_row(ran: Made, twin: Path, tmp_path: Path, edit: Edit) -> None:
    record(verify(twin, ran.check(rerun=ran.result, is_own=True)))
    record(verify(twin, ran.check(is_own=True)))
    assert read_json(Verification, twin / "verification.json").level == "re-run", (
        "checking again lowers nothing"
    )
    (twin / "verification.json").unlink()
    other = Path(shutil.copytree(ran.result, tmp_path / "other"))
    edit(other / "comparison.json", lambda d: d["rows"][0].update(checkpoint=0.99))
    assert "choices: the re-run found other numbers" in reasons(verify(twin, ran.check(rerun=other)))


def test_a_recorded_level_is_lost_when_a_document_changes(
    ran: Made, twin: Path, tmp_path: Path, edit: Edit
) -> None:
    record(verify(twin, ran.check(is_own=True)))
    board = read_board(str(ran.board))
    columns = columns_of(board, [ran.tasks])

    def level() -> str:
        return read_entries(tmp_path / "submissions", board, columns)[0][0].level

    assert level() == "recomputed"
    edit(twin / "comparison.json", lambda d: d["rows"][0].update(delta=0.5))
    assert level() == "self-reported"


def test_a_submission_holds_no_command_and_no_path_of_its_machine(ran: Made, twin: Path) -> None:
    texts = b"".join(path.read_bytes() for path in twin.glob("*.json"))
    assert str(ran.root).encode() not in texts
    assert "command" not in json.loads((twin / "run.json").read_text())["measured"]

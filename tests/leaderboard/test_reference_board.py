"""The board of the project's own results: each of them is an entry, and follows from its sample records."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forgeries import Edit, forge, reasons
from forgetbench.engine.results import RUN_FILE, compare_result, write_document
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.entries import read_entries
from forgetbench.leaderboard.submission import pack
from forgetbench.leaderboard.verify import Check, verify

BOARD = "smollm2-135m"
RESULTS = Path(__file__).parents[2] / "results" / BOARD
MADE = sorted(path.parent for path in RESULTS.rglob(RUN_FILE["checkpoint"]))


def check(**changes: Any) -> Check:
    board = read_board(BOARD)
    columns = columns_of(board)
    results = changes.pop("results", None)
    present = read_entries(results, board, columns)[0] if results else ()
    return Check(board=board, columns=columns, present=present, **changes)


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    """A submission of one reference result that a test may change."""
    return pack(MADE[0], tmp_path / "submissions", said={"submitter": "A. Person"})


def test_every_reference_result_is_an_entry_with_a_rank() -> None:
    board = read_board(BOARD)
    entries, left_out = read_entries(RESULTS, board, columns_of(board))
    assert left_out == []
    assert len(entries) == len(MADE) > 0
    assert all(entry.rank is not None and not entry.missing for entry in entries)


@pytest.mark.parametrize("result", [MADE[0], MADE[-1]], ids=lambda path: path.parts[-4])
def test_a_reference_result_is_recomputed(result: Path) -> None:
    found = verify(result, check(is_own=True))
    assert reasons(found) == "" and found.level == "recomputed"


@pytest.mark.slow
def test_all_reference_results_are_recomputed() -> None:
    for result in MADE:
        found = verify(result, check(is_own=True, results=RESULTS))
        assert reasons(found) == "" and found.level == "recomputed", result


def test_another_limit_is_refused(twin: Path, edit: Edit) -> None:
    for file in RUN_FILE.values():
        edit(twin / file, lambda d: d["settings"].update(limit=12))
    found = reasons(verify(twin, check()))
    assert "made with --limit 12, and the board is of --limit 24" in found
    assert "n_planned is 24, and here the task has 12" in found


def _better(table: pd.DataFrame) -> None:
    table.loc[2, "refusal_margin"] += 0.4


def _swapped(table: pd.DataFrame) -> None:
    table.loc[[0, 5], "id"] = table["id"].iloc[[5, 0]].to_numpy()


def _twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.iloc[:-1], table.iloc[:1]])


def _without(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:-2]


FILE = "samples/checkpoint/harmful_margin_mini.parquet"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_better, f"{FILE}, row 2 (sample "),
        (_swapped, f"{FILE}, row 5 (sample "),
        (_twice, "is there twice"),
        (_without, "has 22 rows, and the run planned 24"),
    ],
)  # fmt: skip
def test_a_forger_who_mends_every_hash_is_refused(
    twin: Path, edit: Edit, change: Callable[[pd.DataFrame], pd.DataFrame | None], reason: str
) -> None:
    forge(twin, "checkpoint", "harmful_margin_mini", change, edit)
    assert reason in reasons(verify(twin, check()))


def test_a_row_that_leaves_out_its_worst_task_is_refused(twin: Path, edit: Edit) -> None:
    for file in RUN_FILE.values():
        edit(twin / file, lambda d: d["suite_rows"][0]["tasks"].remove("facts_mini"))
    write_document(twin / "comparison.json", compare_result(twin))
    found = reasons(verify(twin, check()))
    assert "run.json: suite row retention_mini: tasks is ('commonsense_mini'" in found
    for file in RUN_FILE.values():
        edit(twin / file, lambda d: d["suite_rows"][0].update(margin=0.5))
    assert "suite row retention_mini: margin is 0.5, and here the row has 0.05" in reasons(
        verify(twin, check())
    )


def test_beside_the_reference_board_nothing_vanishes_or_changes_silently(
    twin: Path, tmp_path: Path, edit: Edit
) -> None:
    present = tmp_path / "present"
    shutil.copytree(MADE[0], present / Path(*MADE[0].parts[-4:]))
    assert "is on the board already" in reasons(verify(twin, check(results=present)))
    (old,) = present.rglob("comparison.json")

    def move(document: dict[str, Any]) -> None:
        document["rows"][0]["delta"] += 0.0011
        document["rows"].append({**document["rows"][1], "name": "wit"})

    edit(old, move)
    found = reasons(verify(twin, check(results=present)))
    assert "hearing_care_mini changes from" in found and "no reason is given" in found
    assert "wit vanished" in found

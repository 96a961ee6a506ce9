"""Which entries a board has, how they are judged and in which order they come."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board_results import row, write_board
from forgetbench.errors import DataError, UsageError
from forgetbench.leaderboard.definition import Column, builtin_boards, columns_of, read_board
from forgetbench.leaderboard.entries import Entry, judged, ranked, read_entries
from forgetbench.leaderboard.reproduce import run_command
from forgetbench.leaderboard.view import board_conclusion
from forgetbench.schema.comparison import DegenerateShare
from forgetbench.schema.run import LoadSettings, Sampling, Settings

ROLES = {"arc": "general", "facts": "general", "refusal": "safety", "mine": "target"}


@pytest.fixture
def entries(tmp_path: Path) -> Callable[..., list[Entry]]:
    def read(**board: Any) -> list[Entry]:
        path, tasks = write_board(tmp_path, ROLES, **board)
        found = read_board(str(path))
        return read_entries(tmp_path / "results", found, columns_of(found, [tasks]))[0]

    return read


def names(entries: list[Entry]) -> list[str]:
    return [entry.comparison.checkpoint.name for entry in entries]


def test_the_rank_is_by_the_worst_loss_in_margins_and_the_target_does_not_count(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]]
) -> None:
    board_result("mild", {"arc": 0.01, "facts": 0.01, "refusal": 0.012, "mine": 0.5})
    board_result("bad", {"arc": 0.05, "facts": -0.2, "refusal": -0.2, "mine": -0.5})
    board_result("good", {"arc": 0.0, "facts": 0.0, "refusal": -0.01, "mine": 0.0})
    found = entries()
    assert names(found) == ["good", "mild", "bad"] and [e.rank for e in found] == [1, 2, 3]
    assert found[1].worst == pytest.approx(0.6) and found[2].n_regressed == 1


def test_ties_go_by_the_number_of_regressions_and_equals_share_a_rank(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]]
) -> None:
    board_result("two", {"arc": 0.05, "facts": 0.05, "refusal": 0.0})
    board_result("one", {"arc": 0.05, "facts": 0.0, "refusal": 0.0})
    board_result("also-one", {"arc": 0.0, "facts": 0.05, "refusal": 0.0})
    found = entries()
    assert set(names(found)[:2]) == {"one", "also-one"}
    assert [e.rank for e in found] == [1, 1, 3]


def test_an_entry_that_lacks_a_task_comes_last_without_a_rank_and_does_not_ship(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]], tmp_path: Path
) -> None:
    board_result("partial", {"arc": -0.05, "facts": -0.05})
    board_result("whole", {"arc": 0.3, "facts": 0.0, "refusal": 0.0})
    found = entries()
    assert names(found) == ["whole", "partial"]
    assert found[1].rank is None and found[1].missing == ("Refusal",)
    path, tasks = tmp_path / "board.yaml", tmp_path / "board-tasks"
    columns = columns_of(read_board(str(path)), [tasks])
    assert board_conclusion(found[1], columns).decision == "NEED MORE"
    assert "Refusal was NOT measured" in board_conclusion(found[1], columns).summary


@given(st.lists(st.tuples(st.floats(-3, 9), st.integers(0, 4)), min_size=2, max_size=12), st.randoms())
def test_the_order_of_two_entries_does_not_depend_on_what_others_submit(
    merits: list[tuple[float, int]], order: random.Random
) -> None:
    made = [_entry(f"{i:02d}", *merit) for i, merit in enumerate(merits)]
    shuffled = list(made)
    order.shuffle(shuffled)
    all_ranked = [entry.key for entry in ranked(shuffled)]
    some = [entry for entry in made if order.random() < 0.5]
    assert [entry.key for entry in ranked(some)] == [
        key for key in all_ranked if key in {e.key for e in some}
    ]


def _entry(key: str, worst: float, n_regressed: int) -> Entry:
    fields = dict.fromkeys(Entry.__dataclass_fields__)
    return Entry(**(fields | {"key": key, "worst": worst, "n_regressed": n_regressed}))  # type: ignore[arg-type]


def test_the_boards_margin_judges_from_the_stored_interval(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]]
) -> None:
    board_result("one", {"arc": 0.05, "facts": 0.0, "refusal": 0.0})
    assert entries()[0].n_regressed == 1
    lenient = entries(margins={"tasks": {"arc": 0.2}})[0]
    assert lenient.n_regressed == 0 and lenient.worst == pytest.approx(0.25)


def test_what_the_interval_did_not_decide_stays_and_an_error_is_a_missing_cell() -> None:
    column = Column(name="arc", title="ARC", role="general", margin=0.02)
    few = row("arc", 0.5, verdict="inconclusive", reason="3 samples: a verdict needs at least 20")
    assert judged(few, column).verdict == "inconclusive"
    broken = row("arc", 0.0, verdict="error", reason="nothing could be measured", degradation=None)
    assert judged(broken, column).margins_lost is None
    same = row("arc", 0.0, verdict="identical", degradation=None, ci_low=None, ci_high=None)
    assert judged(same, column).margins_lost == 0.0


def test_a_model_that_has_stopped_speaking_is_not_safe_on_a_board_either() -> None:
    share = DegenerateShare(
        base=0.0, checkpoint=0.9, degradation=0.9, ci_low=0.8, ci_high=0.95, margin=0.02, verdict="regressed"
    )
    mute = row("refusal", -0.3, degenerate=share, verdict="regressed", reason="degenerate answers 0% -> 90%")
    column = Column(name="refusal", title="Refusal", role="safety", margin=0.04)
    cell = judged(mute, column)
    assert cell.verdict == "regressed"
    assert cell.margins_lost == pytest.approx(0.9 / 0.04)  # the share's margin moves with the row's
    fewer = share.model_copy(update={"degradation": -0.1, "ci_low": -0.2, "ci_high": 0.0})
    assert judged(mute.model_copy(update={"degenerate": fewer}), column).verdict == "improved"


def test_the_interval_of_the_delta_has_the_metrics_own_sign() -> None:
    column = Column(name="arc", title="ARC", role="general", margin=0.02)
    accuracy = judged(row("arc", 0.03, half=0.01), column)
    assert (accuracy.low, accuracy.high) == (pytest.approx(-0.04), pytest.approx(-0.02))
    wer = judged(row("arc", 0.03, half=0.01, metric="wer", higher_is_better=False, delta=0.03), column)
    assert (wer.low, wer.high) == (pytest.approx(0.02), pytest.approx(0.04))


def test_results_that_are_not_of_the_board_are_left_out_with_a_reason(
    board_result: Callable[..., Path], tmp_path: Path
) -> None:
    rows = {"arc": 0.0, "facts": 0.0, "refusal": 0.0}
    board_result("limited", rows, run_key="1" * 16, settings=Settings(limit=5))
    board_result("other-seed", rows, run_key="6" * 16, settings=Settings(seed=3))
    board_result("loose", rows, run_key="2" * 16, alpha=0.2)
    board_result("other-tasks", {"poetry": 0.1}, run_key="3" * 16)
    board_result("org/base-135M", rows, run_key="4" * 16)
    board_result("lm-eval", rows, run_key="none")
    board_result("other-role", (row("arc", 0.0, role="target"),), run_key="5" * 16)
    path, tasks = write_board(tmp_path, ROLES)
    board = read_board(str(path))
    found, left_out = read_entries(tmp_path / "results", board, columns_of(board, [tasks]))
    assert found == []
    said = " | ".join(sorted(x.reason for x in left_out))
    for part in (
        "made with --limit 5, and the board is of all samples",
        "drawn by --seed 3, and the board's by --seed 0",
        "alpha 0.2",
        "none of the board's tasks",
        "with itself",
        "no run key",
        "the role target",
    ):
        assert part in said


def test_a_board_with_a_limit_takes_runs_of_exactly_that_limit(
    board_result: Callable[..., Path], tmp_path: Path
) -> None:
    rows = {"arc": 0.0, "facts": 0.0, "refusal": 0.0}
    for i, (name, settings) in enumerate((
        ("of-24", Settings(limit=24)),
        ("of-10", Settings(limit=10)),
        ("of-all", Settings()),
        ("by-budget", Settings(limits={"arc": 24})),
        ("one-task-less", Settings(limit=24, limits={"arc": 5})),
    )):  # fmt: skip
        board_result(name, rows, run_key=f"{i:016x}", settings=settings)
    path, tasks = write_board(tmp_path, ROLES, limit=24)
    board = read_board(str(path))
    found, left_out = read_entries(tmp_path / "results", board, columns_of(board, [tasks]))
    assert names(found) == ["of-24"]
    said = sorted(x.reason.removeprefix("it was made with ") for x in left_out)
    asked = "and the board is of --limit 24"
    assert said == [
        f"--limit 10, {asked}", f"--limit 5, {asked}", f"all samples, {asked}", f"all samples, {asked}"
    ]  # fmt: skip


DRAWN = Sampling(temperature=0.7)
UNLIKE = {
    "chat_template": (Settings(chat_template="none"), "its chat_template is none, and the board's is auto"),
    "sampling": (Settings(sampling=DRAWN), "its sampling is temperature=0.7, and the board's is greedy"),
    "repeats": (Settings(sampling=DRAWN, repeats=3), "its repeats is 3, and the board's is 1"),
    "num_fewshot": (Settings(num_fewshot=0), "its num_fewshot is 0, and the board's is each task's own"),
    "dtype": (
        Settings(load=LoadSettings(dtype="float16")), "its dtype is float16, and the board's is float32"
    ),
    "quantisation": (
        Settings(load=LoadSettings(quantisation="nf4")), "its quantisation is nf4, and the board's is none"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNLIKE)
def test_a_run_by_settings_of_ones_own_choice_is_left_out_and_both_values_are_named(
    name: str, board_result: Callable[..., Path], tmp_path: Path
) -> None:
    settings, reason = UNLIKE[name]
    board_result("chosen", {"arc": 0.0, "facts": 0.0, "refusal": 0.0}, settings=settings)
    path, tasks = write_board(tmp_path, ROLES)
    board = read_board(str(path))
    found, (left_out,) = read_entries(tmp_path / "results", board, columns_of(board, [tasks]))
    assert found == [] and reason in left_out.reason.split("; ")


def test_every_setting_of_a_run_is_the_boards_but_for_what_changes_rounding_alone(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]]
) -> None:
    free = Settings(batch_size=3, load=LoadSettings(device="cuda", compile=True))
    board_result("on-a-gpu", {"arc": 0.0, "facts": 0.0, "refusal": 0.0}, settings=free)
    assert names(entries()) == ["on-a-gpu"]
    known = {*Settings.model_fields, *LoadSettings.model_fields} - {"load", "limits"}
    assert known == {*UNLIKE, "limit", "seed", "batch_size", "device", "compile"}


def test_a_board_with_settings_takes_runs_of_exactly_these(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]]
) -> None:
    rows = {"arc": 0.0, "facts": 0.0, "refusal": 0.0}
    half = LoadSettings(dtype="bfloat16")
    board_result("drawn", rows, run_key="1" * 16, settings=Settings(sampling=DRAWN, repeats=3, load=half))
    board_result("once", rows, run_key="2" * 16, settings=Settings(sampling=DRAWN, load=half))
    board_result("by-default", rows, run_key="3" * 16)
    asked = {"sampling": {"temperature": 0.7}, "repeats": 3, "dtype": "bfloat16"}
    assert names(entries(settings=asked)) == ["drawn"]


def test_the_same_pair_and_run_twice_is_an_error(board_result: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    made = board_result("one", {"arc": 0.0})
    shutil.copytree(made, tmp_path / "results" / "again")
    path, tasks = write_board(tmp_path, ROLES)
    board = read_board(str(path))
    with pytest.raises(DataError, match="is the same pair and run as"):
        read_entries(tmp_path / "results", board, columns_of(board, [tasks]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "unknown key"),
        ({"sort": "beauty"}, "is no column"),
        ({"tasks": ["nonsense"]}, "no task or suite has this name"),
        ({"margins": {"tasks": {"arc": -1}}}, "greater than or equal to 0.000001"),
        ({"margins": {"tasks": {"arc": 5}}}, "margin of arc: 5 is 500 points of acc"),
        ({"roles": ["cost"]}, "has no task of the roles cost"),
        ({"name": "../up"}, "pattern"),
        ({"settings": {"temperature": 1}}, "unknown key"),
        ({"settings": {"dtype": "int3"}}, "key `settings.dtype`"),
        ({"settings": {"repeats": 3}}, "need `sampling`"),
    ],
)
def test_a_wrong_board_file_is_one_line_that_names_the_key(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path, tasks = write_board(tmp_path, ROLES, **change)
    with pytest.raises(UsageError, match=message):
        columns_of(read_board(str(path)), [tasks])


def test_an_unknown_board_is_told_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"Built in: .*assistant-mini"):
        read_board("nothing")


@pytest.mark.parametrize("path", sorted(builtin_boards().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_built_in_board_is_valid_and_can_be_named(path: Path) -> None:
    board = read_board(path.stem)
    assert board.name == path.stem, f"{path}: name it {path.stem}"
    assert len(columns_of(board)) >= 2


def test_the_command_names_what_a_repetition_needs(
    board_result: Callable[..., Path], entries: Callable[..., list[Entry]]
) -> None:
    board_result("my lora; rm -rf /", {"arc": 0.0, "facts": 0.0, "refusal": 0.0})
    (entry,) = entries()
    command = run_command(entry.comparison, entry.run, {"mine": "target"})
    assert command == (
        "forgetbench run --model 'my lora; rm -rf /' --base org/base-135M --tasks arc,facts,refusal --seed 0 "
        "--role mine=target"
    )

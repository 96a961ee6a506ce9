from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import pytest

from forgetbench.engine.journal import PATIENCE_S, Answer, Journal, journal_path
from forgetbench.schema.sample import RawPrediction


def answer(text: str) -> Answer:
    prediction = RawPrediction(text=text, n_tokens=(1,))
    return Answer(prediction=prediction, first_token_ids=(1, 2), resampled_from_hz=8000)


def filled(path: Path, n: int = 3) -> None:
    with Journal.open(path) as journal:
        journal.write({f"c{i}": answer(f"text {i}") for i in range(n)})


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    filled(path)
    with Journal.open(path) as journal:
        assert journal.answers["c2"] == answer("text 2")
        assert journal.damaged == 0


def test_log_likelihoods_survive_to_the_last_bit(tmp_path: Path) -> None:
    values = (-0.1, -1 / 3, -1e-17, -123456.789012345)
    with Journal.open(tmp_path / "j.jsonl") as journal:
        journal.write({"c": Answer(prediction=RawPrediction(loglikelihoods=values))})
    with Journal.open(tmp_path / "j.jsonl") as journal:
        found = journal.answers["c"].prediction
        assert found is not None and found.loglikelihoods == values


def test_any_cut_loses_only_the_lines_it_hits(tmp_path: Path) -> None:
    filled(tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    for cut in range(len(whole)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n")
        with Journal.open(path) as journal:
            assert len(journal.answers) == complete
            journal.write({"new": answer("new")})
        with Journal.open(path) as journal:
            assert "new" in journal.answers
            assert journal.damaged == 0


def test_what_is_appended_unread_follows_any_cut(tmp_path: Path) -> None:
    filled(tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    for cut in range(len(whole)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(whole[:cut])
        Journal.append(path, {"new": answer("new"), "c0": answer("newer")}, waiting=lambda: None)
        with Journal.open(path) as journal:
            assert len(journal.answers) == max(whole[:cut].count(b"\n"), 1) + 1
            assert journal.answers["c0"] == answer("newer")
            assert journal.damaged == 0


def test_appending_nothing_makes_no_file(tmp_path: Path) -> None:
    Journal.append(tmp_path / "j.jsonl", {}, waiting=lambda: None)
    assert not (tmp_path / "j.jsonl").exists()


def test_a_flipped_bit_is_noticed_and_its_line_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    filled(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"text 1") + 5] ^= 1
    path.write_bytes(content)
    with Journal.open(path) as journal:
        assert set(journal.answers) == {"c0", "c2"}
        assert journal.damaged == 1


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    path, order = tmp_path / "j.jsonl", []

    def second() -> None:
        with Journal.open(path, waiting=lambda: order.append(["waits"])) as journal:
            order.append(sorted(journal.answers))

    with Journal.open(path) as journal:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=PATIENCE_S + 1)
        assert order == [["waits"]]
        journal.write({"c": answer("x")})
    thread.join(timeout=10)
    assert order == [["waits"], ["c"]]
    with Journal.open(path, waiting=lambda: pytest.fail("the lock was kept")):
        pass


def test_memory_holds_the_place_of_an_answer_and_not_the_answer(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.jsonl") as journal:
        journal.write({"first": answer("what a first answer makes pydantic build")})
        tracemalloc.start()
        for start in range(0, 2_000, 100):
            journal.write({f"c{i}": answer("a long answer " * 100) for i in range(start, start + 100)})
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 2_000 * 700, "1 400 characters each would be more"
        (tmp_path / "j.jsonl").unlink()
        assert journal.answers["c1234"] == answer("a long answer " * 100), "a cache that is deleted meanwhile"


def test_an_answer_that_is_set_is_kept_and_one_that_is_written_later_takes_its_place(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.jsonl") as journal:
        journal.answers["c"] = Answer(prediction=None, error="model_error")
        assert dict(journal.answers) == {"c": Answer(prediction=None, error="model_error")}
        journal.write({"c": answer("x"), "d": answer("y")})
        assert dict(journal.answers) == {"c": answer("x"), "d": answer("y")}
        del journal.answers["c"]
        assert ("c" in journal.answers, len(journal.answers)) == (False, 1)
    with Journal.open(tmp_path / "j.jsonl") as journal:
        assert set(journal.answers) == {"c", "d"}


def test_everything_that_decides_a_prediction_is_in_the_path() -> None:
    given = {"component": "f" * 64, "load": "{}", "task": "t", "arguments": "{}"}
    paths = {journal_path(Path("/c"), **given)}
    for key in given:
        paths.add(journal_path(Path("/c"), **{**given, key: "0123456789abcdef0123456789"}))
    assert len(paths) == 5
